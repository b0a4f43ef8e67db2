#pragma once
#include "G4ThreeVector.hh"
#include "G4TouchableHandle.hh"
#include "globals.hh"

class G4Material;
class G4MaterialCutsCouple;
class G4VProcess;
class G4VSensitiveDetector;

enum G4StepStatus { fWorldBoundary, fGeomBoundary, fUserDefinedLimit, fUndefined };

class G4StepPoint {
 public:
  void SetPosition(const G4ThreeVector& position) { fPosition = position; }
  const G4ThreeVector& GetPosition() const { return fPosition; }
  void SetGlobalTime(G4double time) { fTime = time; }
  G4double GetGlobalTime() const { return fTime; }
  void SetLocalTime(G4double) {}
  void SetWeight(G4double) {}
  void SetTouchableHandle(const G4TouchableHandle& handle) { fHandle = handle; }
  void SetMaterial(G4Material*) {}
  void SetMaterialCutsCouple(const G4MaterialCutsCouple*) {}
  void SetMomentumDirection(const G4ThreeVector& direction) { fDirection = direction; }
  const G4ThreeVector& GetMomentumDirection() const { return fDirection; }
  void SetProcessDefinedStep(const G4VProcess* process) { fProcess = process; }
  const G4VProcess* GetProcessDefinedStep() const { return fProcess; }
  void SetSensitiveDetector(G4VSensitiveDetector*) {}
  void SetStepStatus(G4StepStatus) {}

 private:
  G4ThreeVector fPosition, fDirection;
  const G4VProcess* fProcess = nullptr;
  G4double fTime = 0.0;
  G4TouchableHandle fHandle;
};
