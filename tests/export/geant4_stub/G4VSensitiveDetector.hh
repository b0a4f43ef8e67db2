#pragma once
#include "globals.hh"

class G4Step;
class G4TouchableHistory;

class G4VSensitiveDetector {
 public:
  explicit G4VSensitiveDetector(const G4String&) {}
  virtual ~G4VSensitiveDetector() = default;
  G4bool Hit(G4Step* step) { return ProcessHits(step, nullptr); }
  G4bool isActive() const { return fActive; }
  void Activate(G4bool active) { fActive = active; }

 protected:
  virtual G4bool ProcessHits(G4Step* step, G4TouchableHistory* history) = 0;

 private:
  G4bool fActive = true;
};
