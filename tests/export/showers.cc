// Showers of an exported tune without Geant4, with the random streams of fastparam.random.
//
// Input, a line per particle: seed index pdg energy x y z ux uy uz.
// Output, a line per particle: verdict visible start T alpha number; then a line per spot: x y z layer path energy.
#include "Shower.hh"

#include <cstdint>
#include <cstdio>

using namespace TUNE;

namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;

std::uint64_t Mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

std::uint64_t MixGamma(std::uint64_t z) {
  z = (z ^ (z >> 33)) * 0xFF51AFD7ED558CCD;
  z = (z ^ (z >> 33)) * 0xC4CEB9FE1A85EC53;
  return (z ^ (z >> 33)) | 1;
}

struct Stream {
  std::uint64_t state, gamma;

  Stream(std::uint64_t seed, std::uint64_t index, std::uint64_t purpose) {
    std::uint64_t name = Mix(seed + kGolden);
    name = Mix(name ^ (index * 0xD1342543DE82EF95 + kGolden));
    name = Mix(name ^ (purpose * 0xAF251AF3B0F025B5 + kGolden));
    state = Mix(name + kGolden);
    gamma = MixGamma(name + kGolden + kGolden);
  }

  double Uniform() {
    state += gamma;
    return (static_cast<double>(Mix(state) >> 12) + 0.5) * 2.220446049250313e-16;
  }
};

}  // namespace

int main() {
  Shower shower;
  unsigned long long seed = 0, index = 0;
  int pdg = 0;
  double e = 0.0, p[3] = {}, u[3] = {};
  while (std::scanf("%llu %llu %d %lf %lf %lf %lf %lf %lf %lf", &seed, &index, &pdg, &e, p, p + 1, p + 2, u, u + 1,
                    u + 2) == 10) {
    const Verdict verdict = shower.Begin(pdg, e, p, u);
    if (verdict != Verdict::kAccepted) {
      std::printf("%d 0 0 0 0 0\n", static_cast<int>(verdict));
      continue;
    }
    Stream visible(seed, index, 1), shape(seed, index, 2), spots(seed, index, 3), groups(seed, index, 4);
    shower.DrawVisibleEnergy(visible);
    shower.DrawProfile(shape);
    shower.DrawGroups(groups);
    std::printf("0 %.17g %.17g %.17g %.17g %ld\n", shower.GetVisibleEnergy(), shower.GetStart(), shower.GetMaximum(),
                shower.GetAlpha(),
                shower.GetNumberOfSpots());
    for (long n = 0; n < shower.GetNumberOfSpots(); ++n) {
      const Spot spot = shower.DrawSpot(spots);
      std::printf("%.17g %.17g %.17g %d %.17g %.17g\n", spot.position[0], spot.position[1], spot.position[2], spot.layer,
                  spot.path, spot.energy);
    }
  }
}
