"""Voxel binnings in the XML of CaloChallenge and FastCaloGAN, as the mapping that `binning:` holds inline.

Both have elements ``Bin`` (with pid, etaMin and etaMax in hundredths) that contain ``Layer id r_edges n_bin_alpha``; in
FastCaloGAN the pid is an attribute of the ``Particle`` around them. Layers with a single edge are unused.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from fastparam.errors import GeometryError

__all__ = ["read_binning_xml"]


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
