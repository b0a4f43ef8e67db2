// The classes of an exported tune in a world made of stubs. Commands on standard input, numbers on standard output:
//
//   track interface pdg energy x y z ux uy uz time   model a particle; sensitive detectors have one of the interfaces
//                                                    step, gflash, fast (or inactive, none)
//                                                    (time -3: the step does not say by which process it was made)
//   place dz angle                                   calorimeter turned about x, then moved along z
//   wall x                                           no sensitive detector beyond |x|, in world coordinates
//   photons 0|1, minimum energy, attempts n          settings of the model
//   laws pdg eta energy T alpha z tau                what Parameterisation says
//   draw pdg eta energy n                            n times: T of a profile, radius at the mean T, the next radius,
//                                                    a conversion depth
//   getters Z A X0                                   HomoTuning's constants for an element, if it was exported
#include "Parameterisation.hh"
#include "ShowerModel.hh"
#ifdef HOMO_TUNING
#include "HomoTuning.hh"
#endif

#include "G4Element.hh"
#include "G4Exception.hh"
#include "G4FastHit.hh"
#include "G4GFlashSpot.hh"
#include "G4LogicalVolume.hh"
#include "G4Material.hh"
#include "G4RegionStore.hh"
#include "G4Track.hh"
#include "G4TransportationManager.hh"
#include "G4VFastSimSensitiveDetector.hh"
#include "G4VGFlashSensitiveDetector.hh"
#include "G4VPhysicalVolume.hh"
#include "G4VSensitiveDetector.hh"
#include "GFlashEnergySpot.hh"

#include <cmath>
#include <iostream>
#include <random>
#include <vector>

using namespace TUNE;

namespace {

std::mt19937_64 engine(1);

struct Hit {
  G4ThreeVector position;
  G4double energy, time;
};
std::vector<Hit> hits;

// Geant4's own step of the track, made by the process that asks fast-simulation models.
const char byte = 0;
const G4VProcess* const fastSimulation = reinterpret_cast<const G4VProcess*>(&byte);

class StepDetector : public G4VSensitiveDetector {
 public:
  StepDetector() : G4VSensitiveDetector("step") {}

 protected:
  G4bool ProcessHits(G4Step* step, G4TouchableHistory*) override {
    const G4StepPoint* point = step->GetPreStepPoint();
    const bool known = point->GetProcessDefinedStep() == fastSimulation && point->GetMomentumDirection().z() != 0.0;
    hits.push_back({point->GetPosition(), step->GetTotalEnergyDeposit(), known ? point->GetGlobalTime() : -3.0});
    return true;
  }
};

class GFlashDetector : public StepDetector, public G4VGFlashSensitiveDetector {
 protected:
  G4bool ProcessHits(G4GFlashSpot* spot, G4TouchableHistory*) override {
    hits.push_back({spot->GetEnergySpot()->GetPosition(), spot->GetEnergySpot()->GetEnergy(), -1.0});
    return true;
  }
  using StepDetector::ProcessHits;
};

class FastDetector : public StepDetector, public G4VFastSimSensitiveDetector {
  G4bool ProcessHits(const G4FastHit* hit, const G4FastTrack*, G4TouchableHistory*) override {
    hits.push_back({hit->GetPosition(), hit->GetEnergy(), -2.0});
    return true;
  }
  using StepDetector::ProcessHits;
};

StepDetector stepDetector, inactiveDetector;
GFlashDetector gflashDetector;
FastDetector fastDetector;
G4VSensitiveDetector* sensitive = nullptr;
double wall = HUGE_VAL;

G4Navigator tracking;

}  // namespace

double StubUniform() { return std::uniform_real_distribution<double>(1e-16, 1.0)(engine); }

void G4Exception(const char*, const char* code, G4ExceptionSeverity, const char*) { std::cout << "exception " << code << "\n"; }

void G4Navigator::LocateGlobalPointAndUpdateTouchable(const G4ThreeVector& position, G4VTouchable* touchable, G4bool) {
  static G4LogicalVolume nothing(nullptr);
  static G4VPhysicalVolume outside(&nothing);
  static G4LogicalVolume* logical = nullptr;
  static G4VPhysicalVolume* inside = nullptr;
  delete logical;
  delete inside;
  logical = new G4LogicalVolume(sensitive);
  inside = new G4VPhysicalVolume(logical);
  touchable->fVolume = std::abs(position.x()) > wall ? &outside : inside;
}

G4TransportationManager* G4TransportationManager::GetTransportationManager() {
  static G4TransportationManager manager;
  return &manager;
}
G4Navigator* G4TransportationManager::GetNavigatorForTracking() const { return &tracking; }
G4VPhysicalVolume* G4TransportationManager::GetParallelWorld(const G4String&) { return nullptr; }

G4RegionStore* G4RegionStore::GetInstance() { return nullptr; }
G4Region* G4RegionStore::GetRegion(const G4String&, G4bool) const { return nullptr; }

int main() {
  std::cout.precision(17);
  ShowerModel model("model", nullptr);
  std::string command;
  while (std::cin >> command) {
    if (command == "track") {
      std::string interface;
      int pdg = 0;
      double e = 0, x = 0, y = 0, z = 0, ux = 0, uy = 0, uz = 0, time = 0;
      std::cin >> interface >> pdg >> e >> x >> y >> z >> ux >> uy >> uz >> time;
      inactiveDetector.Activate(false);
      sensitive = interface == "step"       ? static_cast<G4VSensitiveDetector*>(&stepDetector)
                  : interface == "gflash"   ? static_cast<G4VSensitiveDetector*>(&gflashDetector)
                  : interface == "fast"     ? static_cast<G4VSensitiveDetector*>(&fastDetector)
                  : interface == "inactive" ? static_cast<G4VSensitiveDetector*>(&inactiveDetector)
                                            : nullptr;
      hits.clear();
      const G4ParticleDefinition particle(pdg);
      G4Track primary(&particle, e, {x, y, z}, {ux, uy, uz}, time);
      G4Step own;
      own.GetPostStepPoint()->SetProcessDefinedStep(fastSimulation);
      primary.SetStep(&own);
      const G4FastTrack track(&primary);
      G4FastStep step;
      const bool triggered = model.IsApplicable(particle) && model.ModelTrigger(track);
      if (triggered) model.DoIt(track, step);
      std::cout << triggered << " " << step.fKilled << " " << step.fLength << " " << step.GetTotalEnergyDeposited() << " "
                << hits.size() << "\n";
      for (const Hit& hit : hits) {
        std::cout << hit.position.x() << " " << hit.position.y() << " " << hit.position.z() << " " << hit.energy << " "
                  << hit.time << "\n";
      }
    } else if (command == "place") {
      double dz = 0, angle = 0;
      std::cin >> dz >> angle;
      G4AffineTransform placement(G4ThreeVector(0.0, 0.0, dz));
      placement.fM[1][1] = placement.fM[2][2] = std::cos(angle);
      placement.fM[2][1] = std::sin(angle);
      placement.fM[1][2] = -std::sin(angle);
      model.SetPlacement(placement);
    } else if (command == "wall") {
      std::cin >> wall;
    } else if (command == "photons") {
      bool value = false;
      std::cin >> value;
      model.SetParametrisePhotons(value);
    } else if (command == "minimum") {
      double value = 0;
      std::cin >> value;
      model.SetMinimumEnergy(value);
    } else if (command == "attempts") {
      int value = 0;
      std::cin >> value;
      model.SetAttempts(value);
    } else if (command == "laws") {
      int pdg = 0;
      double eta = 0, e = 0, t = 0, alpha = 0, z = 0, tau = 0;
      std::cin >> pdg >> eta >> e >> t >> alpha >> z >> tau;
      Parameterisation laws(pdg, eta);
      GVFlashShowerParameterisation& base = laws;
      base.ComputeLongitudinalParameters(e / base.GetEc());
      base.GenerateNSpotProfile(e / base.GetEc());
      laws.SetEnergyProfile(t, alpha);
      base.ComputeRadialParameters(e, tau);
      const Population& p = laws.GetPopulation();
      const Radii& r = laws.GetRadii();
      std::cout << p.meanLnT << " " << p.meanLnAlpha << " " << p.sigmaLnT << " " << p.sigmaLnAlpha << " " << p.rho << " "
                << base.GetNspot() << " " << base.IntegrateEneLongitudinal(z) << " " << base.IntegrateNspLongitudinal(z)
                << " " << base.ComputeTau(z) << " " << r.core << " " << r.tail << " " << r.weight << " "
                << base.GetAveTmx() << " " << base.GetAveT90() << " " << base.GetAveT99() << " " << base.GetAveR90()
                << " " << base.GetAveR99() << " " << base.GetX0() << " " << base.GetEc() << " " << base.GetRm() << "\n";
    } else if (command == "draw") {
      int pdg = 0, n = 0;
      double eta = 0, e = 0;
      std::cin >> pdg >> eta >> e >> n;
      Parameterisation laws(pdg, eta);
      GVFlashShowerParameterisation& base = laws;
      for (int k = 0; k < n; ++k) {
        base.GenerateLongitudinalProfile(e);
        std::cout << 1.0 / base.ComputeTau(base.GetX0()) << " " << base.GenerateRadius(0, e, base.GetAveTmx())
                  << " " << base.GenerateRadius(1, e, 0.0) << " " << base.GenerateExponential(e) << "\n";
      }
#ifdef HOMO_TUNING
    } else if (command == "getters") {
      double z = 0, a = 0, x0 = 0;
      std::cin >> z >> a >> x0;
      const G4Element element(z, a);
      G4Material material("material", x0);
      material.AddElement(&element, 1.0);
      HomoTuning tuning(&material);
      GVFlashHomoShowerTuning& base = tuning;
      for (const double value :
           {base.ParAveT1(),   base.ParAveA1(),   base.ParAveA2(),   base.ParAveA3(),    base.ParSigLogT1(), base.ParSigLogT2(),
            base.ParSigLogA1(), base.ParSigLogA2(), base.ParRho1(),  base.ParRho2(),     base.ParRC1(),      base.ParRC2(),
            base.ParRC3(),     base.ParRC4(),     base.ParRT1(),     base.ParRT2(),      base.ParRT3(),      base.ParRT4(),
            base.ParRT5(),     base.ParRT6(),     base.ParWC1(),     base.ParWC2(),      base.ParWC3(),      base.ParWC4(),
            base.ParWC5(),     base.ParWC6(),     base.ParSpotN1(),  base.ParSpotN2(),   base.ParSpotT1(),   base.ParSpotT2(),
            base.ParSpotA1(),  base.ParSpotA2()}) {
        std::cout << value << " ";
      }
      std::cout << "\n";
#endif
    }
  }
}
