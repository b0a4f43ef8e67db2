// The laws of the tune @TUNE@ behind Geant4's own interface, for GFlashShowerModel.
#ifndef @GUARD@_PARAMETERISATION_HH
#define @GUARD@_PARAMETERISATION_HH

#include "globals.hh"

#include "GVFlashShowerParameterisation.hh"
#include "TuneData.hh"

namespace @NAMESPACE@ {

/// The calorimeter as one homogeneous medium (X0, Ec and R_M of TuneData.hh), and the classical laws of the tune. What
/// Geant4's GFlashShowerModel cannot use - visible fraction, layers, warp, photons, oblique incidence - is in ShowerModel.
class Parameterisation : public GVFlashShowerParameterisation {
 public:
  /// Laws of a particle, in a barrel those of the slice nearest to `eta`. G4Exception (fatal) if the tune has none.
  explicit Parameterisation(G4int pdg = 11, G4double eta = 0.0);

  /// Draw a shower of kinetic energy `energy`: the three functions that follow, in this order.
  void GenerateLongitudinalProfile(G4double energy) override;
  void ComputeLongitudinalParameters(G4double y) override;
  void GenerateEnergyProfile(G4double y) override;
  void GenerateNSpotProfile(G4double y) override;

  /// Fraction of the energy, and of the spots, before the depth z (mm).
  G4double IntegrateEneLongitudinal(G4double z) override;
  G4double IntegrateNspLongitudinal(G4double z) override;
  /// Age of the shower at the depth z (mm).
  G4double ComputeTau(G4double z) override;

  void ComputeRadialParameters(G4double energy, G4double tau) override;
  /// Radius (mm) of a spot; the radial parameters are those of the last spot unless `spot` is 0.
  G4double GenerateRadius(G4int spot, G4double energy, G4double z) override;
  /// Depth (mm) of a first interaction: exponential with mean 9/7 X0.
  G4double GenerateExponential(G4double energy) override;

  /// Of the profile at the mean (ln T, ln alpha), and of the radial profile at its maximum; mm.
  G4double GetAveR99() override;
  G4double GetAveR90() override;
  G4double GetAveTmx() override;
  G4double GetAveT99() override;
  G4double GetAveT90() override;

  G4double GetNspot() override { return NSpot; }
  G4double GetX0() override { return X0; }
  G4double GetEc() override { return Ec; }
  G4double GetRm() override { return Rm; }

  const Population& GetPopulation() const { return fPopulation; }
  const Radii& GetRadii() const { return fRadii; }
  /// Set T (X0) and alpha in place of drawing them.
  void SetEnergyProfile(G4double maximum, G4double alpha);

 private:
  const Slice* fSlice = nullptr;
  Population fPopulation = {};
  Radii fRadii = {};
  G4double fEnergy = 0.0, fMaximum = 1.0, fAlpha = 2.0;
};

}  // namespace @NAMESPACE@

#endif
