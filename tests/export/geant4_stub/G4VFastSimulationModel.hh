#pragma once
#include "G4FastStep.hh"
#include "G4FastTrack.hh"
#include "globals.hh"

class G4ParticleDefinition;

class G4VFastSimulationModel {
 public:
  explicit G4VFastSimulationModel(const G4String& name) : fName(name) {}
  G4VFastSimulationModel(const G4String& name, G4Envelope*, G4bool = false) : fName(name) {}
  virtual ~G4VFastSimulationModel() = default;
  virtual G4bool IsApplicable(const G4ParticleDefinition&) = 0;
  virtual G4bool ModelTrigger(const G4FastTrack&) = 0;
  virtual void DoIt(const G4FastTrack&, G4FastStep&) = 0;
  const G4String GetName() const { return fName; }

 private:
  G4String fName;
};
