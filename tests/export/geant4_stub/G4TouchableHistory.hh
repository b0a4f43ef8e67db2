#pragma once
class G4VPhysicalVolume;

class G4VTouchable {
 public:
  virtual ~G4VTouchable() = default;
  G4VPhysicalVolume* GetVolume() const { return fVolume; }

  G4VPhysicalVolume* fVolume = nullptr;
};

class G4TouchableHistory : public G4VTouchable {};
