"""The keys of a geometry.yaml as pydantic models: what one entry must look like by itself.

What needs more than one entry to judge (order of the layers, names of materials, ids that other keys refer to) is in
`fastparam.geometry.checks`; `fastparam.geometry.load` brings both together. Values are as the user wrote them, in the
user's units; `fastparam.geometry.detector` converts.
"""

from __future__ import annotations

import re
from itertools import pairwise
from math import pi
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from fastparam.errors import near
from fastparam.geometry.expression import evaluate

__all__ = [
    "BinningRegion",
    "CellSize",
    "Cells",
    "GeometryConfig",
    "Layer",
    "LayerBins",
    "MaterialSpec",
    "Modulation",
    "Plate",
    "Sample",
    "Slices",
    "Stack",
    "StackEntry",
    "Stock",
    "Trees",
    "Units",
]

MASS_FRACTION_TOLERANCE = 1e-3

#: Of periods in a stack, bins in alpha, or ids in a range: far beyond any detector, and a slip of the pen above.
MAX_COUNT = 10_000

LENGTHS = {"um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0}
ENERGIES = {"eV": 1e-6, "keV": 1e-3, "MeV": 1.0, "GeV": 1e3, "TeV": 1e6}

ROLES = {
    "pdg": "particle code of the Particle Data Group",
    "energy": "energy of the particle (see energy_is)",
    "vx": "start of the particle's line",
    "vy": "start of the particle's line",
    "vz": "start of the particle's line",
    "px": "momentum",
    "py": "momentum",
    "pz": "momentum",
    "eta": "direction, in place of a momentum",
    "phi": "direction, in place of a momentum",
    "x": "position of a hit",
    "y": "position of a hit",
    "z": "position of a hit",
    "e": "visible energy of a hit",
    "layer": "layer id of a hit",
    "event": "event number that joins two trees",
}

#: Marks the tags of unions, which pydantic puts into the location of an error and users should not see.
TAG = "|"


def _fail(text: str) -> NoReturn:
    """Raise an error whose text reaches the user as it is."""
    raise PydanticCustomError("geometry", "{text}", {"text": text})


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return evaluate(value)
        except ValueError as error:
            _fail(f"{error}; expected a number or arithmetic such as 2*pi/1024")
    return value


def _positive(value: float) -> float:
    if not value > 0:
        _fail(f"found {value:g}; expected a number greater than 0")
    return value


def _id(value: int) -> int:
    if not 0 <= value < 2**31:
        _fail(f"found {value}; expected a layer id from 0 to 2147483647")
    return value


def _count(value: int) -> int:
    if not 1 <= value <= MAX_COUNT:
        _fail(f"found {value}; expected an integer from 1 to {MAX_COUNT}")
    return value


def _not_empty(value: Any) -> Any:
    if not value:
        _fail(f"found {value!r}; expected at least one entry")
    return value


def _mass_fractions(value: dict[str, float]) -> dict[str, float]:
    total = sum(value.values())
    if abs(total - 1.0) > MASS_FRACTION_TOLERANCE:
        _fail(f"mass fractions sum to {total:.4f}; expected 1 within {MASS_FRACTION_TOLERANCE:g}")
    return value


def _file_name(value: str) -> str:
    if not re.fullmatch(r"[\w.+-]+", value) or value.startswith((".", "-")):
        _fail(f"found {value!r}; expected letters, digits and _ . + - only: files are named after it")
    return value


def _interval(value: list[float]) -> list[float]:
    if len(value) != 2 or not value[0] < value[1]:
        _fail(f"found {value}; expected [low, high] with low < high")
    return value


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Number, AfterValidator(_positive)]
LayerId = Annotated[int, AfterValidator(_id)]
Count = Annotated[int, AfterValidator(_count)]
Interval = Annotated[list[Number], AfterValidator(_interval)]
MassFractions = Annotated[dict[str, Positive], AfterValidator(_not_empty), AfterValidator(_mass_fractions)]
LengthUnit = Literal["um", "mm", "cm", "m"]
EnergyUnit = Literal["eV", "keV", "MeV", "GeV", "TeV"]


class _Model(BaseModel):
    # strict: YAML has typed values, so "1" in place of 1 is a mistake of the user
    model_config = ConfigDict(extra="forbid", strict=True)


class Units(_Model):
    """Units of energies and lengths: MeV and mm unless said otherwise; angles are always in rad."""

    energy: EnergyUnit = "MeV"
    length: LengthUnit = "mm"

    @property
    def mev(self) -> float:
        """Factor from the energy unit to MeV."""
        return ENERGIES[self.energy]

    @property
    def mm(self) -> float:
        """Factor from the length unit to mm."""
        return LENGTHS[self.length]


class _Medium(_Model):
    """What something is made of: a material by name, or a mixture by mass with its density in g/cm3."""

    material: str | None = None
    mixture: MassFractions | None = None
    density: Positive | None = None

    @model_validator(mode="after")
    def _one_composition(self) -> _Medium:
        if (self.material is None) == (self.mixture is None):
            _fail("expected either a material or a mixture (with its density)")
        if self.mixture is not None and self.density is None:
            _fail("a mixture needs its density in g/cm3")
        return self


class Layer(_Medium):
    """A layer; active if it has an id. `from` and `to` are radii in a barrel, z in a planar detector."""

    name: str | None = None
    id: LayerId | None = None
    from_: Number = Field(alias="from")
    to: Number

    @model_validator(mode="after")
    def _extent(self) -> Layer:
        if not self.to > self.from_:
            _fail(f"from {self.from_:g} to {self.to:g} has no positive thickness; expected to > from")
        return self


class Plate(_Medium):
    """One plate of a stack's period."""

    name: str | None = None
    thickness: Positive
    active: bool = False


class Stack(_Model):
    """A period of plates, repeated; every active plate is a layer, numbered from `first_id`."""

    name: str | None = None
    from_: Number = Field(alias="from")
    repeat: Count
    first_id: LayerId = 0
    plates: Annotated[list[Plate], AfterValidator(_not_empty)]


class StackEntry(_Model):
    """The entry of `layers` that holds a stack."""

    stack: Stack


def _layer_tag(value: Any) -> str:
    return (
        f"{TAG}stack"
        if isinstance(value, StackEntry) or (isinstance(value, dict) and "stack" in value)
        else f"{TAG}layer"
    )


LayerEntry = Annotated[
    Annotated[Layer, Tag(f"{TAG}layer")] | Annotated[StackEntry, Tag(f"{TAG}stack")], Discriminator(_layer_tag)
]


class MaterialSpec(_Model):
    """A material of the user's own, or quantities of a known one set by hand.

    `density` in g/cm3, `mass` by mass fraction, `atoms` by number of atoms; X0 and R_M in the length unit of the file,
    Ec in its energy unit, A in g/mol.
    """

    density: Positive | None = None
    mass: MassFractions | None = None
    atoms: Annotated[dict[str, Positive], AfterValidator(_not_empty)] | None = None
    X0: Positive | None = None
    R_M: Positive | None = None
    Ec: Positive | None = None
    Z: Positive | None = None
    A: Positive | None = None

    @model_validator(mode="after")
    def _one_composition(self) -> MaterialSpec:
        if self.mass is not None and self.atoms is not None:
            _fail("expected mass or atoms, not both")
        if not self.model_fields_set:
            _fail("nothing is set; expected density and mass (or atoms), or quantities to override")
        return self


def _id_list(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if isinstance(value, str):
        bounds = re.fullmatch(r"(\d+)-(\d+)", value)
        if bounds is None or not 0 <= int(bounds[2]) - int(bounds[1]) < MAX_COUNT:
            _fail(f"found {value!r}; expected a layer id, a list of ids, or a range such as 0-44")
        return list(range(int(bounds[1]), int(bounds[2]) + 1))
    return value


def _window(value: list[int]) -> list[int]:
    if len(value) != 2 or not all(1 <= n <= MAX_COUNT for n in value):
        _fail(f"found {value}; expected two numbers of cells, such as [7, 7]")
    return value


class CellSize(_Model):
    """Size of a layer's readout cells: eta and phi (rad), or x and y in the length unit of the file.

    A cell starts at 0 in both coordinates; in phi the nearest whole number of cells fits around the axis. `window` is
    how many cells around the impact cell an image of a shower has.
    """

    eta: Positive | None = None
    phi: Positive | None = None
    x: Positive | None = None
    y: Positive | None = None
    window: Annotated[list[int], AfterValidator(_window)] = Field(default_factory=lambda: [7, 7])

    @model_validator(mode="after")
    def _one_pair(self) -> CellSize:
        if self.model_fields_set - {"window"} not in ({"eta", "phi"}, {"x", "y"}):
            _fail("expected {eta: ..., phi: ...} or {x: ..., y: ...}")
        if self.phi is not None and abs(round(2 * pi / self.phi) * self.phi / (2 * pi) - 1) > 0.01:
            _fail(f"phi {self.phi:g} fits {2 * pi / self.phi:.2f} times around the axis; expected a whole number")
        return self


def _r_edges(value: list[float]) -> list[float]:
    if len(value) < 2 or value[0] < 0 or any(b <= a for a, b in pairwise(value)):
        _fail(f"found {value}; expected at least two radii in mm, growing, the first not negative")
    return value


class LayerBins(_Model):
    """Voxels of one or several layers: edges in r (mm) and the number of equal bins in alpha, from -pi."""

    ids: Annotated[list[LayerId], BeforeValidator(_id_list), AfterValidator(_not_empty)] = Field(alias="id")
    r_edges: Annotated[list[Number], AfterValidator(_r_edges)]
    n_bin_alpha: Count = 1


class BinningRegion(_Model):
    """Voxels for one kind of particle (any, without `pid`) in a range of |eta| (any, without `eta`)."""

    pid: int | None = None
    eta: Interval | None = None
    layers: Annotated[list[LayerBins], AfterValidator(_not_empty)]


def _fold(value: list[list[float]]) -> list[list[float]]:
    radii = [point[0] for point in value if len(point) == 2]
    if len(radii) != len(value) or len(radii) < 2 or any(b <= a for a, b in pairwise(radii)):
        _fail("expected points [radius, phi in rad], at least two, with growing radii")
    return value


class Modulation(_Model):
    """Periodic dependence of the response on phi: its period in rad, and the layers that have it.

    `fold` says where in phi an absorber lies that would lie at 0 if it were flat, as points [radius, phi] with straight
    lines between them: cells then follow the electrodes (`showers.wiggle`). Without it cells are straight.
    """

    pitch: Positive
    layers: Annotated[list[LayerId], AfterValidator(_not_empty)]
    fold: Annotated[list[list[Number]], AfterValidator(_fold)] | None = None


class Trees(_Model):
    """Two trees, a row per particle and a row per hit, joined by the branch with the role `event`."""

    particles: str
    hits: str


def _file_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _tree_tag(value: Any) -> str:
    return f"{TAG}joined" if isinstance(value, Trees | dict) else f"{TAG}single"


def _roles(value: dict[str, str]) -> dict[str, str]:
    for role in value:
        if role not in ROLES:
            _fail(f"unknown role '{role}'{near(role, ROLES)}; expected roles out of {', '.join(ROLES)}")
    missing = [role for role in ("pdg", "energy", "x", "y", "z", "e") if role not in value]
    if missing:
        _fail(f"no branch for {', '.join(missing)} ({'; '.join(ROLES[role] for role in dict.fromkeys(missing))})")
    for group in (("vx", "vy", "vz"), ("px", "py", "pz"), ("eta", "phi")):
        given = [role for role in group if role in value]
        if given and len(given) < len(group):
            _fail(f"found {', '.join(given)} only; expected {', '.join(group)} together")
    if "px" not in value and "eta" not in value:
        _fail("no direction of the particles; expected px, py, pz, or eta, phi")
    return value


class Sample(_Model):
    """Files of one layout: rows count through them in listed order."""

    files: Annotated[list[str], BeforeValidator(_file_list), AfterValidator(_not_empty)]
    tree: Annotated[
        Annotated[str, Tag(f"{TAG}single")] | Annotated[Trees, Tag(f"{TAG}joined")], Discriminator(_tree_tag)
    ]
    format: str | None = None
    branches: Annotated[dict[str, str], AfterValidator(_roles)]
    units: Units = Field(default_factory=Units)

    @model_validator(mode="after")
    def _joined_by_event(self) -> Sample:
        if isinstance(self.tree, Trees) and "event" not in self.branches:
            _fail("two trees need a branch with the role event to be joined by; add event: to branches")
        if isinstance(self.tree, str) and "event" in self.branches:
            _fail("the role event joins two trees; expected tree: {particles: ..., hits: ...}, or no event")
        return self


def _disjoint(value: list[list[float]]) -> list[list[float]]:
    for (_, end), (start, _) in pairwise(value):
        if start < end:
            _fail(f"slices overlap or are out of order at {start:g}; expected growing intervals")
    return value


class Slices(_Model):
    """Ranges of pseudorapidity that are tuned separately."""

    eta: Annotated[list[Interval], AfterValidator(_not_empty), AfterValidator(_disjoint)]


class Stock(_Model):
    """What GFlash with its stock constants needs beyond the materials.

    `c` is the sampling fluctuation sigma/E = c/sqrt(E/GeV), `visible_fraction` the visible part of the energy.
    """

    c: Positive | None = None
    visible_fraction: Positive | None = None


def _by_id(value: Any) -> Any:
    """Write out keys such as 0-59, which stand for all layers of a stack."""
    if not isinstance(value, dict):
        return value
    found: dict[Any, Any] = {}
    for key, entry in value.items():
        for one in _id_list(key) if isinstance(key, str) else [key]:
            if one in found:
                _fail(f"layer {one} is given twice, the second time by {key!r}; keep one")
            found[one] = entry
    return found


Cells = Annotated[dict[LayerId, CellSize], BeforeValidator(_by_id)]


class GeometryConfig(_Model):
    """A geometry.yaml as validated."""

    name: Annotated[str, AfterValidator(_file_name)]
    frame: Literal["barrel", "planar"]
    units: Units = Field(default_factory=Units)
    materials: dict[str, MaterialSpec] = Field(default_factory=dict)
    layers: Annotated[list[LayerEntry], AfterValidator(_not_empty)]
    energy_is: Literal["kinetic", "total", "momentum"] = "kinetic"
    cells: Cells | None = None
    binning: list[BinningRegion] | None = None
    modulation: Modulation | None = None
    samples: list[Sample] = Field(default_factory=list)
    slices: Slices | None = None
    stock: Stock | None = None
    recipe: str | None = None

    @model_validator(mode="after")
    def _inherit_units(self) -> GeometryConfig:
        """Let samples have the units of the file where they do not say theirs."""
        for sample in self.samples:
            own = sample.units.model_dump(include=sample.units.model_fields_set)
            sample.units = Units.model_validate({**self.units.model_dump(), **own})
        return self
