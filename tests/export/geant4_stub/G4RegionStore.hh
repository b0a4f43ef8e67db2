#pragma once
#include "globals.hh"

class G4Region;

class G4RegionStore {
 public:
  static G4RegionStore* GetInstance();
  G4Region* GetRegion(const G4String& name, G4bool verbose = true) const;
};
