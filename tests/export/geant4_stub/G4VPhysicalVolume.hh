#pragma once
class G4LogicalVolume;

class G4VPhysicalVolume {
 public:
  explicit G4VPhysicalVolume(G4LogicalVolume* logical) : fLogical(logical) {}
  G4LogicalVolume* GetLogicalVolume() const { return fLogical; }

 private:
  G4LogicalVolume* fLogical;
};
