"""A `Binning` inside an HDF5 file, of summaries and of tunes."""

from __future__ import annotations

import h5py
import numpy as np

from fastparam.summary.binning import Binning

__all__ = ["read_binning", "write_binning"]


def write_binning(file: h5py.File, binning: Binning) -> None:
    """Write to the group "binning"."""
    group = file.create_group("binning")
    group.attrs["anchor"] = np.bytes_(binning.anchor)  # of fixed length: see fastparam.tunes.file
    group.attrs["lateral_cell"] = binning.lateral_cell
    for name in ("cell_width", "n_cells", "r_edges"):
        group.create_dataset(name, data=getattr(binning, name))


def read_binning(file: h5py.File) -> Binning:
    """Read what `write_binning` wrote; KeyError if it is not there."""
    group = file["binning"]
    return Binning(
        np.bytes_(group.attrs["anchor"]).decode(),
        group["cell_width"][()],
        group["n_cells"][()],
        group["r_edges"][()],
        float(group.attrs["lateral_cell"]),
    )
