#pragma once
#include "globals.hh"

class G4FastStep {
 public:
  void KillPrimaryTrack() { fKilled = true; }
  void ProposePrimaryTrackPathLength(G4double length) { fLength = length; }
  void ProposeTotalEnergyDeposited(G4double energy) { fDeposited = energy; }
  G4double GetTotalEnergyDeposited() const { return fDeposited; }

  G4bool fKilled = false;  // read by tests
  G4double fLength = -1.0;

 private:
  G4double fDeposited = -1.0;
};
