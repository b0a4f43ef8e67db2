#pragma once
#include "globals.hh"

class G4Element {
 public:
  G4Element(G4double z, G4double a) : fZ(z), fA(a) {}
  G4double GetZ() const { return fZ; }
  G4double GetA() const { return fA; }

 private:
  G4double fZ, fA;
};
