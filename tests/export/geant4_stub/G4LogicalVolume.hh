#pragma once
class G4Material;
class G4MaterialCutsCouple;
class G4Region;
class G4VSensitiveDetector;

class G4LogicalVolume {
 public:
  explicit G4LogicalVolume(G4VSensitiveDetector* sensitive) : fSensitive(sensitive) {}
  G4VSensitiveDetector* GetSensitiveDetector() const { return fSensitive; }
  G4Material* GetMaterial() const { return nullptr; }
  const G4MaterialCutsCouple* GetMaterialCutsCouple() const { return nullptr; }
  void SetRegion(G4Region*) {}

 private:
  G4VSensitiveDetector* fSensitive;
};
