// Fast simulation of the tune @TUNE@: replaces an e-, e+ or photon by the energy spots of its shower.
#ifndef @GUARD@_SHOWER_MODEL_HH
#define @GUARD@_SHOWER_MODEL_HH

#include "G4AffineTransform.hh"
#include "G4ThreeVector.hh"
#include "G4VFastSimulationModel.hh"
#include "Shower.hh"
#include "SpotDepositor.hh"

#include <memory>
#include <utility>

namespace @NAMESPACE@ {

/// Spots carry *visible* energy and lie in the declared active layers; the deposit that the step reports is the sum of
/// what sensitive detectors were given, and nothing else. Make one model per thread (G4VUserDetectorConstruction::
/// ConstructSDandField does).
class ShowerModel : public G4VFastSimulationModel {
 public:
  explicit ShowerModel(const G4String& name);
  ShowerModel(const G4String& name, G4Envelope* envelope);

  G4bool IsApplicable(const G4ParticleDefinition& particle) override;
  /// Whether the particle lies in the tune's domain: energy, direction, and a line that goes on through the layers.
  G4bool ModelTrigger(const G4FastTrack& track) override;
  void DoIt(const G4FastTrack& track, G4FastStep& step) override;

  /// Where the calorimeter stands in the world; default: where it stood in the full simulation of the tune.
  void SetPlacement(const G4AffineTransform& calorimeterToWorld);
  /// Parametrise photons as a whole (default), or leave them to Geant4 and parametrise the pair they convert into.
  void SetParametrisePhotons(G4bool value) { fPhotons = value; }
  /// Leave particles below this kinetic energy to Geant4, although the tune may know them.
  void SetMinimumEnergy(G4double energy) { fMinimumEnergy = energy; }
  /// A spot that meets no sensitive detector is drawn again at its depth, so often; then it is lost. Default 10.
  void SetAttempts(G4int attempts) { fAttempts = attempts > 1 ? attempts : 1; }
  void SetDepositor(std::unique_ptr<SpotDepositor> depositor) { fDepositor = std::move(depositor); }

 private:
  Verdict Begin(const G4FastTrack& track);

  Shower fShower;
  std::unique_ptr<SpotDepositor> fDepositor;
  G4AffineTransform fToWorld, fFromWorld;
  G4bool fPhotons = true;
  G4double fMinimumEnergy = 0.0;
  G4int fAttempts = 10;
  G4bool fWarned = false;
};

}  // namespace @NAMESPACE@

#endif
