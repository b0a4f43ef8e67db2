#pragma once
class G4VPhysicsConstructor;

class G4VModularPhysicsList {
 public:
  void RegisterPhysics(G4VPhysicsConstructor*) {}
};
