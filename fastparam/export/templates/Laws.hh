// The formulas of a fastparam tune: pure functions of doubles, nothing needed but <cmath>.
//
// Energies in MeV, depths in X0, radii in Moliere radii, y = E / Ec. The longitudinal and radial forms are those of
// G. Grindhammer & S. Peters, hep-ex/0001020, appendix A.1, with constants tuned to full simulation; the visible energy
// follows a sinh-arcsinh distribution (M. C. Jones & A. Pewsey, Biometrika 96 (2009) 761).
#ifndef @GUARD@_LAWS_HH
#define @GUARD@_LAWS_HH

#include <cmath>

namespace @NAMESPACE@ {

/// A shower with alpha <= 1 has no maximum: below this ln(alpha) it is drawn again.
constexpr double kMinLnAlpha = 0.02;
/// The radial laws are constant beyond this age t / T.
constexpr double kMaxAge = 5.0;
/// No spots farther from the line than this many Moliere radii.
constexpr double kMaxRadius = 20.0;
/// Lower bound of R_C and R_T in Moliere radii.
constexpr double kMinRadius = 1e-3;
/// Knots of a population law, at most; energies and normal numbers at which marginals are tabulated.
constexpr int kMaxKnots = @MAX_KNOTS@;
constexpr int kMarginalEnergies = @MARGINAL_ENERGIES@;
constexpr int kMarginalNodes = @MARGINAL_NODES@;
constexpr double kMarginalFirst = @MARGINAL_FIRST@, kMarginalStep = @MARGINAL_STEP@;
/// Critical energies per X0 that a pair leaves behind the conversion of a photon.
constexpr double kPair = @PAIR@;
/// Sines of a warp, at most.
constexpr int kWarps = 6;
/// Warp of radial profiles: nodes in age and in logit(u) of the cumulative profile u, bins in u.
constexpr int kAgeNodes = @AGE_NODES@, kShareNodes = @SHARE_NODES@, kShareBins = @SHARE_BINS@;
/// The number of spots per group is constant in front of this age.
constexpr double kMinAge = @MIN_AGE@;
/// Largest relative variance of the energies of spots.
constexpr double kMaxVariance = @MAX_VARIANCE@;
/// Kinetic energies may exceed the tuned range by this fraction, pseudorapidities by this fraction of a slice.
constexpr double kEnergyMargin = 0.01;
constexpr double kEtaMargin = 0.1;

constexpr double kTwoPi = 6.283185307179586477;

/// Harmonics of the modulation in phi, at most, and phases over which its mean is taken.
constexpr int kHarmonics = 4, kPhases = 64;

enum class RadialLaw { kClassical, kSmooth };

/// exp<ln T>, exp<ln alpha>, 1/sigma(ln T), 1/sigma(ln alpha) and rho as functions of ln y: intercept and slope where
/// there are no knots, else values and second derivatives of natural cubic splines at the knots.
struct PopulationLaw {
  int knots;
  double knot[kMaxKnots];
  double value[5][kMaxKnots];
  double bend[5][kMaxKnots];
};

/// Standardised ln T and ln alpha by standard normal number, at a few ln y; and the correlation of the normal numbers over
/// that of the law.
struct Marginals {
  int energies;
  double lnY[kMarginalEnergies];
  double table[2][kMarginalEnergies][kMarginalNodes];
  double copula[kMarginalEnergies];
};

/// What was tuned for one particle in one slice of pseudorapidity.
struct Slice {
  int pdg;
  double etaLow, etaHigh;        // barrel only
  double energyLow, energyHigh;  // of the training showers
  bool leakage;                  // y = ln(1 + offset - x) in place of ln x, x = E_visible / E
  double offset;
  bool zeros;                    // showers without visible energy exist: logit = zero[0] + zero[1] ln(E/GeV)
  double zero[2];
  double location[4], lnScale[4], skewness[4], lnTail[4];  // polynomials in ln(E/GeV), constant first
  PopulationLaw longitudinal;                              // of profiles from the front
  double freePath;                                         // photons: mean path to the conversion in units of
  PopulationLaw behind;                                    // Bethe-Heitler's, and the profile behind it; 0 if not tuned
  double trend[2];                                         // change of <ln T> and <ln alpha> behind it per X0 of path
  const Marginals* marginals;                              // of profiles from the front; null for normal ones
  double spots[2];                                         // ln N = spots[0] + spots[1] ln(E/GeV)
  const double (*layerFactor)[2];                          // by medium: ln factor = f[0] + f[1] ln(E/10 GeV)
  int mainMedium;                                          // the one whose factor is 1, and which is warped
  const double (*layerShift)[3];                           // by layer: polynomial in ln(E/10 GeV); or null
  double reference[4];                                     // ln T, ln alpha of the mean shower: lines in ln(E/10 GeV)
  const double (*modulation)[2][kHarmonics][3];            // shower, then layers: cosines and sines of ln m, likewise; or null
  double warp[kWarps][3];                                  // a_j: polynomials in ln(E/10 GeV)
  RadialLaw radialLaw;
  double radial[18];
  double mirrored;                                         // of the spots lost in front of their medium, share found on the other side
  const double (*radialWarp)[kShareNodes][3];              // ln density at the nodes, polynomials in ln(E/10 GeV); or null
  bool splits;                                             // spots come in groups
  double split[4];                                         // ln(spots per group) = a + b ln(E/10 GeV) + c ln tau + d tau
  double spectrum[2];                                      // relative variance of spot energies: a + b ln(E/10 GeV)
};

/// Law of (ln T, ln alpha) at one energy.
struct Population {
  double meanLnT, meanLnAlpha, sigmaLnT, sigmaLnAlpha, rho;
};

/// Radial profile at one age: p core + (1 - p) tail, each 2 r R^2 / (r^2 + R^2)^2.
struct Radii {
  double core, tail, weight;
};

inline double Clamp(double x, double low, double high) { return x < low ? low : (x > high ? high : x); }

inline double Cubic(const double* c, double x) { return c[0] + x * (c[1] + x * (c[2] + x * c[3])); }

/// P(a, x), the regularised lower incomplete gamma function; a > 0, 0 for x <= 0. Series below a + 1, Legendre's
/// continued fraction by Lentz's method above (Abramowitz & Stegun 6.5.29, 6.5.31).
inline double GammaP(double a, double x) {
  if (!(x > 0.0)) return 0.0;
  const double factor = std::exp(a * std::log(x) - x - std::lgamma(a + 1.0));
  if (x < a + 1.0) {
    double term = 1.0, total = 1.0;
    for (double n = a + 1.0; term > 1e-17 * total; n += 1.0) {
      term *= x / n;
      total += term;
    }
    return factor * total;
  }
  double b = x + 1.0 - a, d = 1.0 / b, c = HUGE_VAL, h = d, step = 0.0;
  for (double n = 1.0; std::abs(step - 1.0) > 4.5e-16 && n < 1e6; n += 1.0) {
    const double numerator = n * (a - n);
    b += 2.0;
    d = 1.0 / (b + numerator * d);
    c = b + numerator / c;
    step = c * d;
    h *= step;
  }
  return 1.0 - factor * a * h;
}

/// Visible over kinetic energy of a shower that belongs to the standard normal number z.
inline double VisibleRatio(const Slice& s, double energy, double z) {
  const double u = std::log(energy / 1000.0);
  const double scale = std::exp(Clamp(Cubic(s.lnScale, u), -30.0, 30.0));
  const double tail = std::exp(Clamp(Cubic(s.lnTail, u), -5.0, 5.0));
  const double y = Cubic(s.location, u) + scale * std::sinh((std::asinh(z) + Cubic(s.skewness, u)) / tail);
  return s.leakage ? Clamp(1.0 + s.offset - std::exp(y < 0.0 ? y : 0.0), 0.0, 1.0) : std::exp(y);
}

/// Probability that a shower leaves no visible energy.
inline double ZeroProbability(const Slice& s, double energy) {
  return s.zeros ? 1.0 / (1.0 + std::exp(-(s.zero[0] + s.zero[1] * std::log(energy / 1000.0)))) : 0.0;
}

/// Natural cubic spline, straight beyond its ends.
inline double Spline(const PopulationLaw& law, int q, double x) {
  int k = 0;
  while (k < law.knots - 2 && law.knot[k + 1] <= x) ++k;
  const double h = law.knot[k + 1] - law.knot[k], u = (x - law.knot[k]) / h;
  const double inside = Clamp(u, 0.0, 1.0), before = u < 0.0 ? u : 0.0, behind = u > 1.0 ? u - 1.0 : 0.0;
  const double v = 1.0 - inside, a = v * v * v - v - 2.0 * before + behind;
  const double b = inside * inside * inside - inside - before + 2.0 * behind;
  return (1.0 - u) * law.value[q][k] + u * law.value[q][k + 1] +
         h * h / 6.0 * (a * law.bend[q][k] + b * law.bend[q][k + 1]);
}

inline Population EvaluatePopulation(const PopulationLaw& law, double lnY) {
  double q[5];
  if (law.knots == 0) {
    for (int j = 0; j < 5; ++j) q[j] = law.value[j][0] + law.value[j][1] * lnY;
  } else {
    constexpr double low[5] = {0.05, 1.02, 0.2, 0.2, -0.98}, high[5] = {HUGE_VAL, HUGE_VAL, 200.0, 200.0, 0.98};
    for (int j = 0; j < 5; ++j) q[j] = Clamp(Spline(law, j, lnY), low[j], high[j]);
  }
  return {std::log(q[0]), std::log(q[1]), 1.0 / q[2], 1.0 / q[3], q[4]};
}

inline Population EvaluatePopulation(const Slice& s, double lnY) { return EvaluatePopulation(s.longitudinal, lnY); }

/// Mean path of a photon to its conversion in X0; 0 where profiles start at the front.
inline double MeanPath(const Slice& s, double energy) {
  if (!(s.freePath > 0.0)) return 0.0;
  return s.freePath * (9.0 / 7.0 * (1.0 + 0.05 * std::pow(energy / 1000.0, -0.88)));
}

/// Energy that the pair leaves by ionisation right behind the conversion, relative to the profile: pair exp(-t) dt.
inline double PairEnergy(const Slice& s, double lnY) { return s.freePath > 0.0 ? kPair * std::exp(-lnY) : 0.0; }

/// Law of the profiles that are sampled: behind the conversion where there is one.
inline Population SampledPopulation(const Slice& s, double lnY) {
  return EvaluatePopulation(s.freePath > 0.0 ? s.behind : s.longitudinal, lnY);
}

/// Tables of the standardised ln T and ln alpha; normal ones where nothing else was tuned. Returns the factor of the
/// correlation.
inline double EvaluateMarginals(const Slice& s, double lnY, double (*table)[kMarginalNodes]) {
  if (s.marginals == nullptr || s.freePath > 0.0) {
    for (int q = 0; q < 2; ++q) {
      for (int n = 0; n < kMarginalNodes; ++n) table[q][n] = kMarginalFirst + n * kMarginalStep;
    }
    return 1.0;
  }
  const Marginals& m = *s.marginals;
  int k = 0;
  while (k < m.energies - 2 && m.lnY[k + 1] <= lnY) ++k;
  const int next = m.energies > 1 ? k + 1 : k;
  const double w = next > k ? Clamp((lnY - m.lnY[k]) / (m.lnY[next] - m.lnY[k]), 0.0, 1.0) : 0.0;
  for (int q = 0; q < 2; ++q) {
    for (int n = 0; n < kMarginalNodes; ++n) table[q][n] = (1.0 - w) * m.table[q][k][n] + w * m.table[q][next][n];
  }
  return (1.0 - w) * m.copula[k] + w * m.copula[next];
}

/// Mean number of spots.
inline double MeanSpots(const Slice& s, double energy) {
  return std::exp(s.spots[0] + s.spots[1] * std::log(energy / 1000.0));
}

/// What a medium shows of the energy the profile leaves in it, relative to the main medium.
inline double LayerFactor(const Slice& s, int medium, double energy) {
  const double* f = s.layerFactor[medium];
  return std::exp(f[0] + f[1] * std::log(energy / 10000.0));
}

/// A polynomial of degree 2.
inline double Square(const double* c, double x) { return c[0] + x * (c[1] + x * c[2]); }

/// What a layer gets on top, in units of the mean shower's energy there.
inline double LayerShift(const Slice& s, int layer, double energy) {
  return s.layerShift == nullptr ? 0.0 : Square(s.layerShift[layer], std::log(energy / 10000.0));
}

/// ln T (k = 0) and ln alpha (k = 1) of the mean shower.
inline double Reference(const Slice& s, int k, double energy) {
  return s.reference[2 * k] + s.reference[2 * k + 1] * std::log(energy / 10000.0);
}

/// Cosines and sines of the harmonics at equidistant phases.
struct PhaseTable {
  double cosine[kPhases][kHarmonics], sine[kPhases][kHarmonics];
  PhaseTable() {
    for (int n = 0; n < kPhases; ++n) {
      for (int k = 0; k < kHarmonics; ++k) {
        cosine[n][k] = std::cos(kTwoPi * n / kPhases * (k + 1));
        sine[n][k] = std::sin(kTwoPi * n / kPhases * (k + 1));
      }
    }
  }
};

/// Modulation of a quantity (0: the shower, 1 + m: layer m) at a phase in rad: the exponential of a Fourier series, over
/// its mean.
inline double Modulation(const Slice& s, int quantity, double energy, double phase) {
  if (s.modulation == nullptr) return 1.0;
  static const PhaseTable table;
  const double l = std::log(energy / 10000.0);
  double a[kHarmonics], b[kHarmonics], at = 0.0, mean = 0.0;
  for (int k = 0; k < kHarmonics; ++k) {
    a[k] = Square(s.modulation[quantity][0][k], l);
    b[k] = Square(s.modulation[quantity][1][k], l);
    at += a[k] * std::cos((k + 1) * phase) + b[k] * std::sin((k + 1) * phase);
  }
  for (int n = 0; n < kPhases; ++n) {
    double h = 0.0;
    for (int k = 0; k < kHarmonics; ++k) h += a[k] * table.cosine[n][k] + b[k] * table.sine[n][k];
    mean += std::exp(h) / kPhases;
  }
  return std::exp(at) / mean;
}

/// Coefficient of sin(j pi u), j = 1, 2, ..., in the warp G(u) of the cumulative profile u within the main medium.
inline double WarpCoefficient(const Slice& s, int j, double energy) {
  return Square(s.warp[j - 1], std::log(energy / 10000.0));
}

/// R_C, R_T and p at age tau = t / T.
inline Radii EvaluateRadii(const Slice& s, double energy, double tau) {
  const double age = Clamp(tau, 0.0, kMaxAge), l = std::log(energy / 10000.0);
  const double* c = s.radial;
  if (s.radialLaw == RadialLaw::kClassical) {
    const double core = c[0] + c[1] * age + c[2] * l;
    const double tail = c[3] * (std::exp(c[5] * (age - c[4])) + std::exp((c[6] + c[7] * l) * (age - c[4])));
    const double width = c[10] + c[11] * l;
    const double u = (c[9] - age) / (width > 0.05 ? width : 0.05);
    return {core > kMinRadius ? core : kMinRadius, tail > kMinRadius ? tail : kMinRadius,
            Clamp(c[8] * std::exp(u - std::exp(u)), 0.0, 1.0)};
  }
  const double v = std::log((age + 0.2) / 1.2);
  double q[3];
  for (int k = 0; k < 3; ++k) q[k] = Cubic(c + 6 * k, v) + (c[6 * k + 4] + c[6 * k + 5] * v) * l;
  return {std::exp(Clamp(q[0], std::log(kMinRadius), 5.0)), std::exp(Clamp(q[1], std::log(kMinRadius), 5.0)),
          1.0 / (1.0 + std::exp(-Clamp(q[2], -30.0, 30.0)))};
}

/// Radius in Moliere radii for a uniform number u: its first part chooses the component, the rest is used again.
inline double RadiusAt(const Radii& radii, double u) {
  const bool core = u < radii.weight;
  const double scale = core ? radii.core : radii.tail;
  double v = core ? u / radii.weight : (u - radii.weight) / (1.0 - radii.weight);
  v *= kMaxRadius * kMaxRadius / (kMaxRadius * kMaxRadius + scale * scale);
  return scale * std::sqrt(v / (1.0 - v));
}

/// ln of the density in the radial law's own cumulative profile u, relative to a uniform one, at a node.
inline double RadialWarp(const Slice& s, int age, int share, double energy) {
  return s.radialWarp == nullptr ? 0.0 : Square(s.radialWarp[age][share], std::log(energy / 10000.0));
}

/// Coefficients of 1, ln tau and tau in the logarithm of the number of spots per group.
inline double SpotsPerGroup(const Slice& s, int k, double energy) {
  if (!s.splits) return 0.0;
  return k == 0 ? s.split[0] + s.split[1] * std::log(energy / 10000.0) : s.split[k + 1];
}

/// Relative variance of the energies of spots.
inline double SpotVariance(const Slice& s, double energy) {
  return Clamp(s.spectrum[0] + s.spectrum[1] * std::log(energy / 10000.0), 0.0, kMaxVariance);
}

/// Share of the profile within a radius in Moliere radii.
inline double ShareWithin(const Radii& radii, double r) {
  const double c = radii.core / r, t = radii.tail / r;
  return radii.weight / (1.0 + c * c) + (1.0 - radii.weight) / (1.0 + t * t);
}

/// Radius in Moliere radii that holds the fraction q of the profile (positive root of a quadratic in r^2).
inline double RadiusHolding(const Radii& radii, double q) {
  const double a = radii.core * radii.core, b = radii.tail * radii.tail, p = radii.weight;
  const double half = 0.5 * (p * b + (1.0 - p) * a - q * (a + b)), root = std::sqrt(half * half + (1.0 - q) * q * a * b);
  return half > 0.0 ? std::sqrt(q * a * b / (half + root)) : std::sqrt((root - half) / (1.0 - q));
}

/// Depth in X0 before which the fraction q of a profile of maximum t and shape alpha lies.
inline double DepthHolding(double t, double alpha, double q) {
  const double beta = (alpha - 1.0) / t;
  double low = 0.0, high = alpha / beta;
  while (GammaP(alpha, beta * high) < q) high *= 2.0;
  for (int k = 0; k < 60; ++k) {
    const double middle = 0.5 * (low + high);
    (GammaP(alpha, beta * middle) < q ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

/// Standard normal number (Marsaglia's polar method). `Random` has `double Uniform()` in (0, 1), here and below.
template <class Random>
double Normal(Random& random) {
  while (true) {
    const double a = 2.0 * random.Uniform() - 1.0, b = 2.0 * random.Uniform() - 1.0, s = a * a + b * b;
    if (s > 0.0 && s < 1.0) return a * std::sqrt(-2.0 * std::log(s) / s);
  }
}

/// Poisson number: products of uniforms below 10, above it Hoermann's PTRS (Insur. Math. Econ. 12 (1993) 39).
template <class Random>
long Poisson(Random& random, double mean) {
  if (!(mean > 0.0)) return 0;
  if (mean < 10.0) {
    const double limit = std::exp(-mean);
    long k = 0;
    for (double product = random.Uniform(); product > limit; product *= random.Uniform()) ++k;
    return k;
  }
  const double b = 0.931 + 2.53 * std::sqrt(mean), a = -0.059 + 0.02483 * b;
  const double inverseAlpha = 1.1239 + 1.1328 / (b - 3.4), vR = 0.9277 - 3.6224 / (b - 2.0);
  while (true) {
    const double u = random.Uniform() - 0.5, v = random.Uniform(), us = 0.5 - std::abs(u);
    const double k = std::floor((2.0 * a / us + b) * u + mean + 0.43);
    if (us >= 0.07 && v <= vR) return static_cast<long>(k);
    if (k < 0.0 || (us < 0.013 && v > us)) continue;
    const double left = std::log(v) + std::log(inverseAlpha) - std::log(a / (us * us) + b);
    if (left <= k * std::log(mean) - mean - std::lgamma(k + 1.0)) return static_cast<long>(k);
  }
}

/// Value of a table of `Marginals` at a normal number; the number itself without a table.
inline double Standardised(const double* table, double z) {
  if (table == nullptr) return z;
  const double u = (z - kMarginalFirst) / kMarginalStep;
  const int k = static_cast<int>(Clamp(std::floor(u), 0.0, kMarginalNodes - 2.0));
  return table[k] + (u - k) * (table[k + 1] - table[k]);
}

/// Draw (ln T, ln alpha) with alpha > 1; `tables` of the standardised quantities, or null.
template <class Random>
void DrawShape(Random& random, const Population& law, double& lnT, double& lnAlpha,
               const double (*tables)[kMarginalNodes] = nullptr) {
  const double r = Clamp(law.rho, -1.0, 1.0), a = std::sqrt(0.5 * (1.0 + r)), b = std::sqrt(0.5 * (1.0 - r));
  const double* ofT = tables == nullptr ? nullptr : tables[0];
  const double* ofAlpha = tables == nullptr ? nullptr : tables[1];
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const double z1 = Normal(random), z2 = Normal(random);
    lnT = law.meanLnT + law.sigmaLnT * Standardised(ofT, a * z1 + b * z2);
    lnAlpha = law.meanLnAlpha + law.sigmaLnAlpha * Standardised(ofAlpha, a * z1 - b * z2);
    if (lnAlpha > kMinLnAlpha) return;
  }
  lnAlpha = kMinLnAlpha;
}

}  // namespace @NAMESPACE@

#endif
