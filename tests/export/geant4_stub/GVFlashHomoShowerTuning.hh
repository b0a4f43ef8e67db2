#pragma once
// Includes nothing for G4double: Geant4 10 did not either.
class GVFlashHomoShowerTuning {
 public:
  virtual ~GVFlashHomoShowerTuning() = default;
  virtual G4double ParAveT1() { return -0.812; }
  virtual G4double ParAveA1() { return 0.81; }
  virtual G4double ParAveA2() { return 0.458; }
  virtual G4double ParAveA3() { return 2.26; }
  virtual G4double ParSigLogT1() { return -1.4; }
  virtual G4double ParSigLogT2() { return 1.26; }
  virtual G4double ParSigLogA1() { return -0.58; }
  virtual G4double ParSigLogA2() { return 0.86; }
  virtual G4double ParRho1() { return 0.705; }
  virtual G4double ParRho2() { return -0.023; }
  virtual G4double ParRC1() { return 0.0251; }
  virtual G4double ParRC2() { return 0.00319; }
  virtual G4double ParRC3() { return 0.1162; }
  virtual G4double ParRC4() { return -0.000381; }
  virtual G4double ParRT1() { return 0.659; }
  virtual G4double ParRT2() { return -0.00309; }
  virtual G4double ParRT3() { return 0.645; }
  virtual G4double ParRT4() { return -2.59; }
  virtual G4double ParRT5() { return 0.3585; }
  virtual G4double ParRT6() { return 0.0412; }
  virtual G4double ParWC1() { return 2.632; }
  virtual G4double ParWC2() { return -0.00094; }
  virtual G4double ParWC3() { return 0.401; }
  virtual G4double ParWC4() { return 0.00187; }
  virtual G4double ParWC5() { return 1.313; }
  virtual G4double ParWC6() { return -0.0686; }
  virtual G4double ParSpotN1() { return 93.0; }
  virtual G4double ParSpotN2() { return 0.876; }
  virtual G4double ParSpotT1() { return 0.698; }
  virtual G4double ParSpotT2() { return 0.00212; }
  virtual G4double ParSpotA1() { return 0.639; }
  virtual G4double ParSpotA2() { return 0.00334; }
};
