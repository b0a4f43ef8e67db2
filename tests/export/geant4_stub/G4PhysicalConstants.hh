#pragma once
namespace CLHEP {
static constexpr double c_light = 299.792458;  // mm/ns
}
