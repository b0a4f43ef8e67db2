// The tune @TUNE@ in the terms of Geant4's homogeneous GFlash class.
// @FIDELITY@
//
//   auto* tuning = new @NAMESPACE@::HomoTuning(material);
//   auto* parameterisation = new GFlashHomoShowerParameterisation(material, tuning);   // which owns and deletes `tuning`
//
// Geant4 derives Ec from X0 in mm in place of g/cm2, and R_M from that Ec. Both are undone here: a law in ln y with the
// tune's Ec is the same law in Geant4's ln y with its constant moved by slope x delta, delta = ln(Ec_Geant4 / Ec), and
// radii are scaled by R_M / R_M,Geant4. Z-dependent terms are not needed for one material and 0.
#ifndef @GUARD@_HOMO_TUNING_HH
#define @GUARD@_HOMO_TUNING_HH

#include "globals.hh"

#include "GVFlashHomoShowerTuning.hh"

class G4Material;

namespace @NAMESPACE@ {

class HomoTuning : public GVFlashHomoShowerTuning {
 public:
  /// `material`: the one given to GFlashHomoShowerParameterisation. Warns if its X0 is not that of the tune.
  explicit HomoTuning(const G4Material* material);

@GETTERS@

 private:
  G4double fDelta = 0.0;   // ln(Ec_Geant4 / Ec)
  G4double fRadius = 1.0;  // R_M / R_M,Geant4
  G4double fLogZ = 1.0;    // ln Z, by which Geant4 multiplies the number of spots
};

}  // namespace @NAMESPACE@

#endif
