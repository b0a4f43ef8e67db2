#include "HomoTuning.hh"

#include "G4Element.hh"
#include "G4Exception.hh"
#include "G4Material.hh"
#include "G4SystemOfUnits.hh"
#include "TuneData.hh"

#include <sstream>

namespace @NAMESPACE@ {

HomoTuning::HomoTuning(const G4Material* material) {
  G4double z = 0.0, a = 0.0;
  for (std::size_t k = 0; k < material->GetNumberOfElements(); ++k) {
    const G4Element* element = material->GetElement(static_cast<G4int>(k));
    z += material->GetFractionVector()[k] * element->GetZ();
    a += material->GetFractionVector()[k] * element->GetA() / (g / mole);
  }
  const G4double x0 = material->GetRadlen();
  const G4double ec = 2.66 * std::pow(x0 * z / a, 1.1);  // as GFlashHomoShowerParameterisation has it, x0 in mm
  fDelta = std::log(ec / kCriticalEnergy);
  fRadius = kMoliereRadius / (x0 * 21.2 / ec);
  fLogZ = std::log(z);
  if (std::abs(x0 / kRadiationLength - 1.0) > 0.01) {
    std::ostringstream message;
    message << "X0 of " << material->GetName() << " is " << x0 << " mm; the tune counts depth in units of "
            << kRadiationLength << " mm. Use the material of the tune's full simulation.";
    G4Exception("@NAMESPACE@::HomoTuning", "fastparam003", JustWarning, message.str().c_str());
  }
}

}  // namespace @NAMESPACE@
