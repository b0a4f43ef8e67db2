#pragma once
#include "G4TouchableHandle.hh"

class G4FastTrack;
class GFlashEnergySpot;

class G4GFlashSpot {
 public:
  G4GFlashSpot(const GFlashEnergySpot* spot, const G4FastTrack* track, G4TouchableHandle handle)
    : fSpot(spot), fTrack(track), fHandle(handle) {}
  const GFlashEnergySpot* GetEnergySpot() const { return fSpot; }
  const G4FastTrack* GetOriginatorTrack() const { return fTrack; }

 private:
  const GFlashEnergySpot* fSpot;
  const G4FastTrack* fTrack;
  G4TouchableHandle fHandle;
};
