// Hands energy spots to the sensitive detector of the volume they lie in.
#ifndef @GUARD@_SPOT_DEPOSITOR_HH
#define @GUARD@_SPOT_DEPOSITOR_HH

#include "G4FastTrack.hh"
#include "G4Navigator.hh"
#include "G4Step.hh"
#include "G4String.hh"
#include "G4ThreeVector.hh"
#include "G4TouchableHandle.hh"

namespace @NAMESPACE@ {

/// The sensitive detector is called by the first interface it has: G4VFastSimSensitiveDetector, as used by
/// G4FastSimHitMaker; G4VGFlashSensitiveDetector, as used by GFlashHitMaker; else G4VSensitiveDetector with a step of
/// zero length at the spot. Override `Deposit` to send spots elsewhere.
class SpotDepositor {
 public:
  /// `world`: name of the parallel world that holds the sensitive detectors; empty for the mass world.
  explicit SpotDepositor(const G4String& world = "");
  virtual ~SpotDepositor() = default;

  SpotDepositor(const SpotDepositor&) = delete;
  SpotDepositor& operator=(const SpotDepositor&) = delete;

  /// Called before the spots of every shower.
  virtual void BeginShower();

  /// Deposit `energy` at `position` (world frame), `delay` after the track's own time. False if no active sensitive
  /// detector is there; nothing is deposited then.
  virtual G4bool Deposit(const G4ThreeVector& position, G4double energy, G4double delay, const G4FastTrack& track);

 private:
  G4String fWorld;
  G4Navigator fNavigator;
  G4bool fLocated = false;
  G4TouchableHandle fTouchable;
  G4Step fStep;
};

}  // namespace @NAMESPACE@

#endif
