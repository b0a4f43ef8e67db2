// DD4hep plugin: the shower model as a DDG4 detector-construction action. Build with -DFASTPARAM_DD4HEP=ON.
#include "@NAMESPACE@/ShowerModel.hh"

#include <DDG4/Geant4FastSimShowerModel.h>

namespace dd4hep {
namespace sim {

/// Properties: RegionName and Enable as of every DDG4 shower model; MinimumEnergy in MeV; ParametrisePhotons.
class @NAMESPACE@_ShowerModel : public Geant4FastSimShowerModel {
 public:
  @NAMESPACE@_ShowerModel(Geant4Context* context, const std::string& name) : Geant4FastSimShowerModel(context, name) {
    declareProperty("MinimumEnergy", m_minimumEnergy);
    declareProperty("ParametrisePhotons", m_photons);
  }

  void constructSensitives(Geant4DetectorConstructionContext*) override {
    if (!m_enable) return;
    auto* model = new ::@NAMESPACE@::ShowerModel(name());
    model->SetMinimumEnergy(m_minimumEnergy);
    model->SetParametrisePhotons(m_photons);
    m_model = model;
    addShowerModel(getRegion(m_regionName));
  }

 private:
  double m_minimumEnergy = 0.0;
  bool m_photons = true;
};

}  // namespace sim
}  // namespace dd4hep

#include <DDG4/Factories.h>
using dd4hep::sim::@NAMESPACE@_ShowerModel;
DECLARE_GEANT4ACTION(@NAMESPACE@_ShowerModel)
