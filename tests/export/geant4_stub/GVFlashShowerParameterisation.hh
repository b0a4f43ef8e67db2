#pragma once
#include "globals.hh"

#include "GVFlashHomoShowerTuning.hh"

class GVFlashShowerParameterisation {
 public:
  virtual ~GVFlashShowerParameterisation() = default;
  virtual void ComputeRadialParameters(G4double y, G4double tau) = 0;
  virtual void GenerateLongitudinalProfile(G4double energy) = 0;
  virtual G4double IntegrateEneLongitudinal(G4double z) = 0;
  virtual G4double IntegrateNspLongitudinal(G4double z) = 0;
  virtual G4double ComputeTau(G4double z) = 0;
  virtual G4double GenerateRadius(G4int spot, G4double energy, G4double z) = 0;
  virtual void ComputeLongitudinalParameters(G4double y) = 0;
  virtual void GenerateEnergyProfile(G4double y) = 0;
  virtual void GenerateNSpotProfile(G4double y) = 0;
  virtual G4double GenerateExponential(G4double energy) = 0;
  virtual G4double GetAveR99() = 0;
  virtual G4double GetAveR90() = 0;
  virtual G4double GetAveTmx() = 0;
  virtual G4double GetAveT99() = 0;
  virtual G4double GetAveT90() = 0;
  virtual G4double GetNspot() = 0;
  virtual G4double GetX0() = 0;
  virtual G4double GetEc() = 0;
  virtual G4double GetRm() = 0;

 protected:
  GVFlashHomoShowerTuning* thePar = nullptr;
  G4double density = 0.0, A = 0.0, Z = 0.0, X0 = 0.0, Ec = 0.0, Rm = 0.0;
  G4double NSpot = 0.0;
};
