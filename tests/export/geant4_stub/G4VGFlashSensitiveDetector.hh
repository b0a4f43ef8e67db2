#pragma once
#include "globals.hh"

class G4GFlashSpot;
class G4TouchableHistory;

class G4VGFlashSensitiveDetector {
 public:
  virtual ~G4VGFlashSensitiveDetector() = default;
  G4bool Hit(G4GFlashSpot* spot) { return ProcessHits(spot, nullptr); }

 protected:
  virtual G4bool ProcessHits(G4GFlashSpot* spot, G4TouchableHistory* history) = 0;
};
