#include "Parameterisation.hh"

#include "G4Exception.hh"
#include "Randomize.hh"

namespace @NAMESPACE@ {

namespace {

struct Engine {
  double Uniform() const { return G4UniformRand(); }
};

}  // namespace

Parameterisation::Parameterisation(G4int pdg, G4double eta) {
  const G4double side = kMirrored ? std::abs(eta) : eta;
  G4double nearest = HUGE_VAL;
  for (const Slice& slice : kTune) {
    const G4double distance = std::abs(side - Clamp(side, slice.etaLow, slice.etaHigh));
    if ((slice.pdg == pdg || slice.pdg == -pdg) && distance < nearest) {
      nearest = distance;
      fSlice = &slice;
    }
  }
  if (fSlice == nullptr) {
    G4Exception("@NAMESPACE@::Parameterisation", "fastparam002", FatalException, "The tune has no such particle.");
    fSlice = kTune;  // for an application that overrides what "fatal" means
  }
  Z = kZ;
  A = kA;
  density = kDensity;
  X0 = kRadiationLength;
  Ec = kCriticalEnergy;
  Rm = kMoliereRadius;
  // Defined from the start: the profile at the lowest tuned energy.
  ComputeLongitudinalParameters(fSlice->energyLow / Ec);
  GenerateNSpotProfile(fSlice->energyLow / Ec);
  SetEnergyProfile(std::exp(fPopulation.meanLnT), std::exp(fPopulation.meanLnAlpha));
  ComputeRadialParameters(fEnergy, 1.0);
}

void Parameterisation::GenerateLongitudinalProfile(G4double energy) {
  const G4double y = energy / Ec;
  ComputeLongitudinalParameters(y);
  GenerateEnergyProfile(y);
  GenerateNSpotProfile(y);
}

void Parameterisation::ComputeLongitudinalParameters(G4double y) {
  fEnergy = y * Ec;
  fPopulation = EvaluatePopulation(*fSlice, std::log(y));
}

void Parameterisation::GenerateEnergyProfile(G4double) {
  Engine engine;
  G4double lnT = 0.0, lnAlpha = 0.0;
  DrawShape(engine, fPopulation, lnT, lnAlpha);
  SetEnergyProfile(std::exp(lnT), std::exp(lnAlpha));
}

void Parameterisation::SetEnergyProfile(G4double maximum, G4double alpha) {
  fMaximum = maximum;
  fAlpha = alpha;
}

void Parameterisation::GenerateNSpotProfile(G4double y) {
  NSpot = MeanSpots(*fSlice, y * Ec);
}

G4double Parameterisation::IntegrateEneLongitudinal(G4double z) {
  return GammaP(fAlpha, (fAlpha - 1.0) / fMaximum * z / X0);
}

G4double Parameterisation::IntegrateNspLongitudinal(G4double z) {
  return IntegrateEneLongitudinal(z);
}

G4double Parameterisation::ComputeTau(G4double z) {
  return z / X0 / fMaximum;
}

void Parameterisation::ComputeRadialParameters(G4double energy, G4double tau) {
  fRadii = EvaluateRadii(*fSlice, energy, tau);
}

G4double Parameterisation::GenerateRadius(G4int spot, G4double energy, G4double z) {
  if (spot < 1) ComputeRadialParameters(energy, ComputeTau(z));
  return Rm * RadiusAt(fRadii, G4UniformRand());
}

G4double Parameterisation::GenerateExponential(G4double) {
  return -9.0 / 7.0 * X0 * std::log(G4UniformRand());
}

G4double Parameterisation::GetAveR99() {
  return Rm * RadiusHolding(EvaluateRadii(*fSlice, fEnergy, 1.0), 0.99);
}

G4double Parameterisation::GetAveR90() {
  return Rm * RadiusHolding(EvaluateRadii(*fSlice, fEnergy, 1.0), 0.90);
}

G4double Parameterisation::GetAveTmx() {
  return X0 * std::exp(fPopulation.meanLnT);
}

G4double Parameterisation::GetAveT99() {
  return X0 * DepthHolding(std::exp(fPopulation.meanLnT), std::exp(fPopulation.meanLnAlpha), 0.99);
}

G4double Parameterisation::GetAveT90() {
  return X0 * DepthHolding(std::exp(fPopulation.meanLnT), std::exp(fPopulation.meanLnAlpha), 0.90);
}

}  // namespace @NAMESPACE@
