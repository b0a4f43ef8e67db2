#pragma once
#include "G4ThreeVector.hh"
#include "globals.hh"

class G4VPhysicalVolume;
class G4VTouchable;

class G4Navigator {
 public:
  void SetWorldVolume(G4VPhysicalVolume* world) { fWorld = world; }
  G4VPhysicalVolume* GetWorldVolume() const { return fWorld; }
  void LocateGlobalPointAndUpdateTouchable(const G4ThreeVector& position, G4VTouchable* touchable,
                                           G4bool relative = true);

 private:
  G4VPhysicalVolume* fWorld = nullptr;
};
