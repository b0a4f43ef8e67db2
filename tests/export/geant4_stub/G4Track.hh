#pragma once
#include "G4ParticleDefinition.hh"
#include "G4ThreeVector.hh"
#include "globals.hh"

class G4Step;

class G4Track {
 public:
  G4Track(const G4ParticleDefinition* particle, G4double energy, const G4ThreeVector& position,
          const G4ThreeVector& direction, G4double time)
    : fParticle(particle), fEnergy(energy), fPosition(position), fDirection(direction), fTime(time) {}
  const G4ParticleDefinition* GetParticleDefinition() const { return fParticle; }
  G4double GetKineticEnergy() const { return fEnergy; }
  const G4ThreeVector& GetPosition() const { return fPosition; }
  const G4ThreeVector& GetMomentumDirection() const { return fDirection; }
  G4double GetGlobalTime() const { return fTime; }
  G4double GetLocalTime() const { return 0.0; }
  G4double GetWeight() const { return 1.0; }
  const G4Step* GetStep() const { return fStep; }
  void SetStep(const G4Step* step) { fStep = step; }

 private:
  const G4ParticleDefinition* fParticle;
  G4double fEnergy;
  G4ThreeVector fPosition, fDirection;
  G4double fTime;
  const G4Step* fStep = nullptr;
};
