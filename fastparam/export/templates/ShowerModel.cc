#include "ShowerModel.hh"

#include "G4Exception.hh"
#include "G4FastStep.hh"
#include "G4FastTrack.hh"
#include "G4ParticleDefinition.hh"
#include "G4PhysicalConstants.hh"
#include "G4Track.hh"
#include "Randomize.hh"

#include <sstream>

namespace @NAMESPACE@ {

namespace {

/// Geant4's engine as the formulas want it. Geant4's own units are mm, MeV and ns: nothing is converted here.
struct Engine {
  double Uniform() const { return G4UniformRand(); }
};

constexpr int kPhoton = 22;

}  // namespace

ShowerModel::ShowerModel(const G4String& name)
  : G4VFastSimulationModel(name), fDepositor(std::make_unique<SpotDepositor>())
{}

ShowerModel::ShowerModel(const G4String& name, G4Envelope* envelope)
  : G4VFastSimulationModel(name, envelope), fDepositor(std::make_unique<SpotDepositor>())
{}

void ShowerModel::SetPlacement(const G4AffineTransform& calorimeterToWorld) {
  fToWorld = calorimeterToWorld;
  fFromWorld = calorimeterToWorld.Inverse();
}

G4bool ShowerModel::IsApplicable(const G4ParticleDefinition& particle) {
  const G4int pdg = particle.GetPDGEncoding();
  if (pdg == kPhoton && !fPhotons) return false;
  for (const Slice& slice : kTune) {
    if (slice.pdg == pdg || slice.pdg == -pdg) return true;
  }
  return false;
}

Verdict ShowerModel::Begin(const G4FastTrack& track) {
  const G4Track* primary = track.GetPrimaryTrack();
  const G4ThreeVector start = fFromWorld.TransformPoint(primary->GetPosition());
  const G4ThreeVector along = fFromWorld.TransformAxis(primary->GetMomentumDirection());
  const double position[3] = {start.x(), start.y(), start.z()}, direction[3] = {along.x(), along.y(), along.z()};
  return fShower.Begin(primary->GetParticleDefinition()->GetPDGEncoding(), primary->GetKineticEnergy(), position,
                       direction);
}

G4bool ShowerModel::ModelTrigger(const G4FastTrack& track) {
  return track.GetPrimaryTrack()->GetKineticEnergy() >= fMinimumEnergy && Begin(track) == Verdict::kAccepted;
}

void ShowerModel::DoIt(const G4FastTrack& track, G4FastStep& step) {
  if (Begin(track) != Verdict::kAccepted) return;  // not reached: the trigger has asked
  Engine engine;
  fShower.Draw(engine);
  fDepositor->BeginShower();
  G4double deposited = 0.0;
  for (long n = 0; n < fShower.GetNumberOfSpots(); ++n) {
    Spot spot = fShower.DrawSpot(engine);
    for (G4int attempt = 1; attempt <= fAttempts; ++attempt) {
      const G4ThreeVector position =
        fToWorld.TransformPoint(G4ThreeVector(spot.position[0], spot.position[1], spot.position[2]));
      if (fDepositor->Deposit(position, spot.energy, spot.path / CLHEP::c_light, track)) {
        deposited += spot.energy;
        break;
      }
      if (attempt < fAttempts) spot = fShower.Redraw(engine, spot);
    }
  }
  step.KillPrimaryTrack();
  step.ProposePrimaryTrackPathLength(0.0);
  step.ProposeTotalEnergyDeposited(deposited);
  if (!fWarned && deposited < 0.5 * fShower.GetVisibleEnergy()) {
    fWarned = true;
    std::ostringstream message;
    message << "Only " << deposited << " of " << fShower.GetVisibleEnergy()
            << " MeV of a shower met active sensitive detectors. Do the layers of " << kName
            << " stand where they stood in full simulation (else: SetPlacement), with sensitive detectors in them? Said "
               "once.";
    G4Exception("@NAMESPACE@::ShowerModel::DoIt", "fastparam001", JustWarning, message.str().c_str());
  }
}

}  // namespace @NAMESPACE@
