"""What GFlash has to know of a detector that a geometry.yaml describes.

GFlash sees one medium: X0, R_M, Ec and Z of the calorimeter, and whether it samples. The calorimeter is the active
medium that holds the most radiation lengths:

* a **block**: one material, all of it active. Homogeneous laws.
* a **stack**: periods of one active plate and at least one passive plate, which count as one passive class of
  thickness d_p and mass-weighted Z_p. Sampling laws with F_S = X0/(d_a + d_p) and e = 1/(1 + 0.007 (Z_p - Z_a)).
* a **fine structure**, described as a mixture or as a block with a `stock.c`: sampling laws of a structure too fine to
  resolve, that is 1/F_S = 0 and e = 1.

A mixture may also be a homogeneous medium, which only its user knows: it needs `stock`, with ``visible_fraction: 1`` or
with ``c`` and ``visible_fraction``. For a stack both have defaults, good to some ten per cent:

* visible fraction: e/mip times the active plates' share of what a minimum-ionising particle loses in the stack, by
  Bethe's formula without density effect (Review of Particle Physics, "Passage of particles through matter");
* c = 0.027 sqrt(d_a/mm / (the same share)) (R. Wigmans, Calorimetry, Oxford 2000).

Blocks of a pure material beside the calorimeter (a presampler) show all of their energy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastparam.errors import GeometryError
from fastparam.geometry.detector import Geometry, material_table, medium_of
from fastparam.geometry.materials import ELEMENTS, EffectiveMaterial, stack
from fastparam.geometry.schema import GeometryConfig, Layer, StackEntry
from fastparam.shapes.sampling import e_over_mip, sampling_frequency

__all__ = ["Calorimeter", "Plates", "Sampling", "calorimeter_of", "minimum_ionisation"]

_ELECTRON_MASS = 0.51099895  # MeV
_BETHE_K = 0.307075  # MeV cm2/mol


@dataclass(frozen=True)
class Plates:
    """One period of a stack: `active` of thickness `d_active` (mm), and (thickness, material) of each passive plate."""

    active: EffectiveMaterial
    d_active: float
    passive: tuple[tuple[float, EffectiveMaterial], ...]


@dataclass(frozen=True)
class Sampling:
    """How a calorimeter samples: inverse frequency 1/F_S, ratio e/mip, resolution c in sqrt(GeV)."""

    inverse_frequency: float
    e_mip: float
    c: float


@dataclass(frozen=True)
class Calorimeter:
    """A detector of L active layers as GFlash sees it.

    Attributes
    ----------
    material : EffectiveMaterial
        Of the calorimeter as one medium.
    plates : Plates or None
        One period, if it is a stack.
    sampling : Sampling or None
        None for homogeneous media.
    visible : float64 array (L,)
        Visible share of the energy that is deposited in each layer's period.
    n_media : int
        Different active media that the geometry has.
    """

    material: EffectiveMaterial
    plates: Plates | None
    sampling: Sampling | None
    visible: npt.NDArray[np.float64]
    n_media: int


@dataclass(frozen=True)
class _Medium:
    """An active medium as the geometry.yaml has it."""

    name: str
    material: EffectiveMaterial
    plates: Plates | None
    mixed: bool


def calorimeter_of(geometry: Geometry) -> Calorimeter:
    """Return the calorimeter of a geometry.

    Raises
    ------
    GeometryError
        If something is missing in `stock`, or GFlash has no laws for the structure; says what to write.
    """
    media = _media(geometry)
    depth = (geometry.period_to - geometry.period_from) / np.array(
        [media[k].material.radiation_length for k in geometry.layer_medium]
    )
    main = int(np.argmax(np.bincount(geometry.layer_medium, weights=depth)))
    calorimeter = media[main]
    visible = np.array([_visible(geometry, medium, k == main) for k, medium in enumerate(media)])
    return Calorimeter(
        material=calorimeter.material,
        plates=calorimeter.plates,
        sampling=_sampling(geometry, calorimeter, float(visible[main])),
        visible=visible[geometry.layer_medium],
        n_media=len(media),
    )


def minimum_ionisation(material: EffectiveMaterial) -> float:
    """Return the mean energy loss in MeV cm2/g at minimum ionisation, beta gamma = 3.5, of a heavy particle.

    Bethe's formula summed over the elements, with mean excitation energies of 16 Z^0.9 eV and no density effect: 0 to
    5 % above the minima that the Review of Particle Physics tabulates, so that ratios are good to a few per cent.
    """
    beta_gamma2 = 3.5**2
    beta2 = beta_gamma2 / (1.0 + beta_gamma2)
    loss = 0.0
    for symbol, w in material.mass_fractions.items():
        z, a, _ = ELEMENTS[symbol]
        excitation = 16e-6 * z**0.9
        loss += w * _BETHE_K * z / a / beta2 * (math.log(2.0 * _ELECTRON_MASS * beta_gamma2 / excitation) - beta2)
    return loss


def _media(geometry: Geometry) -> list[_Medium]:
    """Return the active media in the order of the numbers in `Geometry.layer_medium`."""
    config, table = geometry.config, material_table(geometry.config)
    found: dict[int, _Medium] = {}
    number = 0  # of the next active layer
    for entry in config.layers:
        if isinstance(entry, StackEntry):
            plates = [(p.thickness * config.units.mm, medium_of(p, table), p.active) for p in entry.stack.plates]
            active = [(d, m) for d, m, is_active in plates if is_active]
            if not active:
                continue
            if len(active) > 1:
                raise GeometryError(
                    f"{geometry.path}: layers: the stack from {entry.stack.from_:g} has {len(active)} active plates per"
                    " period; GFlash knows stacks of one active plate and passive ones: describe it as one mixture,"
                    " with stock: {c: ..., visible_fraction: ...}"
                )
            passive = tuple((d, m) for d, m, is_active in plates if not is_active)
            found[int(geometry.layer_medium[number])] = _Medium(
                name=geometry.layer_names[number],
                material=stack([(d, m) for d, m, _ in plates]),
                plates=Plates(active[0][1], active[0][0], passive) if passive else None,
                mixed=False,
            )
            number += entry.stack.repeat
        elif entry.id is not None:
            found.setdefault(
                int(geometry.layer_medium[number]),
                _Medium(geometry.layer_names[number], medium_of(entry, table), None, _is_mixture(entry, config)),
            )
            number += 1
    return [found[k] for k in sorted(found)]


def _is_mixture(entry: Layer, config: GeometryConfig) -> bool:
    declared = config.materials.get(entry.material) if entry.material is not None else None
    return entry.mixture is not None or (declared is not None and declared.mass is not None)


def _visible(geometry: Geometry, medium: _Medium, is_calorimeter: bool) -> float:
    stock = geometry.config.stock
    given = None if stock is None else stock.visible_fraction
    if medium.plates is None and not medium.mixed and not is_calorimeter:
        return 1.0
    if given is not None:
        return given
    if medium.mixed:
        raise GeometryError(
            f"{geometry.path}: stock.visible_fraction is missing: layer '{medium.name}' is a mixture, of which GFlash"
            " cannot tell how much of the energy it shows; add stock: {visible_fraction: 1} for a homogeneous medium,"
            " or stock: {c: 0.10, visible_fraction: 0.2} with the values of your absorber and active medium (c is"
            " sigma/E = c/sqrt(E/GeV))"
        )
    if medium.plates is None:
        return 1.0
    return min(1.0, _mip_share(medium.plates) * _e_mip(medium.plates))


def _sampling(geometry: Geometry, medium: _Medium, visible: float) -> Sampling | None:
    stock = geometry.config.stock
    c = None if stock is None else stock.c
    if medium.plates is not None:
        plates = medium.plates
        thickness = plates.d_active + sum(d for d, _ in plates.passive)
        frequency = float(
            sampling_frequency(medium.material.radiation_length, plates.d_active, thickness - plates.d_active)
        )
        if c is None:
            c = 0.027 * math.sqrt(plates.d_active / _mip_share(plates))
        return Sampling(1.0 / frequency, _e_mip(plates), c)
    if c is not None:
        return Sampling(0.0, 1.0, c)
    if medium.mixed and visible < 1.0:
        raise GeometryError(
            f"{geometry.path}: stock.c is missing: layer '{medium.name}' is a mixture that shows {visible:g} of the"
            " energy, so it samples; add the sampling fluctuation c of sigma/E = c/sqrt(E/GeV), such as c: 0.10"
        )
    return None


def _mip_share(plates: Plates) -> float:
    active = plates.d_active * plates.active.density * minimum_ionisation(plates.active)
    return active / (active + sum(d * m.density * minimum_ionisation(m) for d, m in plates.passive))


def _e_mip(plates: Plates) -> float:
    return float(e_over_mip(stack(plates.passive).z, plates.active.z))
