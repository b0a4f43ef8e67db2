#pragma once
#include "G4TouchableHandle.hh"
#include "globals.hh"

class G4FastHit;
class G4FastTrack;

class G4VFastSimSensitiveDetector {
 public:
  virtual ~G4VFastSimSensitiveDetector() = default;
  G4bool Hit(const G4FastHit* hit, const G4FastTrack* track, G4TouchableHandle*) { return ProcessHits(hit, track, nullptr); }

 private:
  virtual G4bool ProcessHits(const G4FastHit* hit, const G4FastTrack* track, G4TouchableHistory* history) = 0;
};
