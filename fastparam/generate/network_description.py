"""What a network needs said beside its file: a small YAML file, checked as a whole.

`docs/generators.md` is its reference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from fastparam.errors import InputError, near
from fastparam.geometry.expression import evaluate

__all__ = [
    "AbsEta",
    "Constant",
    "Description",
    "DomainEntry",
    "Energy",
    "Latent",
    "LogEnergy",
    "OneHot",
    "Output",
    "PhiModulo",
    "Quantity",
    "load_description",
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _number(value: Any) -> Any:
    return evaluate(value) if isinstance(value, str) else value


Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[PositiveFloat, BeforeValidator(_number)]


class Latent(_Model):
    """Random numbers: `size` columns, normal (mean, width) or uniform (low, high)."""

    quantity: Literal["latent"]
    size: PositiveInt
    distribution: Literal["normal", "uniform"] = "normal"
    mean: Number = 0.0
    width: Positive = 1.0
    low: Number = 0.0
    high: Number = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Latent:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.size


class Energy(_Model):
    """Kinetic energy (or momentum) over `scale`, in MeV."""

    quantity: Literal["energy"]
    scale: Positive = 1.0
    momentum: bool = False
    columns: ClassVar[int] = 1


class LogEnergy(_Model):
    """ln(E / low) / ln(high / low), E kinetic or the momentum, in MeV: 0 at `low`, 1 at `high`."""

    quantity: Literal["log_energy"]
    low: Positive
    high: Positive
    momentum: bool = False
    columns: ClassVar[int] = 1

    @model_validator(mode="after")
    def _ordered(self) -> LogEnergy:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} MeV is not below high {self.high:g} MeV")
        return self


class OneHot(_Model):
    """One column per particle code: 1 in that of the particle (or its antiparticle), else 0."""

    quantity: Literal["one_hot"]
    pdg: Annotated[list[int], Field(min_length=1)]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.pdg)


class AbsEta(_Model):
    """(|eta| + offset) scale."""

    quantity: Literal["abs_eta"]
    offset: Number = 0.0
    scale: Number = 1.0
    columns: ClassVar[int] = 1


class PhiModulo(_Model):
    """phi modulo `pitch` in pitches, from 0 to 1; or its sine and cosine."""

    quantity: Literal["phi_modulo"]
    pitch: Positive
    encoding: Literal["fraction", "sine_cosine"] = "fraction"

    @property
    def columns(self) -> int:
        """Number of columns."""
        return 1 if self.encoding == "fraction" else 2


class Constant(_Model):
    """A number that is always the same."""

    quantity: Literal["constant"]
    value: Number = 0.0
    columns: ClassVar[int] = 1


Quantity = Annotated[
    Latent | Energy | LogEnergy | OneHot | AbsEta | PhiModulo | Constant, Field(discriminator="quantity")
]


class Output(_Model):
    """What comes out of the network.

    `normalisation`: "energy" for voxel energies over the kinetic energy, "momentum" over the momentum, "MeV", or
    "layers" for shares of each layer's energy together with the layers' energies over the kinetic energy, either as
    further columns or as another output, `layer_energies`. `order`: of the voxels, slowest first.
    """

    name: str | None = None
    normalisation: Literal["energy", "momentum", "MeV", "layers"] = "energy"
    layer_energies: str | None = None
    order: Literal["layer alpha r", "layer r alpha", "r alpha layer"] = "layer alpha r"
    threshold: Annotated[float, Field(ge=0.0)] = 0.0


def _range(value: list[float]) -> list[float]:
    if len(value) != 2 or value[0] > value[1]:
        raise ValueError(f"found {value}; expected [lowest, highest]")
    return value


class DomainEntry(_Model):
    """Particles that the network was trained for: kinetic energies in MeV, and eta in a barrel."""

    pdg: int
    energy: Annotated[list[Positive], AfterValidator(_range)]
    eta: Annotated[list[Number], AfterValidator(_range)] | None = None


class Description(_Model):
    """The description of a network, as its YAML file has it."""

    network: str
    kind: Literal["onnx", "lwtnn"] | None = None
    name: str | None = None
    geometry: str | None = None
    binning: str | None = None
    inputs: dict[str, Annotated[list[Quantity], Field(min_length=1)]]
    output: Output = Output()
    energies: Literal["visible", "em"] = "visible"
    visible_fraction: Positive | None = None
    domain: Annotated[list[DomainEntry], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> Description:
        if self.energies == "em" and self.visible_fraction is None:
            raise ValueError("energies: em needs visible_fraction, the visible part of energies on that scale")
        if self.geometry is None and self.binning is None:
            raise ValueError("expected geometry, binning or both: which voxels come out")
        return self


def load_description(path: Path) -> Description:
    """Read a description.

    Raises
    ------
    InputError
        If the file is missing or no description; every wrong key is named.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; a network needs a description beside it (see docs/generators.md)"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as YAML ({problem})") from error
    if isinstance(content, dict) and "layers" in content and "network" not in content:
        raise InputError(f"{path}: is a geometry, no network; stock GFlash in it is gflash:{path}")
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors(include_url=False))
        raise InputError(f"{path}: {problems}") from error


def _problem(item: Any) -> str:
    # Within `inputs` the place holds the quantity as well as its key.
    loc = item["loc"]
    parts = [part for part in loc if part not in _TAGS] if loc and loc[0] == "inputs" else loc
    where = f"{'.'.join(str(part) for part in parts)}: " if parts else ""
    if item["type"] == "extra_forbidden":
        return f"{where}unknown key{near(str(loc[-1]), _KEYS)}"
    if item["type"] == "union_tag_invalid":
        found = str(item["ctx"]["tag"])
        return f"{where}unknown quantity '{found}'{near(found, _TAGS)}; expected one of {', '.join(_TAGS)}"
    text = item["msg"].removeprefix("Value error, ")
    return f"{where}{text[0].lower()}{text[1:]}"


_TAGS = ("latent", "energy", "log_energy", "one_hot", "abs_eta", "phi_modulo", "constant")
_KEYS = tuple(
    dict.fromkeys(
        name
        for model in (Description, Output, DomainEntry, Latent, LogEnergy, Energy, OneHot, AbsEta, PhiModulo)
        for name in model.model_fields
    )
)
