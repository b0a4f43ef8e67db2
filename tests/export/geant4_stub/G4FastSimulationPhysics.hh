#pragma once
#include "globals.hh"

class G4VPhysicsConstructor {};

class G4FastSimulationPhysics : public G4VPhysicsConstructor {
 public:
  void ActivateFastSimulation(const G4String& particle, const G4String& = "") { static_cast<void>(particle); }
};
