#pragma once
#include "G4StepPoint.hh"
#include "globals.hh"

class G4Track;

class G4Step {
 public:
  G4StepPoint* GetPreStepPoint() const { return &fPre; }
  G4StepPoint* GetPostStepPoint() const { return &fPost; }
  void SetTrack(G4Track*) {}
  void SetTotalEnergyDeposit(G4double energy) { fEnergy = energy; }
  G4double GetTotalEnergyDeposit() const { return fEnergy; }

 private:
  mutable G4StepPoint fPre, fPost;
  G4double fEnergy = 0.0;
};
