#pragma once
#include "globals.hh"

class G4ParticleDefinition {
 public:
  explicit G4ParticleDefinition(G4int pdg) : fPdg(pdg) {}
  G4int GetPDGEncoding() const { return fPdg; }

 private:
  G4int fPdg;
};
