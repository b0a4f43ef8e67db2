"""`fastparam init`: a geometry.yaml to start from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

TEMPLATE = """\
# A detector and its full-simulation samples, for fastparam. `fastparam check geometry.yaml` explains what it says.
# Lengths in mm, energies in MeV, angles in rad unless `units` says otherwise; densities in g/cm3.

name: my_calorimeter            # output files are named after it
frame: planar                   # planar: layers in z;  barrel: layers in radius about the z axis

# Everything a particle meets, in that order; what is not declared is vacuum. Materials: elements (W, Pb, Si), common
# compounds (lAr, PbWO4, polystyrene, scintillator, FR4, steel, ...), those of `materials`, or a mixture by mass.
layers:
  # One entry per layer; a layer with an id measures, and the id is what the layer branch of the files holds:
  # - {name: cryostat, from: 1250, to: 1370, material: Al}
  # - {name: presampler, id: 0, from: 1420, to: 1431, material: lAr}
  # - {name: strips, id: 1, from: 1500, to: 1592, mixture: {Pb: 0.6, lAr: 0.2, Fe: 0.2}, density: 4.3}
  # A stack of equal periods; every active plate is a layer, numbered from first_id:
  - stack:
      from: 0
      repeat: 30
      first_id: 0
      plates:
        - {material: W, thickness: 2.1}
        - {material: Si, thickness: 0.5, active: true}
        - {material: FR4, thickness: 1.0}

# Materials of your own by mass fraction (`mass`) or number of atoms (`atoms`); X0, R_M, Ec, Z, A are derived and can be
# set by hand, also of materials that are known:
# materials:
#   my_glue: {density: 1.3, mass: {C: 0.60, H: 0.08, O: 0.32}}
#   W: {density: 17.8}

# What the energy branch of the samples holds: kinetic, total or momentum.
energy_is: kinetic

# Full-simulation hits: one entry per layout of files, each with its units.
samples:
  - files: [hits.root]          # paths relative to this file, absolute ones, or patterns such as hits/*.root
    tree: showers               # a row per shower with jagged hit branches; or a row per shower and a row per hit,
                                # joined by the branch with the role `event`: {particles: primaries, hits: hits}
    # role: name of the branch. Where particles start (vx vy vz) may be left out in a barrel, eta and phi may stand in
    # place of px py pz, and layer may be left out: layers then follow from the positions.
    branches:
      {pdg: pdg, energy: energy, vx: vx, vy: vy, vz: vz, px: px, py: py, pz: pz,
       x: hit_x, y: hit_y, z: hit_z, e: hit_e, layer: hit_layer}
    units: {energy: MeV, length: mm}

# More, all optional:
# recipe: mosaic                                              # default hybrid; a shipped recipe or a file
# slices: {eta: [[0.20, 0.25], [0.40, 0.45]]}                 # barrel: ranges tuned separately; default: those covered
# modulation: {pitch: 2*pi/1024, layers: [1, 2, 3]}           # barrel: response periodic in phi
# cells: {0: {x: 5, y: 5}}                                    # readout cells by layer id, {eta, phi} or {x, y}
# binning: binning.xml                                        # voxels: XML of CaloChallenge or FastCaloGAN, or inline:
# binning:
#   - layers: [{id: 0-29, r_edges: [0, 5, 10, 20, 40, 80], n_bin_alpha: 8}]
# stock: {c: 0.10}                                            # what GFlash's stock constants need beyond materials
"""


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to write; made if it does not exist.")
    ] = Path(),
    source: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Copy a shipped geometry with its hits.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Write a commented geometry.yaml, or copy a shipped geometry."""
    from fastparam.files import atomic_output, refuse_existing

    originals = {} if source is None else _shipped_files(source)
    targets = [directory / name for name in originals or ["geometry.yaml"]]
    refuse_existing(*(path for path in targets if path.parent.is_dir()), force=force)
    for path in targets:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path) as partial:
            if source is None:
                partial.write_text(TEMPLATE, encoding="utf-8")
            else:
                shutil.copyfile(originals[str(path.relative_to(directory))], partial)
        print(f"wrote {path}")
    geometry = directory / "geometry.yaml"
    print(f"next: fastparam {'tune' if source else 'check'} {geometry}")


def _shipped_files(name: str) -> dict[str, Path]:
    """Return the files of a shipped geometry by their relative names."""
    from fastparam.errors import UsageError, near
    from fastparam.geometry.shipped import shipped_geometries

    shipped = shipped_geometries()
    if name not in shipped:
        raise UsageError(
            f"--from {name}: no shipped geometry of that name{near(name, shipped)}; shipped: {', '.join(shipped)}"
        )
    folder = shipped[name].parent
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
