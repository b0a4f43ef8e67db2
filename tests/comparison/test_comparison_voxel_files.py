"""Files of voxels: both orders of FastCaloGAN are told apart, and broken files are refused by name."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from fastparam.comparison.voxel_files import read_voxel_file, regions_of, transposed, voxel_order
from fastparam.errors import InputError
from fastparam.geometry.voxels import VoxelBinning

XML = (
    '<Bins><Bin pid="22" etaMin="20" etaMax="25" name="photon"><Layer id="0" r_edges="0,5,10,30" n_bin_alpha="1"/>'
    '<Layer id="1" r_edges="0,2,4,6,8,20" n_bin_alpha="10"/><Layer id="4" r_edges="0" n_bin_alpha="1"/></Bin></Bins>'
)
BINNING = VoxelBinning((0, 1), ((0.0, 5.0, 10.0, 30.0), (0.0, 2.0, 4.0, 6.0, 8.0, 20.0)), (1, 10))


def showers(n: int = 40) -> np.ndarray:
    """Energy falls with r and is even in alpha, alpha by alpha with r fastest."""
    rng = np.random.default_rng(1)
    mean = np.exp(-BINNING.r_low / 4.0)
    return mean * rng.gamma(5.0, size=(n, BINNING.n_voxels))


@pytest.fixture
def regions(tmp_path: Path) -> list:
    (tmp_path / "binning.xml").write_text(XML)
    return regions_of(tmp_path / "binning.xml")


def write_hdf5(path: Path, voxels: np.ndarray, **more: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file["incident_energies"] = np.linspace(1e3, 2e3, len(voxels))[:, None]
        file["showers"] = voxels
        for name, values in more.items():
            file[name] = values
    return path


def test_the_challenges_files_are_read_row_by_row(tmp_path: Path, regions: list) -> None:
    voxels = showers()
    path = write_hdf5(tmp_path / "a.hdf5", voxels.astype(np.float32), eta=np.full(40, 0.22), phi=np.zeros(40))
    file = read_voxel_file(path, regions)
    np.testing.assert_array_equal(file.sample.dense(), voxels.astype(np.float32))
    assert file.directed
    assert file.particles.pdg[0] == 22
    np.testing.assert_allclose(file.particles.eta, 0.22)
    odd = read_voxel_file(path, regions, rows="odd")
    np.testing.assert_array_equal(odd.sample.dense(), voxels[1::2].astype(np.float32))


def test_rows_keep_their_parity_through_chunks(tmp_path: Path, regions: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastparam.comparison.voxel_files._CHUNK", 3 * BINNING.n_voxels)
    path = write_hdf5(tmp_path / "a.hdf5", showers())
    np.testing.assert_allclose(read_voxel_file(path, regions, rows="even").sample.dense(), showers()[0::2])


def test_the_order_of_voxels_is_told_from_the_mean_shower() -> None:
    mean = showers().mean(axis=0)
    assert voxel_order(mean, BINNING) == "alpha outside"
    other = np.empty_like(mean)
    other[transposed(BINNING)] = mean
    assert voxel_order(other, BINNING) == "r outside"
    assert voxel_order(np.ones_like(mean), BINNING) == "unclear"


@pytest.mark.parametrize(("version", "said"), [(1, "version 1"), (2, "version 2")])
def test_both_versions_of_fastcalogan_are_read_and_said(tmp_path: Path, regions: list, version: int, said: str) -> None:
    voxels = showers()
    table = voxels
    if version == 2:
        table = np.empty_like(voxels)
        table[:, transposed(BINNING)] = voxels
        table = np.column_stack([np.full(40, 0.001), np.full(40, 0.22), table])  # phi modulo pitch, |eta|
    for energy in (1024, 65536):
        np.savetxt(
            tmp_path / f"pid22_E{energy}_eta_20_25_voxalisation.csv", table, delimiter=", " if version == 2 else ","
        )
    file = read_voxel_file(tmp_path / "pid22_E*.csv", regions)
    assert said in file.notes[0]
    np.testing.assert_allclose(file.sample.dense(np.arange(40)), voxels, rtol=1e-12)
    assert sorted(set(file.particles.energy)) == [1024.0, 65536.0]


def test_broken_files_are_refused_with_the_reason(tmp_path: Path, regions: list) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_voxel_file(tmp_path / "absent.hdf5", regions)
    (tmp_path / "text.hdf5").write_text("no")
    with pytest.raises(InputError, match="is not an HDF5 file"):
        read_voxel_file(tmp_path / "text.hdf5", regions)
    with h5py.File(tmp_path / "half.hdf5", "w") as file:
        file["showers"] = showers()
    with pytest.raises(InputError, match="lacks the data set incident_energies"):
        read_voxel_file(tmp_path / "half.hdf5", regions)
    with pytest.raises(InputError, match="50 voxels per shower, the binning has 53"):
        read_voxel_file(write_hdf5(tmp_path / "narrow.hdf5", showers()[:, :50]), regions)
    np.savetxt(tmp_path / "showers.csv", showers(), delimiter=",")
    with pytest.raises(InputError, match="does not say the energy"):
        read_voxel_file(tmp_path / "showers.csv", regions)
