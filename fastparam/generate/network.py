"""Networks as generators: latents and conditions in, voxels out.

What the network expects and returns is declared in a description (`fastparam.generate.network_description`). Latents
are counter-based, so that a shower depends on the seed and on `Particles.index` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastparam._numba import kernel, parallel_kernel, prange
from fastparam.errors import FastparamError, InputError
from fastparam.generate.limits import Region, check_regions, describe_regions
from fastparam.generate.lwtnn import LwtnnNetwork
from fastparam.generate.network_description import (
    AbsEta,
    Constant,
    Description,
    Energy,
    Latent,
    LogEnergy,
    OneHot,
    PhiModulo,
    load_description,
)
from fastparam.generate.onnx import OnnxNetwork
from fastparam.geometry.binning_xml import read_binning_xml
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.geometry.schema import BinningRegion
from fastparam.geometry.stand_in import voxels_only
from fastparam.geometry.voxels import VoxelBinning, voxels_of
from fastparam.particles import MASSES, Particles
from fastparam.random import normal, stream, uniform
from fastparam.showers.showers import Showers

__all__ = ["SUFFIXES", "NetworkGenerator", "load_network"]

Floats = npt.NDArray[np.float64]

#: Endings of networks; their description has the same name and the ending .yaml.
SUFFIXES = (".onnx", ".json", ".json.gz")

#: Showers that are evaluated at a time: the stated buffer is a few times their voxels.
_AT_A_TIME = 4096

#: Numbers that are worth more than one thread.
_WORTH_THREADS = 20_000

#: Names the first stream of random numbers; further latents have the following numbers.
_PURPOSE = 0xA0


class Network(Protocol):
    """Something that evaluates inputs by name."""

    inputs: dict[str, int]

    @property
    def outputs(self) -> Mapping[str, Any]: ...

    def __call__(self, values: Mapping[str, Floats], output: str) -> Floats: ...


@kernel
def _draw_one(seed: Any, number: Any, purpose: int, is_normal: bool, values: Any) -> None:
    state = stream(seed, number, purpose)
    for k in range(len(values)):
        values[k] = normal(state) if is_normal else uniform(state)


@kernel
def _draw_few(seed: Any, index: Any, purpose: int, is_normal: bool, values: Any) -> None:
    for i in range(len(index)):
        _draw_one(seed, index[i], purpose, is_normal, values[i])


@parallel_kernel
def _draw_many(seed: Any, index: Any, purpose: int, is_normal: bool, values: Any) -> None:
    for i in prange(len(index)):
        _draw_one(seed, index[i], purpose, is_normal, values[i])


class NetworkGenerator:
    """A network with its description.

    Parameters
    ----------
    description : Description
    network : Network
    geometry : Geometry
    binning : VoxelBinning
    name : str
    as_pdg : int, optional
        Sample every particle as if it were this one.

    Attributes
    ----------
    name : str
    geometry : Geometry
    binning : VoxelBinning
        Of the voxels that come out.
    visible_fraction : float or None
        As declared.
    """

    def __init__(
        self,
        description: Description,
        network: Network,
        geometry: Geometry,
        binning: VoxelBinning,
        name: str,
        *,
        as_pdg: int | None = None,
    ) -> None:
        self.description = description
        self.geometry: Geometry = geometry
        self.binning = binning
        self.name = name
        self.as_pdg = as_pdg
        self.visible_fraction = description.visible_fraction
        self._network = network
        self._regions = [
            Region(d.pdg, (d.energy[0], d.energy[1]), None if d.eta is None else (d.eta[0], d.eta[1]))
            for d in description.domain
        ]
        self._order = _order(description.output.order, binning)
        self._output = _output(description, network, name)
        self._check_widths()

    def __repr__(self) -> str:
        return f"<network {self.name}, {self.binning.n_voxels} voxels>"

    @property
    def domain(self) -> list[dict[str, object]]:
        """Particles, energies and directions that the network was trained for, as data."""
        return describe_regions(self._regions, "voxels")

    def check(self, particles: Particles) -> None:
        """Do what `generate` does before it samples; raises `OutOfDomainError`."""
        check_regions(self.name, self.geometry, self._regions, particles, self.as_pdg)

    def generate(self, particles: Particles, *, seed: int) -> Showers:
        """Simulate each particle once; see `fastparam.generate.protocol.Generator`.

        Raises
        ------
        InputError
            If the network cannot be evaluated or returns something that is no number.
        """
        self.check(particles)
        voxels = np.empty((len(particles), self.binning.n_voxels))
        for first in range(0, len(particles), _AT_A_TIME):
            some = particles.take(slice(first, first + _AT_A_TIME))
            voxels[first : first + len(some)] = self._voxels(some, seed)
        return Showers.from_voxels(particles, voxels, self.binning, self.geometry, seed=seed)

    def _voxels(self, particles: Particles, seed: int) -> Floats:
        values = self._inputs(particles, seed)
        out = self._network(values, self._output)
        own, n_voxels = self.description.output, self.binning.n_voxels
        further = len(self.binning.layer_ids) if own.normalisation == "layers" and own.layer_energies is None else 0
        if out.shape[1] != n_voxels + further:
            raise InputError(
                f"{self.name}: returns {out.shape[1]} numbers per shower; expected {n_voxels + further}"
                f" ({n_voxels} voxels{f' and {further} layers' if further else ''})"
            )
        bad = ~np.isfinite(out).all(axis=1)
        if bad.any():
            number = particles.index[int(np.flatnonzero(bad)[0])]
            raise InputError(f"{self.name}: returns something that is no number for particle {number}")
        voxels = np.maximum(out[:, :n_voxels][:, self._order], 0.0)
        if own.normalisation == "layers":
            energies = out[:, n_voxels:] if further else self._network(values, str(own.layer_energies))
            voxels = self._by_layers(voxels, np.maximum(energies, 0.0))
        if own.normalisation in ("energy", "layers"):
            voxels *= particles.energy[:, None]
        elif own.normalisation == "momentum":
            voxels *= _momentum(particles)[:, None]
        if self.description.energies == "em":
            assert self.visible_fraction is not None
            voxels *= self.visible_fraction
        voxels[voxels < own.threshold] = 0.0
        return voxels

    def _by_layers(self, voxels: Floats, energies: Floats) -> Floats:
        first = self.binning.first
        sums = np.add.reduceat(voxels, first[:-1], axis=1)
        factor = np.divide(energies, sums, out=np.zeros_like(sums), where=sums > 0.0)
        return voxels * factor[:, self.binning.layer]

    def _inputs(self, particles: Particles, seed: int) -> dict[str, Floats]:
        pdg = particles.pdg if self.as_pdg is None else np.full(len(particles), self.as_pdg)
        purpose = _PURPOSE
        values: dict[str, Floats] = {}
        for name, quantities in self.description.inputs.items():
            columns = []
            for quantity in quantities:
                if isinstance(quantity, Latent):
                    drawn = np.empty((len(particles), quantity.size))
                    # Waking other threads takes longer than a few showers need.
                    draw = _draw_few if drawn.size < _WORTH_THREADS else _draw_many
                    draw(seed, particles.index, purpose, quantity.distribution == "normal", drawn)
                    purpose += 1
                    columns.append(_spread(drawn, quantity))
                else:
                    columns.append(_condition(quantity, particles, pdg))
            values[name] = np.concatenate(columns, axis=1)
        return values

    def _check_widths(self) -> None:
        declared = {name: sum(q.columns for q in quantities) for name, quantities in self.description.inputs.items()}
        if set(declared) != set(self._network.inputs):
            raise InputError(
                f"{self.name}: the description has inputs {', '.join(declared)}; the network's are"
                f" {', '.join(self._network.inputs)}"
            )
        for name, columns in declared.items():
            if self._network.inputs[name] not in (-1, columns):
                raise InputError(
                    f"{self.name}: input {name} has {columns} columns in the description; the network takes"
                    f" {self._network.inputs[name]}"
                )


def load_network(path: Path, *, geometry: Geometry | None = None, as_pdg: int | None = None) -> NetworkGenerator:
    """Load a network by its description, or by its own file with the description beside it.

    Parameters
    ----------
    path : Path
        ``gan.yaml``, or ``gan.onnx``, ``gan.json``, ``gan.json.gz`` with a ``gan.yaml`` beside it.
    geometry : Geometry, optional
        Where the description names none.
    as_pdg : int, optional
        Sample every particle as if it were this one.

    Raises
    ------
    InputError
        If the description or the network is missing, broken, or the two do not fit together.
    """
    where = path
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            if not path.is_file():
                raise InputError(f"{path}: no such file; expected a network")
            where = path.with_name(path.name.removesuffix(suffix) + ".yaml")
    description = load_description(where)
    file = where.parent / description.network
    kind = description.kind or ("onnx" if file.suffix == ".onnx" else "lwtnn")
    name = description.name or file.name
    try:
        if description.geometry is not None:
            own = where.parent / description.geometry
            geometry = load_geometry(own if own.exists() else description.geometry)
        binning = _binning(description, where, geometry)
        detector = voxels_only(binning, where) if geometry is None else geometry
        binning.rows_of_layers(detector)
    except FastparamError as error:
        raise InputError(f"{where}: {error}") from error
    network: Network = OnnxNetwork(file) if kind == "onnx" else LwtnnNetwork(file)
    return NetworkGenerator(description, network, detector, binning, name, as_pdg=as_pdg)


def _binning(description: Description, where: Path, geometry: Geometry | None) -> VoxelBinning:
    first = description.domain[0]
    eta = None if first.eta is None else 0.5 * (first.eta[0] + first.eta[1])
    if description.binning is None:
        assert geometry is not None
        return voxels_of(geometry, pdg=first.pdg, eta=eta)
    regions = [BinningRegion.model_validate(r) for r in read_binning_xml(where.parent / description.binning)]
    for region in regions:
        kind = region.pid is None or abs(region.pid) == abs(first.pdg)
        if kind and (region.eta is None or eta is None or region.eta[0] <= abs(eta) <= region.eta[1]):
            return VoxelBinning.from_region(region)
    raise InputError(f"{description.binning} has no voxels for particle {first.pdg} at eta {eta}")


def _output(description: Description, network: Network, name: str) -> str:
    known = list(network.outputs)
    for wanted in (description.output.name, description.output.layer_energies):
        if wanted is not None and wanted not in known:
            raise InputError(f"{name}: has no output '{wanted}'; it has {', '.join(known)}")
    if description.output.name is not None:
        return description.output.name
    others = [one for one in known if one != description.output.layer_energies]
    if len(others) != 1:
        raise InputError(f"{name}: which output? Say output: {{name: ...}}, one of {', '.join(known)}")
    return others[0]


def _order(order: str, binning: VoxelBinning) -> npt.NDArray[np.int64]:
    """Return where each voxel of the binning is in what comes out."""
    layer, ring, sector = binning.layer, binning.ring, binning.sector
    n_alpha = np.array(binning.n_alpha, dtype=np.int64)[layer]
    if order == "layer alpha r":
        return np.arange(binning.n_voxels)
    if order == "layer r alpha":
        return np.asarray(binning.first[layer] + ring * n_alpha + sector)
    if len(set(binning.n_r)) > 1 or len(set(binning.n_alpha)) > 1:
        raise InputError("output.order 'r alpha layer' needs equal voxels in all layers")
    return np.asarray((ring * n_alpha + sector) * len(binning.layer_ids) + layer)


def _spread(drawn: Floats, latent: Latent) -> Floats:
    if latent.distribution == "normal":
        return latent.mean + latent.width * drawn
    return latent.low + (latent.high - latent.low) * drawn


def _condition(
    quantity: Energy | LogEnergy | OneHot | AbsEta | PhiModulo | Constant,
    particles: Particles,
    pdg: npt.NDArray[np.integer[Any]],
) -> Floats:
    n = len(particles)
    if isinstance(quantity, Energy):
        values = (_momentum(particles) if quantity.momentum else particles.energy) / quantity.scale
    elif isinstance(quantity, LogEnergy):
        energy = _momentum(particles) if quantity.momentum else particles.energy
        values = np.log(energy / quantity.low) / np.log(quantity.high / quantity.low)
    elif isinstance(quantity, OneHot):
        return np.asarray(np.abs(pdg)[:, None] == np.abs(quantity.pdg)[None, :], dtype=np.float64)
    elif isinstance(quantity, AbsEta):
        values = (np.abs(particles.eta) + quantity.offset) * quantity.scale
    elif isinstance(quantity, PhiModulo):
        turns = particles.phi / quantity.pitch
        turns -= np.floor(turns)
        if quantity.encoding == "sine_cosine":
            return np.stack([np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)], axis=1)
        values = turns
    else:
        values = np.full(n, quantity.value)
    return np.asarray(values, dtype=np.float64).reshape(n, 1)


def _momentum(particles: Particles) -> Floats:
    mass = np.array([MASSES.get(abs(int(code)), 0.0) for code in particles.pdg])
    return np.asarray(np.sqrt(particles.energy * (particles.energy + 2.0 * mass)), dtype=np.float64)
