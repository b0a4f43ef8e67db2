"""A `Binning` inside an HDF5 file, of summaries and of tunes."""

from __future__ import annotations

import h5py

from fastparam.summary.binning import Binning

__all__ = ["read_binning", "write_binning"]


def write_binning(file: h5py.File, binning: Binning) -> None:
    """Write to the group "binning"."""
    group = file.create_group("binning")
    group.attrs["anchor"] = binning.anchor
    group.attrs["lateral_cell"] = binning.lateral_cell
    for name in ("cell_width", "n_cells", "r_edges"):
        group.create_dataset(name, data=getattr(binning, name))


def read_binning(file: h5py.File) -> Binning:
    """Read what `write_binning` wrote; KeyError if it is not there."""
    group = file["binning"]
    return Binning(
        str(group.attrs["anchor"]),
        group["cell_width"][()],
        group["n_cells"][()],
        group["r_edges"][()],
        float(group.attrs["lateral_cell"]),
    )
