// The numbers of the tune @TUNE@ (fastparam @VERSION@, digest @DIGEST@), written by `fastparam export`.
#ifndef @GUARD@_TUNE_DATA_HH
#define @GUARD@_TUNE_DATA_HH

#include "Laws.hh"

namespace @NAMESPACE@ {

constexpr char kName[] = "@TUNE@";
constexpr char kDigest[] = "@DIGEST@";

// The calorimeter as one medium: X0 and R_M in mm, Ec in MeV (GFlash's definition), and its effective Z, A (g/mol) and
// density (g/cm3).
@MEDIUM@

// Slabs in the order a particle meets them, and active layers: in mm, radius in a barrel, z in a planar detector. A
// period is what a layer stands for; layers of equal medium share a number; in a layer that is `whole` the depth within
// the period says nothing about the place in the active plate.
@DETECTOR@

// Equal steps into which each layer's period is cut to tabulate profiles.
@SEGMENTS@

// Warp of radial profiles: its nodes in age, the edges of its bins in u; in a bin the ln density lies between those of
// two neighbouring nodes, the second with the weight given.
@RADIAL_BINS@

@SLICES@
}  // namespace @NAMESPACE@

#endif
