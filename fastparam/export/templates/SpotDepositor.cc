#include "SpotDepositor.hh"

#include "G4FastHit.hh"
#include "G4GFlashSpot.hh"
#include "G4LogicalVolume.hh"
#include "G4StepPoint.hh"
#include "G4TouchableHistory.hh"
#include "G4Track.hh"
#include "G4TransportationManager.hh"
#include "G4VFastSimSensitiveDetector.hh"
#include "G4VGFlashSensitiveDetector.hh"
#include "G4VPhysicalVolume.hh"
#include "G4VSensitiveDetector.hh"
#include "GFlashEnergySpot.hh"

namespace @NAMESPACE@ {

SpotDepositor::SpotDepositor(const G4String& world) : fWorld(world), fTouchable(new G4TouchableHistory()) {}

void SpotDepositor::BeginShower() {
  // Looked up every time: a geometry may be rebuilt between runs.
  G4TransportationManager* transportation = G4TransportationManager::GetTransportationManager();
  fNavigator.SetWorldVolume(fWorld.empty() ? transportation->GetNavigatorForTracking()->GetWorldVolume()
                                           : transportation->GetParallelWorld(fWorld));
  fLocated = false;
}

G4bool SpotDepositor::Deposit(const G4ThreeVector& position, G4double energy, G4double delay,
                              const G4FastTrack& track) {
  // Relative to the last spot, which is near, from the second spot on.
  fNavigator.LocateGlobalPointAndUpdateTouchable(position, fTouchable(), fLocated);
  fLocated = true;
  G4VPhysicalVolume* volume = fTouchable->GetVolume();
  if (volume == nullptr) return false;
  G4LogicalVolume* logical = volume->GetLogicalVolume();
  G4VSensitiveDetector* sensitive = logical->GetSensitiveDetector();
  if (sensitive == nullptr || !sensitive->isActive()) return false;

  if (auto* fast = dynamic_cast<G4VFastSimSensitiveDetector*>(sensitive)) {
    const G4FastHit hit(position, energy);
    fast->Hit(&hit, &track, &fTouchable);
    return true;
  }
  if (auto* gflash = dynamic_cast<G4VGFlashSensitiveDetector*>(sensitive)) {
    GFlashEnergySpot energySpot(position, energy);
    G4GFlashSpot spot(&energySpot, &track, fTouchable);
    gflash->Hit(&spot);
    return true;
  }
  // As the stepping manager fills a step, as far as it means something for a spot: detectors may ask for any of it.
  const G4Track* primary = track.GetPrimaryTrack();
  const G4Step* own = primary->GetStep();
  const G4VProcess* process = own == nullptr ? nullptr : own->GetPostStepPoint()->GetProcessDefinedStep();
  fStep.SetTrack(const_cast<G4Track*>(primary));
  fStep.SetTotalEnergyDeposit(energy);
  G4StepPoint* const ends[2] = {fStep.GetPreStepPoint(), fStep.GetPostStepPoint()};
  for (G4StepPoint* point : ends) {
    point->SetPosition(position);
    point->SetGlobalTime(primary->GetGlobalTime() + delay);
    point->SetLocalTime(primary->GetLocalTime() + delay);
    point->SetMomentumDirection(primary->GetMomentumDirection());
    point->SetWeight(primary->GetWeight());
    point->SetTouchableHandle(fTouchable);
    point->SetMaterial(logical->GetMaterial());
    point->SetMaterialCutsCouple(logical->GetMaterialCutsCouple());
    point->SetSensitiveDetector(sensitive);
    point->SetStepStatus(fUserDefinedLimit);
    point->SetProcessDefinedStep(process);
  }
  sensitive->Hit(&fStep);
  return true;
}

}  // namespace @NAMESPACE@
