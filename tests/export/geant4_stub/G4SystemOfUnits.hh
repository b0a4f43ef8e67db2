#pragma once
// Internal units: mm, MeV, ns; a mole counts as one.
static constexpr double g = 1.0;
static constexpr double mole = 1.0;
