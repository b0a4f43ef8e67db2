"""Toy showers whose true parameters are known: the reference that fits, summaries and comparisons are closed against.

Plain NumPy and written apart from fastparam's frames, shapes and samplers, so that an error made there is not repeated
here. A toy shower consists of `n_spots` spots of equal energy:

* visible energy, if everything were contained: Gamma-distributed with mean f E and relative width a / sqrt(E/GeV);
* (ln T, ln alpha): normal, with means, widths and correlation that are laws in ln y, y = E/Ec, of the forms of
  Grindhammer & Peters (hep-ex/0001020); the depth t of a spot, in X0 from the first declared layer along the particle's
  line, is Gamma-distributed with shape alpha and maximum at T;
* the radius r about the line: core with weight p(tau), else tail, density 2 r R^2 / (r^2 + R^2)^2 up to `r_max`,
  tau = t/T; the azimuth is uniform.

A spot in a stack is moved along the particle's direction into the active plate of the period it fell in, so energy per
period follows the depth law exactly. Spots outside all periods (dead material, leakage) are lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.hits.hits import Hits
from fastparam.particles import MASSES, Particles

Floats = npt.NDArray[np.float64]

_JAGGED = """
samples:
  - files: [toy.root]
    tree: showers
    branches: {pdg: pdg, energy: energy, vx: vx, vy: vy, vz: vz, px: px, py: py, pz: pz,
               x: hit_x, y: hit_y, z: hit_z, e: hit_e, layer: hit_layer}
"""

_JOINED = """
samples:
  - files: [toy.root]
    tree: {particles: primaries, hits: hits}
    branches: {event: event, pdg: pdg, energy: ekin, vx: x, vy: y, vz: z, px: px, py: py, pz: pz,
               x: x, y: y, z: z, e: edep}
"""

#: 30 periods of 0.92 X0; jagged tree.
PLANAR = f"""name: tiny_planar
frame: planar
recipe: gflash
energy_is: kinetic
layers:
  - stack:
      from: 0
      repeat: 30
      first_id: 0
      plates: [{{material: W, thickness: 3.2}}, {{material: Si, thickness: 0.5, active: true}}]
{_JAGGED}"""

#: 26 X0 of PbWO4 in four layers; particles and hits in two flat trees, without a layer branch.
BLOCK = f"""name: tiny_block
frame: planar
recipe: gflash
energy_is: kinetic
layers:
  - {{name: first, id: 0, from: 0, to: 40, material: PbWO4}}
  - {{name: second, id: 1, from: 40, to: 80, material: PbWO4}}
  - {{name: third, id: 2, from: 80, to: 140, material: PbWO4}}
  - {{name: fourth, id: 3, from: 140, to: 230, material: PbWO4}}
{_JOINED}"""

#: 0.7 X0 of aluminium, then 25 X0 of a lead and argon mixture in three layers; jagged tree.
BARREL = f"""name: tiny_barrel
frame: barrel
recipe: gflash
energy_is: kinetic
layers:
  - {{name: cryostat, from: 1300, to: 1360, material: Al}}
  - {{name: strips, id: 1, from: 1500, to: 1590, mixture: {{Pb: 0.8, lAr: 0.2}}, density: 4.0}}
  - {{name: middle, id: 2, from: 1590, to: 1800, mixture: {{Pb: 0.8, lAr: 0.2}}, density: 4.0}}
  - {{name: back, id: 3, from: 1800, to: 1960, mixture: {{Pb: 0.8, lAr: 0.2}}, density: 4.0}}
{_JAGGED}"""


@dataclass(frozen=True)
class Law:
    """What toy showers follow; every pair (a, b) stands for a + b ln y, every radius is in Moliere radii."""

    visible: float = 0.05
    """f: mean visible energy, if all were contained, over the kinetic energy."""
    resolution: float = 0.10
    """a: relative width of the visible energy at 1 GeV; it falls as 1/sqrt(E)."""
    exp_ln_t: tuple[float, float] = (-0.812, 1.0)
    """exp <ln T>, in X0."""
    exp_ln_alpha: tuple[float, float] = (0.81, 0.49)
    """exp <ln alpha>."""
    inverse_sigma_t: tuple[float, float] = (-1.4, 1.26)
    """1 / sigma(ln T)."""
    inverse_sigma_alpha: tuple[float, float] = (-0.58, 0.86)
    """1 / sigma(ln alpha)."""
    rho: tuple[float, float] = (0.705, -0.023)
    """Correlation of ln T and ln alpha."""
    core: tuple[float, float] = (0.03, 0.09)
    """R_C = core[0] + core[1] tau."""
    tail: tuple[float, float, float, float] = (0.45, 0.645, -2.59, 0.36)
    """R_T = k1 (exp(k3 (tau - k2)) + exp(k4 (tau - k2)))."""
    weight: tuple[float, float, float] = (2.57, 0.53, 1.31)
    """p = p1 exp(u - exp(u)), u = (p2 - tau)/p3."""
    r_max: float = 20.0
    """Radius beyond which there are no spots."""
    k: float = 0.0
    """Mean path of a photon to its conversion over 9/7 [1 + 0.05 (E/GeV)^-0.88] X0; profiles then start behind it."""
    pair: float = 0.0
    """Energy exp(-t) dt that the pair leaves behind the conversion, in critical energies."""

    def core_radius(self, tau: Floats) -> Floats:
        return self.core[0] + self.core[1] * tau

    def tail_radius(self, tau: Floats) -> Floats:
        k1, k2, k3, k4 = self.tail
        return k1 * (np.exp(k3 * (tau - k2)) + np.exp(k4 * (tau - k2)))

    def core_weight(self, tau: Floats) -> Floats:
        p1, p2, p3 = self.weight
        u = (p2 - tau) / p3
        return p1 * np.exp(u - np.exp(u))


def true_shapes(geometry: Geometry, particles: Particles, *, seed: int, law: Law = Law()) -> tuple[Floats, Floats]:
    """Return T in X0 and alpha of the showers that `shower_batch` makes with the same arguments, shapes (n,)."""
    rng = np.random.default_rng([seed, 0])
    ln_y = np.log(particles.energy / geometry.material.critical_energy)

    def linear(pair: tuple[float, float]) -> Floats:
        return pair[0] + pair[1] * ln_y

    rho = linear(law.rho)
    first, second = rng.standard_normal((2, len(particles)))
    ln_t = np.log(linear(law.exp_ln_t)) + first / linear(law.inverse_sigma_t)
    correlated = rho * first + np.sqrt(1 - rho**2) * second
    ln_alpha = np.log(linear(law.exp_ln_alpha)) + correlated / linear(law.inverse_sigma_alpha)
    # A shower with alpha <= 1 has no maximum; at 1 GeV in tungsten that is 3 standard deviations away.
    return np.exp(ln_t), np.maximum(np.exp(ln_alpha), 1.05)


def shower_batch(geometry: Geometry, particles: Particles, *, seed: int, law: Law = Law(), n_spots: int = 400) -> Hits:
    """Return toy showers, one per particle, drawn from `law`; spots lost from a shower leave it with fewer hits."""
    t_max, alpha = true_shapes(geometry, particles, seed=seed, law=law)
    rng = np.random.default_rng([seed, 1])
    relative = law.resolution / np.sqrt(particles.energy / 1000.0)
    energy = law.visible * particles.energy * rng.gamma(relative**-2) * relative**2
    mean_path = law.k * 9.0 / 7.0 * (1.0 + 0.05 * (particles.energy / 1000.0) ** -0.88)
    pair = law.pair * geometry.material.critical_energy / particles.energy
    points, layers = [], []
    for i in range(len(particles)):
        position, u = particles.position[i], particles.direction[i]
        t = rng.gamma(alpha[i], t_max[i] / (alpha[i] - 1.0), n_spots)
        tau = t / t_max[i]
        if law.k > 0.0:
            early = rng.random(n_spots) < pair[i] / (1.0 + pair[i])
            t = np.where(early, rng.exponential(1.0, n_spots), t) + rng.exponential(mean_path[i])
        core = rng.random(n_spots) < law.core_weight(tau)
        scale = np.where(core, law.core_radius(tau), law.tail_radius(tau))
        quantile = rng.random(n_spots) * law.r_max**2 / (law.r_max**2 + scale**2)
        r = geometry.material.moliere_radius * scale * np.sqrt(quantile / (1.0 - quantile))
        azimuth = rng.uniform(-np.pi, np.pi, n_spots)
        e1, e2 = transverse_axes(geometry, u)
        transverse = r[:, None] * (np.cos(azimuth)[:, None] * e1 + np.sin(azimuth)[:, None] * e2)
        s, inside = _path_at_depth(geometry, position, u, t)
        xyz = position + s[:, None] * u + transverse
        xyz, layer = _into_active(geometry, xyz, u, rng)
        keep = inside & (layer >= 0)
        points.append(xyz[keep])
        layers.append(layer[keep])
    n_hits = np.array([len(layer) for layer in layers], dtype=np.int64)
    x, y, z = np.concatenate(points).T.copy()
    return Hits(
        x=x,
        y=y,
        z=z,
        e=np.repeat(energy / n_spots, n_hits),
        layer=np.concatenate(layers).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(n_hits)]),
    )


def transverse_axes(geometry: Geometry, u: Floats) -> tuple[Floats, Floats]:
    """Return (e1, e2) of a line along `u`: growing eta and phi in a barrel, x and u x e1 in a planar detector."""
    if geometry.frame == "barrel":
        cos_theta, sin_theta = u[2], np.hypot(u[0], u[1])
        cos_phi, sin_phi = u[0] / sin_theta, u[1] / sin_theta
        return (
            np.array([-cos_theta * cos_phi, -cos_theta * sin_phi, sin_theta]),
            np.array([-sin_phi, cos_phi, 0.0]),
        )
    e1 = np.array([1.0, 0.0, 0.0]) - u[0] * u
    e1 /= np.linalg.norm(e1)
    return e1, np.array([u[1] * e1[2] - u[2] * e1[1], u[2] * e1[0] - u[0] * e1[2], u[0] * e1[1] - u[1] * e1[0]])


def gun(
    geometry: Geometry, *, pdg: int = 22, energies: tuple[float, ...] = (4000.0, 16000.0, 65000.0), n: int, seed: int
) -> Particles:
    """Return `n` particles per energy (MeV), shuffled: at eta 0.20-0.25 from the origin, or along z from the front."""
    rng = np.random.default_rng([seed, 2])
    energy = rng.permutation(np.repeat(np.asarray(energies), n))
    if geometry.frame == "barrel":
        eta, phi = rng.uniform(0.20, 0.25, len(energy)), rng.uniform(-0.05, 0.05, len(energy))
        return Particles.gun(pdg=pdg, energy=energy, eta=eta, phi=phi)
    front = np.column_stack([rng.uniform(-20.0, 20.0, (len(energy), 2)), np.full(len(energy), -0.001)])
    return Particles.gun(pdg=pdg, energy=energy, position=front, direction=(0.0, 0.0, 1.0))


def write_root(path: Path, geometry: Geometry, particles: Particles, hits: Hits) -> None:
    """Write showers in the layout that the text of their geometry (`PLANAR`, `BLOCK` or `BARREL`) describes."""
    mass = np.array([MASSES[abs(int(code))] for code in particles.pdg])
    momentum = np.sqrt(particles.energy * (particles.energy + 2.0 * mass))[:, None] * particles.direction
    columns = {"pdg": particles.pdg}
    with uproot.recreate(path) as file:
        if isinstance(geometry.config.samples[0].tree, str):
            columns |= {"energy": particles.energy}
            columns |= {name: particles.position[:, k] for k, name in enumerate(("vx", "vy", "vz"))}
            columns |= {name: momentum[:, k] for k, name in enumerate(("px", "py", "pz"))}
            jagged = {
                "x": hits.x,
                "y": hits.y,
                "z": hits.z,
                "e": hits.e,
                "layer": geometry.layer_ids[hits.layer].astype(np.int32),
            }
            hit = ak.zip({name: ak.unflatten(values, hits.n_hits) for name, values in jagged.items()})
            types = {name: values.dtype for name, values in columns.items()} | {"hit": hit.type.content}
            file.mktree("showers", types)
            file["showers"].extend(columns | {"hit": hit})
        else:
            event = np.arange(len(particles), dtype=np.int64)
            columns = {"event": event} | columns | {"ekin": particles.energy}
            columns |= {name: particles.position[:, k] for k, name in enumerate(("x", "y", "z"))}
            columns |= {name: momentum[:, k] for k, name in enumerate(("px", "py", "pz"))}
            flat = {"event": hits.shower, "x": hits.x, "y": hits.y, "z": hits.z, "edep": hits.e}
            for name, table in (("primaries", columns), ("hits", flat)):
                file.mktree(name, {key: values.dtype for key, values in table.items()})
                file[name].extend(table)


def write_detector(
    folder: Path,
    text: str,
    *,
    pdg: int = 22,
    energies: tuple[float, ...] = (4000.0, 16000.0, 65000.0),
    n: int = 60,
    seed: int = 1,
    law: Law = Law(),
    n_spots: int = 400,
) -> Path:
    """Write ``geometry.yaml`` (one of the texts above) and its ``toy.root`` to `folder`; return the path of the former.

    `n` is the number of showers per energy. Particles are ``gun(load_geometry(path), ...)``, hits ``shower_batch(...)``
    with the same seed.
    """
    path = folder / "geometry.yaml"
    path.write_text(text, encoding="utf-8")
    geometry = load_geometry(path)
    particles = gun(geometry, pdg=pdg, energies=energies, n=n, seed=seed)
    write_root(
        folder / "toy.root", geometry, particles, shower_batch(geometry, particles, seed=seed, law=law, n_spots=n_spots)
    )
    return path


def _level(geometry: Geometry, xyz: Floats) -> Floats:
    """Return the coordinate that orders the layers: radius in a barrel, z in a planar detector."""
    return np.hypot(xyz[..., 0], xyz[..., 1]) if geometry.frame == "barrel" else xyz[..., 2]


def _path_to_level(geometry: Geometry, xyz: Floats, u: Floats, level: Floats) -> Floats:
    """Return how far to go from `xyz` (..., 3) along `u` to reach `level` (...), outwards in a barrel."""
    if geometry.frame == "planar":
        return (level - xyz[..., 2]) / u[2]
    quadratic = u[0] ** 2 + u[1] ** 2
    linear = xyz[..., 0] * u[0] + xyz[..., 1] * u[1]
    constant = xyz[..., 0] ** 2 + xyz[..., 1] ** 2 - level**2
    return (np.sqrt(linear**2 - quadratic * constant) - linear) / quadratic


def _path_at_depth(geometry: Geometry, position: Floats, u: Floats, t: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the path lengths at depths `t` in X0, and which of them lie before the end of the last slab."""
    enter = _path_to_level(geometry, position, u, geometry.slab_from)
    leave = _path_to_level(geometry, position, u, geometry.slab_to)
    depth = np.cumsum((leave - enter) / geometry.slab_x0)
    slab = np.minimum(np.searchsorted(depth, t), len(depth) - 1)
    # Measured back from the slab's far side, because `depth` is known there.
    return leave[slab] - (depth[slab] - t) * geometry.slab_x0[slab], t < depth[-1]


def _into_active(
    geometry: Geometry, xyz: Floats, u: Floats, rng: np.random.Generator
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Move points along `u` into the active plate of the period they are in; layer -1 for those in no period."""
    level = _level(geometry, xyz)
    layer = np.searchsorted(geometry.period_from, level, side="right") - 1
    layer = np.where((layer >= 0) & (level < geometry.period_to[layer]), layer, -1)
    thickness = geometry.layer_to - geometry.layer_from
    plate = (geometry.period_to - geometry.period_from) > thickness * (1 + 1e-9)
    move = (layer >= 0) & plate[layer]
    target = geometry.layer_from[layer] + rng.random(len(level)) * thickness[layer]
    shift = np.where(move, _path_to_level(geometry, xyz, u, np.where(move, target, level)), 0.0)
    return xyz + shift[:, None] * u, layer
