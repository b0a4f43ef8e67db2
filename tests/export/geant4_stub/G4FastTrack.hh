#pragma once
class G4Track;
class G4Region;
using G4Envelope = G4Region;

class G4FastTrack {
 public:
  explicit G4FastTrack(const G4Track* track) : fTrack(track) {}
  const G4Track* GetPrimaryTrack() const { return fTrack; }

 private:
  const G4Track* fTrack;
};
