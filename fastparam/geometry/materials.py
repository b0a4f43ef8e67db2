"""What a medium means for an electromagnetic shower: radiation length, critical energy, Molière radius.

* X0 by Tsai's formula (Rev. Mod. Phys. 46 (1974) 815; Review of Particle Physics, "Passage of particles through
  matter"), mixtures by 1/X0 = sum w_i/X0_i in g/cm2 with mass fractions w_i;
* Ec = 2.66 MeV (X0 Z/A)^1.1 with X0 in g/cm2 (Dovzhenko & Pomanskii), Z = sum w_i Z_i and A = sum w_i A_i: the
  definitions with which GFlash's constants were fitted (Grindhammer & Peters, hep-ex/0001020), kept although the
  proper mean of Z/A is a few per cent larger in compounds;
* R_M = X0 Es/Ec with Es = 21.2 MeV;
* a stack of plates of thickness d_i seen as one medium: 1/X0 = sum w_i/X0_i and 1/R_M = (1/Es) sum w_i Ec_i/X0_i in
  g/cm2, Ec = X0 sum w_i Ec_i/X0_i, with mass fractions w_i = rho_i d_i / sum rho_j d_j. With lengths in place of
  g/cm2 the same sums have *volume* fractions as weights, which is how they are written below.

And for hadrons:

* the minimum of Bethe's dE/dx, with the density effect by the general formula of Sternheimer & Peierls (Phys. Rev. B 3
  (1971) 3681) and mean excitation energies of ICRU report 37, in compounds by Bragg's rule with that report's
  assignments for atoms that are bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

__all__ = [
    "BUILTIN",
    "ELEMENTS",
    "SCALE_ENERGY",
    "EffectiveMaterial",
    "atoms_to_mass",
    "element",
    "gflash_critical_energy",
    "mixture",
    "stack",
    "tsai_radiation_length",
]

#: Es in MeV as GFlash uses it; m_e sqrt(4 pi/alpha) = 21.2052.
SCALE_ENERGY = 21.2

# CODATA 2018; the product 4 alpha r_e^2 N_A is 1/(716.408 g/cm2).
_ALPHA = 7.2973525693e-3
_ELECTRON_RADIUS_CM = 2.8179403262e-13
_AVOGADRO = 6.02214076e23

# Tsai's Table B.2: logarithms of the elements for which the Thomas-Fermi form does not hold.
_TSAI_LIGHT = {1: (5.31, 6.144), 2: (4.79, 5.621), 3: (4.74, 5.805), 4: (4.71, 5.924)}

_ELECTRON_MASS, _MUON_MASS = 0.51099895, 105.6583755  # MeV

#: Densities below this (g/cm3) are those of gases.
_GAS = 0.03

# Mean excitation energies in eV in order of Z (ICRU report 37, as tabulated by NIST).
_EXCITATIONS = """
19.2 41.8 40 63.7 76 78 82 95 115 137 149 156 166 173 173 180 174 188 190 191 216 233 245 257 272 286 297 311 322 330
334 350 347 348 343 352 363 366 379 393 417 424 428 441 449 470 470 469 488 488 487 485 491 482 488 491 501 523 535 546
560 574 580 591 614 628 650 658 674 684 694 705 718 727 736 746 757 790 790 800 810 823 823 830 825 794 827 826 841 847
878 890
"""

# Of atoms bound in liquids and solids; for the others 1.13 times that of the element (ICRU report 37, table 5.1).
_BOUND_EXCITATION = {"H": 19.2, "C": 81.0, "N": 82.0, "O": 106.0, "F": 112.0, "Cl": 180.0}

# Symbol, standard atomic weight (g/mol), density (g/cm3) in order of Z. Weights: CIAAW 2021, and where that is an
# interval the single value of IUPAC 2001. Densities: Review of Particle Physics 2024 (atomic and nuclear properties);
# gases at 20 C and 1 atm, carbon as graphite.
_TABLE = """
H 1.00794 8.3748e-05, He 4.002602 0.000166322, Li 6.941 0.534, Be 9.0121831 1.848, B 10.811 2.37,
C 12.0107 2.21, N 14.0067 0.0011652, O 15.9994 0.00133151, F 18.998403162 0.00158029, Ne 20.1797 0.000838505,
Na 22.98976928 0.971, Mg 24.305 1.738, Al 26.981538 2.699, Si 28.0855 2.329, P 30.973761998 2.2, S 32.065 2.0,
Cl 35.453 0.00299473, Ar 39.948 0.00166201, K 39.0983 0.862, Ca 40.078 1.55, Sc 44.955907 2.989,
Ti 47.867 4.54, V 50.9415 6.11, Cr 51.9961 7.19, Mn 54.938043 7.33, Fe 55.845 7.874, Co 58.933194 8.9,
Ni 58.6934 8.902, Cu 63.546 8.96, Zn 65.38 7.133, Ga 69.723 5.904, Ge 72.63 5.323, As 74.921595 5.73,
Se 78.971 4.5, Br 79.904 3.1028, Kr 83.798 0.00347832, Rb 85.4678 1.532, Sr 87.62 2.54, Y 88.905838 4.469,
Zr 91.224 6.506, Nb 92.90637 8.57, Mo 95.95 10.22, Tc 98.0 11.5, Ru 101.07 12.41, Rh 102.90549 12.41,
Pd 106.42 12.02, Ag 107.8682 10.5, Cd 112.414 8.65, In 114.818 7.31, Sn 118.71 7.31, Sb 121.76 6.691,
Te 127.6 6.24, I 126.90447 4.93, Xe 131.293 0.00548536, Cs 132.90545196 1.873, Ba 137.327 3.5,
La 138.90547 6.145, Ce 140.116 6.77, Pr 140.90766 6.773, Nd 144.242 7.008, Pm 145.0 7.264, Sm 150.36 7.52,
Eu 151.964 5.244, Gd 157.25 7.901, Tb 158.925354 8.23, Dy 162.5 8.551, Ho 164.930329 8.795, Er 167.259 9.066,
Tm 168.934219 9.321, Yb 173.045 6.966, Lu 174.9668 9.841, Hf 178.486 13.31, Ta 180.94788 16.654, W 183.84 19.3,
Re 186.207 21.02, Os 190.23 22.57, Ir 192.217 22.42, Pt 195.084 21.45, Au 196.96657 19.3, Hg 200.592 13.546,
Tl 204.3833 11.72, Pb 207.2 11.35, Bi 208.9804 9.747, Po 209.0 9.32, At 210.0 9.32, Rn 222.0 0.00900662,
Fr 223.0 1.87, Ra 226.0 5.0, Ac 227.0 10.07, Th 232.0377 11.72, Pa 231.03588 15.37, U 238.02891 18.95
"""


@dataclass(frozen=True)
class EffectiveMaterial:
    """A medium, homogeneous or a stack seen as one.

    Attributes
    ----------
    radiation_length : float
        X0 in mm.
    moliere_radius : float
        R_M in mm.
    critical_energy : float
        Ec in MeV by GFlash's definition.
    z, a : float
        Mean atomic number and weight (g/mol), weighted by mass.
    density : float
        g/cm3.
    mass_fractions : dict of str to float
        By symbol of the element; they sum to 1.
    """

    radiation_length: float
    moliere_radius: float
    critical_energy: float
    z: float
    a: float
    density: float
    mass_fractions: Mapping[str, float]

    @property
    def radiation_length_mass(self) -> float:
        """X0 in g/cm2."""
        return 0.1 * self.radiation_length * self.density

    @property
    def minimum_dedx(self) -> float:
        """Energy loss of a minimum-ionising particle in MeV cm2/g."""
        return _minimum_dedx(self.density, self.mass_fractions)

    def at_density(self, density: float) -> EffectiveMaterial:
        """Return the same matter at another density (g/cm3): lengths scale, the rest stays."""
        scale = self.density / density
        return replace(
            self,
            radiation_length=self.radiation_length * scale,
            moliere_radius=self.moliere_radius * scale,
            density=density,
        )

    def override(
        self,
        *,
        radiation_length: float | None = None,
        moliere_radius: float | None = None,
        critical_energy: float | None = None,
        z: float | None = None,
        a: float | None = None,
    ) -> EffectiveMaterial:
        """Return the medium with quantities set by hand (mm, MeV); those not given follow from those that are."""
        return _derive(
            self.density,
            self.mass_fractions,
            self.z if z is None else z,
            self.a if a is None else a,
            self.radiation_length if radiation_length is None else radiation_length,
            critical_energy,
            moliere_radius,
        )


def tsai_radiation_length(z: int, a: float) -> float:
    """Return X0 in g/cm2 of the element with atomic number `z` and atomic weight `a` (g/mol), by Tsai's formula."""
    x = (_ALPHA * z) ** 2
    coulomb = x * (1.0 / (1.0 + x) + 0.20206 - 0.0369 * x + 0.0083 * x**2 - 0.002 * x**3)
    elastic, inelastic = _TSAI_LIGHT.get(
        z, (math.log(184.15 * z ** (-1.0 / 3.0)), math.log(1194.0 * z ** (-2.0 / 3.0)))
    )
    per_atom = z * z * (elastic - coulomb) + z * inelastic
    return a / (4.0 * _ALPHA * _ELECTRON_RADIUS_CM**2 * _AVOGADRO * per_atom)


def gflash_critical_energy(x0: float, z: float, a: float) -> float:
    """Return GFlash's critical energy in MeV; `x0` in **g/cm2**, `a` in g/mol."""
    return float(2.66 * (x0 * z / a) ** 1.1)


def _minimum_dedx(density: float, mass_fractions: Mapping[str, float]) -> float:
    """Minimum of Bethe's formula over beta gamma for a muon, in MeV cm2/g; `density` in g/cm3."""
    electrons = {s: w * ELEMENTS[s][0] / ELEMENTS[s][1] for s, w in mass_fractions.items()}  # mol/g
    z_over_a = sum(electrons.values())
    bound = len(mass_fractions) > 1
    ln_i = sum(n * math.log(_excitation(s, bound, density)) for s, n in electrons.items()) / z_over_a
    ln_plasma = math.log(28.816 * math.sqrt(density * z_over_a))  # eV
    return min(_bethe(1.5 + 0.05 * k, z_over_a, ln_i, ln_plasma, density) for k in range(120))


def _excitation(symbol: str, bound: bool, density: float) -> float:
    """Mean excitation energy of an atom in eV; `bound` in a compound or mixture, of gas or of condensed matter."""
    condensed = density > _GAS
    if bound and condensed:
        return _BOUND_EXCITATION.get(symbol, 1.13 * _EXCITATION[symbol])
    return _EXCITATION[symbol]


def _bethe(beta_gamma: float, z_over_a: float, ln_i: float, ln_plasma: float, density: float) -> float:
    """Bethe's dE/dx of a muon in MeV cm2/g; logarithms of energies in eV."""
    gamma2 = 1.0 + beta_gamma**2
    beta2 = beta_gamma**2 / gamma2
    ratio = _ELECTRON_MASS / _MUON_MASS
    electron = 2.0 * _ELECTRON_MASS * beta_gamma**2  # MeV
    w_max = electron / (1.0 + 2.0 * math.sqrt(gamma2) * ratio + ratio**2)
    ln_argument = 0.5 * math.log(electron * w_max * 1e12) - ln_i
    return (
        0.307075
        * z_over_a
        / beta2
        * (ln_argument - beta2 - 0.5 * _density_effect(beta_gamma, ln_i, ln_plasma, density))
    )


def _density_effect(beta_gamma: float, ln_i: float, ln_plasma: float, density: float) -> float:
    """Delta of Sternheimer & Peierls: X0, X1 and C from the excitation and plasma energies, m = 3."""
    c = 2.0 * (ln_i - ln_plasma) + 1.0
    if density > _GAS:
        x1 = 2.0 if ln_i < math.log(100.0) else 3.0
        border, offset = (3.681, 1.0) if x1 == 2.0 else (5.215, 1.5)
        x0 = 0.2 if c < border else 0.326 * c - offset
    else:
        x0, x1 = _gas_interval(c)
    x = math.log10(beta_gamma)
    if x < x0:
        return 0.0
    a = (c - 2.0 * math.log(10.0) * x0) / (x1 - x0) ** 3
    return 2.0 * math.log(10.0) * x - c + (a * (x1 - x) ** 3 if x < x1 else 0.0)


def _gas_interval(c: float) -> tuple[float, float]:
    """X0 and X1 of gases, by the steps of C in Sternheimer & Peierls."""
    for border, x0 in ((10.0, 1.6), (10.5, 1.7), (11.0, 1.8), (11.5, 1.9)):
        if c < border:
            return x0, 4.0
    if c < 12.25:
        return 2.0, 4.0
    if c < 13.804:
        return 2.0, 5.0
    return 0.326 * c - 2.5, 5.0


def element(symbol: str) -> EffectiveMaterial:
    """Return an element at its natural density; `symbol` is a key of `ELEMENTS`."""
    z, a, density = ELEMENTS[symbol]
    return _derive(density, {symbol: 1.0}, float(z), a, 10.0 * tsai_radiation_length(z, a) / density)


def mixture(parts: Mapping[str, tuple[float, EffectiveMaterial]], density: float) -> EffectiveMaterial:
    """Return a homogeneous mixture.

    Parameters
    ----------
    parts : dict of name to (mass fraction, material)
        Fractions are divided by their sum.
    density : float
        Of the mixture, g/cm3.
    """
    total = sum(w for w, _ in parts.values())
    weighted = [(w / total, m) for w, m in parts.values()]
    return _derive(
        density,
        _fractions(weighted),
        sum(w * m.z for w, m in weighted),
        sum(w * m.a for w, m in weighted),
        10.0 / (density * sum(w / m.radiation_length_mass for w, m in weighted)),
    )


def stack(plates: Iterable[tuple[float, EffectiveMaterial]], length: float | None = None) -> EffectiveMaterial:
    """Return a stack of plates as one medium.

    Parameters
    ----------
    plates : iterable of (thickness in mm, material)
    length : float, optional
        Length in mm that the plates fill; default: the sum of their thicknesses. The difference is vacuum.
    """
    layers = list(plates)
    length = sum(d for d, _ in layers) if length is None else length
    depth = sum(d / m.radiation_length for d, m in layers)
    mass = sum(d * m.density for d, m in layers)
    weighted = [(d * m.density / mass, m) for d, m in layers]
    return EffectiveMaterial(
        radiation_length=length / depth,
        moliere_radius=length / sum(d / m.moliere_radius for d, m in layers),
        critical_energy=sum(d / m.radiation_length * m.critical_energy for d, m in layers) / depth,
        z=sum(w * m.z for w, m in weighted),
        a=sum(w * m.a for w, m in weighted),
        density=mass / length,
        mass_fractions=_fractions(weighted),
    )


def atoms_to_mass(atoms: Mapping[str, float]) -> dict[str, float]:
    """Return mass fractions for numbers of atoms by symbol, e.g. ``{"Pb": 1, "W": 1, "O": 4}``."""
    weights = {symbol: n * ELEMENTS[symbol][1] for symbol, n in atoms.items()}
    total = sum(weights.values())
    return {symbol: weight / total for symbol, weight in weights.items()}


def _derive(
    density: float,
    mass_fractions: Mapping[str, float],
    z: float,
    a: float,
    radiation_length: float,
    critical_energy: float | None = None,
    moliere_radius: float | None = None,
) -> EffectiveMaterial:
    """Fill in what follows: Ec from (X0, Z, A), R_M from (X0, Ec)."""
    if critical_energy is None:
        critical_energy = gflash_critical_energy(0.1 * radiation_length * density, z, a)
    if moliere_radius is None:
        moliere_radius = radiation_length * SCALE_ENERGY / critical_energy
    return EffectiveMaterial(radiation_length, moliere_radius, critical_energy, z, a, density, dict(mass_fractions))


def _fractions(weighted: Iterable[tuple[float, EffectiveMaterial]]) -> dict[str, float]:
    fractions: dict[str, float] = {}
    for w, material in weighted:
        for symbol, fraction in material.mass_fractions.items():
            fractions[symbol] = fractions.get(symbol, 0.0) + w * fraction
    return fractions


#: Symbol -> (Z, A in g/mol, density in g/cm3).
ELEMENTS: dict[str, tuple[int, float, float]] = {
    symbol: (z, float(a), float(density))
    for z, (symbol, a, density) in enumerate((entry.split() for entry in _TABLE.split(",")), start=1)
}

_EXCITATION = dict(zip(ELEMENTS, map(float, _EXCITATIONS.split()), strict=True))

# Compounds by numbers of atoms. Densities: Review of Particle Physics 2024, or where a compound is not listed there or
# crystals in use differ (PbWO4: 8.30 there), the material database of Geant4 (8.28), with which users simulate.
_BY_ATOMS: dict[str, tuple[float, dict[str, float]]] = {
    "lH2": (0.0708, {"H": 1}),
    "lHe": (0.125, {"He": 1}),
    "lN2": (0.807, {"N": 1}),
    "lO2": (1.141, {"O": 1}),
    "lNe": (1.204, {"Ne": 1}),
    "lAr": (1.396, {"Ar": 1}),
    "lKr": (2.418, {"Kr": 1}),
    "lXe": (2.953, {"Xe": 1}),
    "PbWO4": (8.28, {"Pb": 1, "W": 1, "O": 4}),
    "PbF2": (7.77, {"Pb": 1, "F": 2}),
    "BGO": (7.13, {"Bi": 4, "Ge": 3, "O": 12}),
    "BaF2": (4.893, {"Ba": 1, "F": 2}),
    "CeF3": (6.16, {"Ce": 1, "F": 3}),
    "CsI": (4.51, {"Cs": 1, "I": 1}),
    "NaI": (3.667, {"Na": 1, "I": 1}),
    "GSO": (6.71, {"Gd": 2, "Si": 1, "O": 5}),
    "LSO": (7.40, {"Lu": 2, "Si": 1, "O": 5}),
    "LYSO": (7.10, {"Lu": 1.8, "Y": 0.2, "Si": 1, "O": 5}),
    "LaBr3": (5.29, {"La": 1, "Br": 3}),
    "YAG": (4.55, {"Y": 3, "Al": 5, "O": 12}),
    "quartz": (2.20, {"Si": 1, "O": 2}),
    "sapphire": (3.97, {"Al": 2, "O": 3}),
    "water": (1.00, {"H": 2, "O": 1}),
    "polystyrene": (1.06, {"C": 8, "H": 8}),
    "scintillator": (1.032, {"C": 9, "H": 10}),  # polyvinyltoluene
    "polyethylene": (0.94, {"C": 2, "H": 4}),
    "PMMA": (1.19, {"C": 5, "H": 8, "O": 2}),
    "mylar": (1.40, {"C": 10, "H": 8, "O": 4}),
    "teflon": (2.20, {"C": 2, "F": 4}),
    "vacuum": (1e-25, {"H": 1}),  # density of intergalactic space, as in Geant4: thin, but without special cases
}

_BY_MASS: dict[str, tuple[float, dict[str, float]]] = {
    "air": (1.205e-3, {"C": 0.000124, "N": 0.755267, "O": 0.231781, "Ar": 0.012827}),
    "steel": (7.874, {"Fe": 1.0}),  # plain carbon steel, 99 % iron
    "stainless_steel": (8.00, {"Fe": 0.74, "Cr": 0.18, "Ni": 0.08}),  # 304
    "brass": (8.53, {"Cu": 0.70, "Zn": 0.30}),  # cartridge brass
    "kapton": (1.42, {"C": 0.691133, "H": 0.026362, "N": 0.073270, "O": 0.209235}),
    "FR4": (1.85, {"Si": 0.1808, "O": 0.4056, "C": 0.3457, "H": 0.0679}),
    "G10": (1.70, {"Si": 0.28046095, "O": 0.41942543, "C": 0.2749428, "H": 0.02517082}),  # 60 % SiO2, 40 % C11H12O3
    "glue": (1.30, {"C": 0.60, "H": 0.08, "O": 0.32}),  # an epoxy
}

_SYNONYMS = {
    "LAr": "lAr",
    "LKr": "lKr",
    "LXe": "lXe",
    "PWO": "PbWO4",
    "SiO2": "quartz",
    "Al2O3": "sapphire",
    "H2O": "water",
    "polyvinyltoluene": "scintillator",
    "PVT": "scintillator",
    "epoxy": "glue",
    "iron": "Fe",
    "lead": "Pb",
    "tungsten": "W",
    "copper": "Cu",
    "silicon": "Si",
    "aluminium": "Al",
}


def _builtin() -> dict[str, EffectiveMaterial]:
    table = {symbol: element(symbol) for symbol in ELEMENTS}
    for name, (density, atoms) in _BY_ATOMS.items():
        table[name] = mixture({s: (w, table[s]) for s, w in atoms_to_mass(atoms).items()}, density)
    for name, (density, fractions) in _BY_MASS.items():
        table[name] = mixture({s: (w, table[s]) for s, w in fractions.items()}, density)
    return table | {synonym: table[name] for synonym, name in _SYNONYMS.items()}


#: Every material that a geometry.yaml can name without declaring it.
BUILTIN: dict[str, EffectiveMaterial] = _builtin()
