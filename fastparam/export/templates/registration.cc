// How an application uses the model; all that is needed beside its own geometry, sensitive detectors and physics list.
#include "@NAMESPACE@/ShowerModel.hh"

#include "G4FastSimulationPhysics.hh"
#include "G4LogicalVolume.hh"
#include "G4Region.hh"
#include "G4RegionStore.hh"
#include "G4VModularPhysicsList.hh"

// In main(), before the run manager is initialised: let these particles ask fast-simulation models.
void ActivateFastSimulation(G4VModularPhysicsList* physicsList) {
  auto* fastSimulation = new G4FastSimulationPhysics();
  fastSimulation->ActivateFastSimulation("e-");
  fastSimulation->ActivateFastSimulation("e+");
  fastSimulation->ActivateFastSimulation("gamma");
  physicsList->RegisterPhysics(fastSimulation);
}

// In G4VUserDetectorConstruction::Construct(): the volume that holds all declared layers becomes a region. A particle is
// parametrised where it enters it, or where it is born inside.
void MakeRegion(G4LogicalVolume* calorimeter) {
  auto* region = new G4Region("@NAMESPACE@");
  calorimeter->SetRegion(region);
  region->AddRootLogicalVolume(calorimeter);
}

// In G4VUserDetectorConstruction::ConstructSDandField(), which runs once in every thread.
void AttachModel() {
  G4Region* region = G4RegionStore::GetInstance()->GetRegion("@NAMESPACE@");
  auto* model = new @NAMESPACE@::ShowerModel("@NAMESPACE@", region);
  // Optional, with their defaults: a calorimeter that stands elsewhere than in the full simulation of the tune,
  // photons left to Geant4 until they convert, a higher threshold.
  model->SetPlacement(G4AffineTransform());
  model->SetParametrisePhotons(true);
  model->SetMinimumEnergy(0.0);
}
