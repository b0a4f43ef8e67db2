#pragma once
#include "G4ThreeVector.hh"
#include "globals.hh"

class GFlashEnergySpot {
 public:
  GFlashEnergySpot(const G4ThreeVector& position, G4double energy) : fPosition(position), fEnergy(energy) {}
  G4double GetEnergy() const { return fEnergy; }
  G4ThreeVector GetPosition() const { return fPosition; }

 private:
  G4ThreeVector fPosition;
  G4double fEnergy;
};
