// One shower: the particle's line through the calorimeter, the numbers drawn for it, and its energy spots.
//
// Positions are in mm in the frame of the calorimeter of TuneData.hh (barrel: layers in radius about the z axis; planar:
// layers in z), energies in MeV. Spots carry visible energy: what the active layers showed in full simulation. Depth is
// counted along the line from the front of the first declared layer, or from the start of a particle that is born behind
// it. Radii are transverse to the line, so that showers keep their symmetry about it at any incidence.
#ifndef @GUARD@_SHOWER_HH
#define @GUARD@_SHOWER_HH

#include "TuneData.hh"

#include <cstddef>
#include <vector>

namespace @NAMESPACE@ {

/// Why a particle is parametrised, or not.
enum class Verdict { kAccepted, kParticle, kEnergy, kEta, kDirection };

struct Spot {
  double position[3];
  double path;  // along the line, from the particle's start
  int segment, layer;
  double energy;  // visible
};

class Shower {
 public:
  Shower() {
    int k = 0;
    for (int m = 0; m < kLayers; ++m) {
      const double width = 1.0 / kPieces[m];
      for (int n = 0; n < kPieces[m]; ++n) fSegments[k++] = {m, n * width, n + 1 < kPieces[m] ? (n + 1) * width : 1.0};
    }
  }

  /// Take a particle: PDG code, kinetic energy, position, unit vector along the momentum.
  Verdict Begin(int pdg, double energy, const double* position, const double* direction) {
    const Verdict verdict = Choose(pdg, energy, direction);
    if (verdict != Verdict::kAccepted) return verdict;
    fEnergy = energy;
    for (int k = 0; k < 3; ++k) {
      fOrigin[k] = position[k];
      fU[k] = direction[k];
    }
    fSide = kMirrored && direction[2] < 0.0 ? -1.0 : 1.0;
    fOrigin[2] *= fSide;
    fU[2] *= fSide;
    return SetLine() ? Verdict::kAccepted : Verdict::kDirection;
  }

  /// Draw everything but the spots; `Begin` must have accepted the particle.
  template <class Random>
  void Draw(Random& random) {
    DrawVisibleEnergy(random);
    DrawProfile(random);
    DrawGroups(random);
  }

  template <class Random>
  void DrawVisibleEnergy(Random& random) {
    const double z = Normal(random), u = random.Uniform();
    fVisible = u < Blend([&](const Slice& s) { return ZeroProbability(s, fEnergy); })
                   ? 0.0
                   : fEnergy * Blend([&](const Slice& s) { return VisibleRatio(s, fEnergy, z); });
    fVisible *= Blend([&](const Slice& s) { return Modulation(s, 0, fEnergy, fPhase[0]); });
  }

  template <class Random>
  void DrawProfile(Random& random) {
    const double lnY = std::log(fEnergy / kCriticalEnergy);
    const Population lower = SampledPopulation(*fLower, lnY), upper = SampledPopulation(*fUpper, lnY);
    const double w = fWeight, v = 1.0 - w;
    Population law = {v * lower.meanLnT + w * upper.meanLnT, v * lower.meanLnAlpha + w * upper.meanLnAlpha,
                      v * lower.sigmaLnT + w * upper.sigmaLnT, v * lower.sigmaLnAlpha + w * upper.sigmaLnAlpha,
                      v * lower.rho + w * upper.rho};
    // A path ends within the calorimeter: showers that show nothing are drawn by the response already.
    const double path = Blend([&](const Slice& s) { return MeanPath(s, fEnergy); });
    fStart = path > 0.0 ? -path * std::log(1.0 - random.Uniform() * -std::expm1(-kDepth / path)) : 0.0;
    law.meanLnT += Blend([](const Slice& s) { return s.trend[0]; }) * (fStart - path);
    law.meanLnAlpha += Blend([](const Slice& s) { return s.trend[1]; }) * (fStart - path);
    fPair = Blend([&](const Slice& s) { return PairEnergy(s, lnY); });
    double tables[2][kMarginalNodes], other[2][kMarginalNodes];
    const bool tabulated = fLower->marginals != nullptr || fUpper->marginals != nullptr;
    if (tabulated) {
      const double below = EvaluateMarginals(*fLower, lnY, tables), above = EvaluateMarginals(*fUpper, lnY, other);
      for (int q = 0; q < 2; ++q) {
        for (int n = 0; n < kMarginalNodes; ++n) tables[q][n] = v * tables[q][n] + w * other[q][n];
      }
      law.rho *= v * below + w * above;
    }
    double lnT = 0.0, lnAlpha = 0.0;
    DrawShape(random, law, lnT, lnAlpha, tabulated ? tables : nullptr);
    SetSpectrum();
    const long spots =
        Poisson(random, fGroupFactor * Blend([&](const Slice& s) { return MeanSpots(s, fEnergy); }));
    fMaximum = std::exp(lnT);
    fAlpha = std::exp(lnAlpha);
    fSpots = fGroups = spots > 1 ? spots : 1;
    Tabulate();
    if (!(fVisible > 0.0)) fSpots = fGroups = 0;
  }

  /// Draw segment and number of spots of every group, where the tune has groups; before the first spot.
  template <class Random>
  void DrawGroups(Random& random) {
    fDrawn.clear();
    fWeights.clear();
    fGroup = -1;
    fLeft = 0;
    if (!kAnySplits || fGroups == 0) return;
    double c[3];
    for (int k = 0; k < 3; ++k) c[k] = Blend([&](const Slice& s) { return SpotsPerGroup(s, k, fEnergy); });
    c[0] += std::log(fSpotFactor);
    fSpots = 0;
    for (long j = 0; j < fGroups; ++j) {
      const int segment = Find(fTable, kSegments, random.Uniform() * fTable[kSegments - 1]);
      const double age = Clamp(fAge[segment], kMinAge, kMaxAge);
      const double wanted = std::exp(c[0] + c[1] * std::log(age) + c[2] * age), mean = wanted > 1.0 ? wanted : 1.0;
      // Rounded up or down so that the mean of 1 / number is right.
      const double below = std::floor(mean);
      const long number = static_cast<long>(below) + (random.Uniform() > below * ((below + 1.0) / mean - 1.0) ? 1 : 0);
      fDrawn.push_back({segment, number});
      fSpots += number;
    }
    if (!(fSpread > 0.0)) return;
    fAllWeights = 0.0;
    for (const Group& group : fDrawn) {
      for (long n = 0; n < group.number; ++n) {
        fWeights.push_back(std::exp(fSpread * Normal(random) - 0.5 * fSpread * fSpread) / group.number);
        fAllWeights += fWeights.back();
      }
    }
    fNextWeight = 0;
  }

  /// The next spot of the shower; call it as often as there are spots.
  template <class Random>
  Spot DrawSpot(Random& random) {
    if (!fDrawn.empty()) {
      if (fLeft == 0) fLeft = fDrawn[++fGroup].number;
      --fLeft;
      const Group& group = fDrawn[fGroup];
      const double inner = random.Uniform();
      const double energy = fWeights.empty() ? fVisible / (fGroups * group.number)
                                             : fVisible * fWeights[fNextWeight++] / fAllWeights;
      return Place(random, group.segment, inner, energy);
    }
    const double wanted = random.Uniform() * fTable[kSegments - 1];
    const int low = Find(fTable, kSegments, wanted);
    const double below = low > 0 ? fTable[low - 1] : 0.0, width = fTable[low] - below;
    return Place(random, low, (wanted - below) / (width > 1e-300 ? width : 1e-300), fVisible / fSpots);
  }

  /// Another spot at the depth of one that cannot be used.
  template <class Random>
  Spot Redraw(Random& random, const Spot& spot) const {
    const double inner = random.Uniform();
    return Place(random, spot.segment, inner, spot.energy);
  }

  double GetVisibleEnergy() const { return fVisible; }
  /// Depth in X0 of a photon's conversion; 0 where profiles start at the front.
  double GetStart() const { return fStart; }
  /// Depth of the maximum of the profile, from its start.
  double GetMaximum() const { return fMaximum; }
  double GetAlpha() const { return fAlpha; }
  long GetNumberOfSpots() const { return fSpots; }

 private:
  /// A share `from` to `to` of a layer's period, within which the profile counts as flat.
  struct Segment {
    int layer;
    double from, to;
  };

  /// Spots that share a segment of depth and equal parts of an energy.
  struct Group {
    int segment;
    long number;
  };

  /// Number of the first of `n` cumulative values that is not below `wanted`; the last one if none is.
  static int Find(const double* table, int n, double wanted) {
    int low = 0, high = n - 1;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (table[middle] < wanted) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  template <class Law>
  double Blend(Law law) const {
    const double lower = law(*fLower);
    return fWeight > 0.0 ? (1.0 - fWeight) * lower + fWeight * law(*fUpper) : lower;
  }

  /// Find the slices that serve a particle: in a barrel the two between whose middles it lies, else twice the same.
  Verdict Choose(int pdg, double energy, const double* u) {
    int served = 0;
    for (int k = 0; k < kSlices && served == 0; ++k) served = kTune[k].pdg == pdg ? pdg : 0;
    for (int k = 0; k < kSlices && served == 0; ++k) served = kTune[k].pdg == -pdg ? -pdg : 0;
    if (served == 0) return Verdict::kParticle;
    const double signedEta = kBarrel ? std::asinh(u[2] / std::hypot(u[0], u[1])) : 0.0;
    const double eta = kMirrored ? std::abs(signedEta) : signedEta;
    const auto middle = [](const Slice* s) { return 0.5 * (s->etaLow + s->etaHigh); };
    const Slice *first = nullptr, *last = nullptr, *below = nullptr, *above = nullptr;
    for (const Slice& slice : kTune) {  // slices of a particle are in the order of eta
      if (slice.pdg != served) continue;
      if (first == nullptr) first = &slice;
      last = &slice;
      if (below == nullptr || middle(&slice) <= eta) {
        below = &slice;
        above = nullptr;
      } else if (above == nullptr) {
        above = &slice;
      }
    }
    if (kBarrel && !(eta >= first->etaLow - kEtaMargin * (first->etaHigh - first->etaLow) &&
                     eta <= last->etaHigh + kEtaMargin * (last->etaHigh - last->etaLow))) {
      return Verdict::kEta;
    }
    fLower = fUpper = below;
    fWeight = 0.0;
    if (kBarrel && above != nullptr && eta > middle(below)) {
      fUpper = above;
      fWeight = (eta - middle(below)) / (middle(above) - middle(below));
    }
    const auto covers = [energy](const Slice& s) {
      return s.energyLow * (1.0 - kEnergyMargin) <= energy && energy <= s.energyHigh * (1.0 + kEnergyMargin);
    };
    if (!covers(*fLower) || !covers(*fUpper)) return Verdict::kEnergy;
    return Verdict::kAccepted;
  }

  /// Path from the start to a surface of radius or z `level`; for a line that misses it, to its closest approach.
  double Crossing(double level) const {
    if (!kBarrel) return (level - fOrigin[2]) / fU[2];
    const double root = fB * fB - fA * (fC - level * level);
    return (-fB + std::sqrt(root > 0.0 ? root : 0.0)) / fA;
  }

  bool SetLine() {
    double reference[3] = {kBarrel ? 0.0 : 1.0, 0.0, kBarrel ? 1.0 : 0.0};
    const double along = kBarrel ? fU[2] : fU[0];
    double length = 0.0;
    for (int k = 0; k < 3; ++k) {
      fE1[k] = reference[k] - along * fU[k];
      length += fE1[k] * fE1[k];
    }
    if (length < 1e-12) return false;
    for (double& component : fE1) component /= std::sqrt(length);
    // e2 = growing phi in a barrel (e1 x u), u x e1 in a planar detector.
    const double sign = kBarrel ? 1.0 : -1.0;
    for (int k = 0; k < 3; ++k) {
      const int i = (k + 1) % 3, j = (k + 2) % 3;
      fE2[k] = sign * (fE1[i] * fU[j] - fE1[j] * fU[i]);
    }
    fA = fU[0] * fU[0] + fU[1] * fU[1];
    fB = fOrigin[0] * fU[0] + fOrigin[1] * fU[1];
    fC = fOrigin[0] * fOrigin[0] + fOrigin[1] * fOrigin[1];
    if (kBarrel ? fA < 1e-4 : fU[2] < kMinCosine) return false;
    const double level = kBarrel ? std::sqrt(fC) : fOrigin[2];
    fInside = level > kSlabFrom[0];
    if (level >= kPeriodTo[kLayers - 1] || (kBarrel && fInside && fB <= 0.0)) return false;
    // Matter behind a particle that is born inside does not count.
    const double start = fInside ? 0.0 : -HUGE_VAL;
    SetDepths(start, fT0, fT1);
    for (int m = 0; m < kLayers; ++m) {
      fPeriodIn[m] = Later(Crossing(kPeriodFrom[m]), start);
      fPeriodOut[m] = Later(Crossing(kPeriodTo[m]), start);
      fActiveIn[m] = Later(Crossing(kLayerFrom[m]), start);
      fActiveOut[m] = Later(Crossing(kLayerTo[m]), start);
    }
    SetPhases();
    return true;
  }

  /// Phases at which the line crosses the middle of all modulated layers, and of each layer.
  void SetPhases() {
    if (!(kPitch > 0.0)) return;
    for (int q = 0; q <= kLayers; ++q) {
      const double s = Crossing(kPhaseRadius[q]);
      const double turns = std::atan2(fOrigin[1] + s * fU[1], fOrigin[0] + s * fU[0]) / kPitch;
      fPhase[q] = kTwoPi * (turns - std::floor(turns));
    }
  }

  static double Later(double path, double start) { return path > start ? path : start; }

  /// Depths in X0 at both ends of every layer's period, counted from `start` or from the first declared layer.
  void SetDepths(double start, double* t0, double* t1) const {
    double depth = 0.0;
    int from = 0, to = 0;  // periods are in order, so are the slabs
    for (int n = 0; n < kSlabs; ++n) {
      const double in = Later(Crossing(kSlabFrom[n]), start), out = Later(Crossing(kSlabTo[n]), start);
      const double next = n + 1 < kSlabs ? kSlabFrom[n + 1] : HUGE_VAL;
      const auto at = [&](double level) {
        const double s = Later(Crossing(level), start), inside = (s < out ? s : out) - in;
        return depth + (inside > 0.0 ? inside : 0.0) / kSlabX0[n];
      };
      for (; from < kLayers && kPeriodFrom[from] < next; ++from) t0[from] = at(kPeriodFrom[from]);
      for (; to < kLayers && kPeriodTo[to] < next; ++to) t1[to] = at(kPeriodTo[to]);
      depth += (out - in) / kSlabX0[n];
    }
  }

  /// Energy of the segments of a line with the depths t0, t1 in units of the whole profile; returns the sum.
  double Integrate(const double* t0, const double* t1, double start, double pair, double maximum, double alpha,
                   double* parts) const {
    double factor[kMedia];
    for (int m = 0; m < kMedia; ++m) factor[m] = Blend([&](const Slice& s) { return LayerFactor(s, m, fEnergy); });
    const double beta = (alpha - 1.0) / maximum;
    double total = 0.0, edge = -1.0, atEdge = 0.0;
    for (int k = 0; k < kSegments; ++k) {
      const int m = fSegments[k].layer;
      const double a = Later(t0[m] + fSegments[k].from * (t1[m] - t0[m]) - start, 0.0);
      const double b = Later(t0[m] + fSegments[k].to * (t1[m] - t0[m]) - start, 0.0);
      if (a != edge) atEdge = GammaP(alpha, beta * a);
      const double upper = GammaP(alpha, beta * b);
      parts[k] = upper > atEdge ? upper - atEdge : 0.0;
      if (pair > 0.0) parts[k] += pair * (std::exp(-a) - std::exp(-b));
      parts[k] *= factor[kLayerMedium[m]];
      total += parts[k];
      edge = b;
      atEdge = upper;
    }
    return total;
  }

  /// Turn the energies of segments into cumulative ones, the main medium warped on the scale of its own profile.
  void Accumulate() {
    double a[kWarps], ofMain = 0.0;
    for (int j = 1; j <= kWarps; ++j) a[j - 1] = Blend([&](const Slice& s) { return WarpCoefficient(s, j, fEnergy); });
    const auto isMain = [&](int k) { return kLayerMedium[fSegments[k].layer] == fLower->mainMedium; };
    for (int k = 0; k < kSegments; ++k) ofMain += isMain(k) ? fTable[k] : 0.0;
    double scale[kLayers];
    for (int m = 0; m < kLayers; ++m) {
      scale[m] = Blend([&](const Slice& s) { return Modulation(s, 1 + m, fEnergy, fPhase[1 + m]); });
    }
    double added[kSegments] = {};
    if (kAnyLayerShift) {
      const double maximum = std::exp(Blend([&](const Slice& s) { return Reference(s, 0, fEnergy); }));
      const double alpha = std::exp(Blend([&](const Slice& s) { return Reference(s, 1, fEnergy); }));
      const double ofAdded = Integrate(fT0, fT1, 0.0, 0.0, maximum, alpha, added);
      double own = 0.0;
      for (int k = 0; k < kSegments; ++k) own += fTable[k];
      for (int k = 0; k < kSegments; ++k) {
        const int m = fSegments[k].layer;
        added[k] *= Blend([&](const Slice& s) { return LayerShift(s, m, fEnergy); }) * own /
                    (ofAdded > 1e-300 ? ofAdded : 1e-300);
      }
    }
    double total = 0.0, before = 0.0, warped = 0.0;
    for (int k = 0; k < kSegments; ++k) {
      double energy = fTable[k];
      if (isMain(k) && ofMain > 0.0) {
        before += energy / ofMain;
        double after = before;
        for (int j = 1; j <= kWarps; ++j) after += a[j - 1] * std::sin(j * (0.5 * kTwoPi) * before);
        energy = after > warped ? (after - warped) * ofMain : 0.0;
        warped = after > warped ? after : warped;
      }
      energy += added[k];
      total += (energy > 0.0 ? energy : 0.0) * scale[fSegments[k].layer];
      fTable[k] = total;
    }
  }

  /// Width of the spectrum of spots, and the factors on groups and spots per group that keep the fluctuations.
  void SetSpectrum() {
    const double variance = Blend([&](const Slice& s) { return SpotVariance(s, fEnergy); });
    double c = 0.0;
    for (int k : {0, 2}) c += Blend([&](const Slice& s) { return SpotsPerGroup(s, k, fEnergy); });
    c = std::exp(c) > 1.0 ? std::exp(c) : 1.0;
    fGroupFactor = 1.0 + variance / (c + (c - 1.0) * variance);
    fSpotFactor = (1.0 + variance) / fGroupFactor;
    fSpread = std::sqrt(std::log1p(variance));
  }

  void Tabulate() {
    const double total = Integrate(fT0, fT1, fStart, fPair, fMaximum, fAlpha, fTable);
    if (!(total > 0.0)) fVisible = 0.0;
    if (fInside && fVisible > 0.0) {
      // The tuned visible energy is that of showers from the front; less matter is left to this one.
      double t0[kLayers], t1[kLayers], parts[kSegments];
      SetDepths(-HUGE_VAL, t0, t1);
      const double share = total / Integrate(t0, t1, fStart, fPair, fMaximum, fAlpha, parts);
      if (share < 1.0) fVisible *= share;
    }
    Accumulate();
    fMirrored = Blend([](const Slice& s) { return s.mirrored; });
    for (int k = 0; k < kSegments; ++k) {
      const int m = fSegments[k].layer;
      const double t = fT0[m] + 0.5 * (fSegments[k].from + fSegments[k].to) * (fT1[m] - fT0[m]);
      fAge[k] = t / (fStart + fMaximum);
      fTabulated[k] = false;
      const Radii lower = EvaluateRadii(*fLower, fEnergy, t / (fStart + fMaximum));
      fRadii[k] = lower;
      if (fWeight > 0.0) {
        const Radii upper = EvaluateRadii(*fUpper, fEnergy, t / (fStart + fMaximum));
        fRadii[k] = {(1.0 - fWeight) * lower.core + fWeight * upper.core,
                     (1.0 - fWeight) * lower.tail + fWeight * upper.tail,
                     (1.0 - fWeight) * lower.weight + fWeight * upper.weight};
      }
    }
  }

  /// Energy in front of the end of every bin of u at the age of a segment.
  void WarpShares(int segment) const {
    const double age = fAge[segment];
    int n = 0;
    while (n < kAgeNodes - 2 && age >= kAges[n + 1]) ++n;
    const double x = Clamp((age - kAges[n]) / (kAges[n + 1] - kAges[n]), 0.0, 1.0);
    double s[kShareNodes];
    for (int j = 0; j < kShareNodes; ++j) {
      s[j] = (1.0 - x) * Blend([&](const Slice& slice) { return RadialWarp(slice, n, j, fEnergy); }) +
             x * Blend([&](const Slice& slice) { return RadialWarp(slice, n + 1, j, fEnergy); });
    }
    double total = 0.0;
    double* shares = fShares[segment];
    for (int b = 0; b < kShareBins; ++b) {
      const int j = kShareNode[b];
      const double value = (1.0 - kShareWeight[b]) * s[j] + kShareWeight[b] * s[j + 1];
      total += (kShareEdges[b + 1] - kShareEdges[b]) * std::exp(value);
      shares[b] = total;
    }
    for (int b = 0; b < kShareBins; ++b) shares[b] /= total;
    fTabulated[segment] = true;
  }

  /// Radius in Moliere radii for a uniform number v.
  double Radius(int segment, double v) const {
    if (!kAnyRadialWarp) return RadiusAt(fRadii[segment], v);
    if (!fTabulated[segment]) WarpShares(segment);
    const double* shares = fShares[segment];
    const int b = Find(shares, kShareBins, v);
    const double below = b > 0 ? shares[b - 1] : 0.0, width = shares[b] - below;
    double inner = (v - below) / (width > 1e-300 ? width : 1e-300);
    inner = inner < 1.0 ? inner : 1.0;
    const double u = kShareEdges[b] + inner * (kShareEdges[b + 1] - kShareEdges[b]);
    return RadiusHolding(fRadii[segment], u * ShareWithin(fRadii[segment], kMaxRadius));
  }

  template <class Random>
  Spot Place(Random& random, int segment, double inner, double energy) const {
    Spot spot = PlaceOnTunedSide(random, segment, inner, energy);
    spot.position[2] *= fSide;
    return spot;
  }

  template <class Random>
  Spot PlaceOnTunedSide(Random& random, int segment, double inner, double energy) const {
    const Segment& piece = fSegments[segment];
    const int own = piece.layer;
    int m = own;
    const double s = kWhole[m] ? fActiveIn[m] + inner * (fActiveOut[m] - fActiveIn[m])
                               : fPeriodIn[m] + (piece.from + inner * (piece.to - piece.from)) *
                                                    (fPeriodOut[m] - fPeriodIn[m]);
    Spot spot = {{0.0, 0.0, 0.0}, s, segment, m, energy};
    double* p = spot.position;
    double level = 0.0;
    for (int tries = 0; tries < kTries; ++tries) {
      const double r = kMoliereRadius * Radius(segment, random.Uniform());
      const double azimuth = kTwoPi * random.Uniform(), d1 = r * std::cos(azimuth), d2 = r * std::sin(azimuth);
      for (int k = 0; k < 3; ++k) p[k] = fOrigin[k] + s * fU[k] + d1 * fE1[k] + d2 * fE2[k];
      level = Level(p);
      m = own;
      if (kLayerFrom[m] <= level && level <= kLayerTo[m]) break;
      // Another layer of the same medium will do. What lies outside all of them is no hit of full simulation, which the
      // radial law allows for; only thin layers without neighbours take it.
      if (Belongs(level, own, m) || kThin[own]) break;
      if (fMirrored > 0.0 && random.Uniform() < fMirrored) {
        // On the opposite side of the point where the line enters the medium.
        const double enter = 2.0 * fPeriodIn[kEntrance[own]];
        for (int k = 0; k < 3; ++k) p[k] = 2.0 * fOrigin[k] + enter * fU[k] - p[k];
        level = Level(p);
        if (Belongs(level, own, m)) break;
      }
    }
    spot.layer = m;
    if (kLayerFrom[m] <= level && level <= kLayerTo[m]) return spot;
    // Along the direction into the active part of the period.
    const double from = kLayerFrom[m], to = kLayerTo[m];
    double target = 0.0;
    if (kWhole[m]) {
      target = from + inner * (to - from);
    } else if (level < from) {
      target = from + (from - level < to - from ? from - level : to - from);
    } else {
      target = to - (level - to < to - from ? level - to : to - from);
    }
    double step = 0.0;
    if (Along(p, target, step)) {
      for (int k = 0; k < 3; ++k) p[k] += step * fU[k];
    } else {  // so far aside that its direction misses the layer: the line's own point
      spot.layer = own;
      for (int k = 0; k < 3; ++k) p[k] = fOrigin[k] + s * fU[k];
    }
    return spot;
  }

  /// The layer in whose period a radius or z lies; -1 if in none.
  static int LayerAt(double level) {
    int left = 0, right = kLayers - 1;
    while (left < right) {
      const int middle = (left + right + 1) / 2;
      if (kPeriodFrom[middle] <= level) {
        left = middle;
      } else {
        right = middle - 1;
      }
    }
    return kPeriodFrom[left] <= level && level <= kPeriodTo[left] ? left : -1;
  }

  /// Whether a layer of the medium of layer `own` is at a radius or z; then it is `m`.
  static bool Belongs(double level, int own, int& m) {
    const int there = LayerAt(level);
    if (there < 0 || kLayerMedium[there] != kLayerMedium[own]) return false;
    m = there;
    return true;
  }

  static double Level(const double* p) { return kBarrel ? std::sqrt(p[0] * p[0] + p[1] * p[1]) : p[2]; }

  bool Along(const double* p, double target, double& step) const {
    if (!kBarrel) {
      step = (target - p[2]) / fU[2];
      return true;
    }
    const double b = p[0] * fU[0] + p[1] * fU[1], root = b * b - fA * (p[0] * p[0] + p[1] * p[1] - target * target);
    if (root < 0.0) return false;
    step = (-b + std::sqrt(root)) / fA;
    return true;
  }

  Segment fSegments[kSegments] = {};
  const Slice *fLower = nullptr, *fUpper = nullptr;
  double fWeight = 0.0;
  double fSide = 1.0;  // -1: mirrored at z = 0
  double fEnergy = 0.0, fOrigin[3] = {}, fU[3] = {}, fE1[3] = {}, fE2[3] = {};
  double fA = 0.0, fB = 0.0, fC = 0.0;  // barrel: radius^2 along the line = fA s^2 + 2 fB s + fC
  bool fInside = false;
  double fT0[kLayers] = {}, fT1[kLayers] = {};
  double fPhase[1 + kLayers] = {};  // of the modulation
  double fPeriodIn[kLayers] = {}, fPeriodOut[kLayers] = {}, fActiveIn[kLayers] = {}, fActiveOut[kLayers] = {};
  double fMirrored = 0.0;  // probability that a spot lost in front of its medium is mirrored
  double fVisible = 0.0, fStart = 0.0, fPair = 0.0, fMaximum = 0.0, fAlpha = 0.0;
  long fSpots = 0, fGroups = 0, fGroup = -1, fLeft = 0;
  std::vector<Group> fDrawn;
  double fGroupFactor = 1.0, fSpotFactor = 1.0, fSpread = 0.0, fAllWeights = 1.0;
  std::vector<double> fWeights;  // energies of spots in any unit, where they are not equal
  std::size_t fNextWeight = 0;
  double fTable[kSegments] = {}, fAge[kSegments] = {};
  Radii fRadii[kSegments] = {};
  mutable double fShares[kSegments][kShareBins] = {};  // filled where a spot asks for them
  mutable bool fTabulated[kSegments] = {};
};

}  // namespace @NAMESPACE@

#endif
