"""A detector for voxels of which nothing but the binning is known."""

from __future__ import annotations

from pathlib import Path

from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import parse_geometry
from fastparam.geometry.voxels import VoxelBinning

__all__ = ["voxels_only"]


def voxels_only(binning: VoxelBinning, path: Path) -> Geometry:
    """Return a planar detector with the layers of a binning, 1 mm of lead each, one behind the other.

    Voxels, their sums and everything across the line are what they are; where hits lie along it means nothing. The
    name of the detector, ``voxels_only``, says so.
    """
    layers = "".join(
        f"  - {{id: {layer}, from: {k}, to: {k + 1}, material: Pb}}\n" for k, layer in enumerate(binning.layer_ids)
    )
    return parse_geometry(f"name: voxels_only\nframe: planar\nlayers:\n{layers}", path.with_name("voxels_only.yaml"))
