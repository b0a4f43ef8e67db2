#pragma once
#include "globals.hh"

class G4LogicalVolume;

class G4Region {
 public:
  explicit G4Region(const G4String&) {}
  void AddRootLogicalVolume(G4LogicalVolume*) {}
};
