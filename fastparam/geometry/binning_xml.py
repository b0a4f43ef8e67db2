"""Voxel binnings in the XML of CaloChallenge and FastCaloGAN, as the mapping that `binning:` holds inline.

Both have elements ``Bin`` (with pid, etaMin and etaMax in hundredths) that contain ``Layer id r_edges n_bin_alpha``; in
FastCaloGAN the pid is an attribute of the ``Particle`` around them. Layers with a single edge are unused. Edges may be
given as ``nbins r_min r_max``. Voxels that are no product of rings and equal sectors are refused.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastparam.errors import GeometryError

if TYPE_CHECKING:
    from fastparam.geometry.voxels import VoxelBinning

__all__ = ["read_binning_xml", "write_binning_xml"]

#: Attributes of FastCaloGAN that, where true, change how many sectors a ring has, or what they mean.
_UNSUPPORTED = ("optimisedAlphaBins", "mergeAlphaBinsInFirstRBin", "symmetriseAlpha")


def read_binning_xml(path: Path) -> list[dict[str, Any]]:
    """Return the regions of a binning file in the form of `schema.BinningRegion`.

    Raises
    ------
    GeometryError
        If the file does not exist, is not XML, or holds no binning.
    """
    try:
        root = ET.fromstring(path.read_bytes())
    except OSError as error:
        raise GeometryError(f"cannot read {path}: {error.strerror}") from error
    except ET.ParseError as error:
        raise GeometryError(f"{path} is not well-formed XML: {error}") from error
    for element in root.iter():
        for name in _UNSUPPORTED:
            if element.get(name, "false").strip().lower() in ("true", "1"):
                raise GeometryError(
                    f'{path}: <{element.tag} {name}="true"> is not supported; expected rings cut into equal sectors'
                )
    pids = {region: particle.get("pid") for particle in root.iter("Particle") for region in particle.iter("Bin")}
    try:
        regions = [_region(region, region.get("pid", pids.get(region))) for region in root.iter("Bin")]
    except (KeyError, ValueError) as error:
        raise GeometryError(f"{path}: a Bin or Layer has a missing or malformed attribute: {error}") from error
    if not any(region["layers"] for region in regions):
        raise GeometryError(
            f"{path} holds no <Bin> with a <Layer id=.. r_edges=.. n_bin_alpha=..> of two or more edges"
        )
    return [region for region in regions if region["layers"]]


def _region(element: ET.Element, pid: str | None) -> dict[str, Any]:
    layers = []
    for layer in element.iter("Layer"):
        if "r_edges" not in layer.attrib and "nbins" in layer.attrib:
            low, high = float(layer.attrib["r_min"]), float(layer.attrib["r_max"])
            edges = [float(edge) for edge in np.linspace(low, high, int(layer.attrib["nbins"]) + 1)]
        else:
            edges = [float(edge) for edge in layer.attrib["r_edges"].split(",")]
        if len(edges) > 1:
            layers.append(
                {"id": int(layer.attrib["id"]), "r_edges": edges, "n_bin_alpha": int(layer.attrib["n_bin_alpha"])}
            )
    region: dict[str, Any] = {"layers": layers}
    if pid is not None:
        region["pid"] = int(pid)
    if "etaMin" in element.attrib:
        region["eta"] = [int(element.attrib["etaMin"]) / 100.0, int(element.attrib["etaMax"]) / 100.0]
    return region


def write_binning_xml(path: Path, binning: VoxelBinning, pdg: int) -> None:
    """Write a binning in the form of the CaloChallenge, for one particle and any eta."""
    root = ET.Element("Bins")
    region = ET.SubElement(root, "Bin", pid=str(pdg), etaMin="0", etaMax="500")
    for layer, edges, n_alpha in zip(binning.layer_ids, binning.r_edges, binning.n_alpha, strict=True):
        text = ",".join(f"{edge:.12g}" for edge in edges)
        ET.SubElement(region, "Layer", id=str(layer), r_edges=text, n_bin_alpha=str(n_alpha))
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
