"""Files of voxels as samples: all data sets of the challenge, both versions of FastCaloGAN; broken ones are named."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from fastparam.comparison.voxel_files import read_voxel_file, regions_of
from fastparam.errors import FastparamWarning, InputError
from fastparam.geometry.voxels import VoxelBinning
from fastparam.showers.fastcalogan import from_v2

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


def test_rows_keep_their_parity_and_order_through_blocks(
    tmp_path: Path, regions: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastparam.comparison.voxel_files._BLOCK", 3 * BINNING.n_voxels)
    path = write_hdf5(tmp_path / "a.hdf5", showers())
    np.testing.assert_allclose(read_voxel_file(path, regions, rows="even").sample.dense(), showers()[0::2], rtol=1e-6)
    some = read_voxel_file(path, regions, keep=lambda p: p.energy > 1500.0, most=7)
    np.testing.assert_allclose(some.sample.dense(), showers()[20:27], rtol=1e-6)
    np.testing.assert_array_equal(some.particles.energy, some.sample.energy)


#: Of the challenge's binnings, as its table has them: layers (id, rings, sectors), voxels, first incident energy.
CHALLENGE = {
    "1-photons": ([(0, 8, 1), (1, 16, 10), (2, 19, 10), (3, 5, 1), (12, 5, 1)], 368, 22),
    "1-pions": (
        [(0, 8, 1), (1, 10, 10), (2, 10, 10), (3, 5, 1), (12, 15, 10), (13, 16, 10), (14, 10, 1)], 533, 211,
    ),
    "2": ([(k, 9, 16) for k in range(45)], 6480, 11),
    "3": ([(k, 18, 50) for k in range(45)], 40500, 11),
}  # fmt: skip


@pytest.mark.parametrize("name", CHALLENGE)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_every_data_set_of_the_challenge_is_read_by_its_binning(tmp_path: Path, name: str, dtype: str) -> None:
    layers, n_voxels, pid = CHALLENGE[name]
    text = "".join(
        f'<Layer id="{k}" r_edges="{",".join(str(4.65 * i) for i in range(n_r + 1))}" n_bin_alpha="{n_alpha}"/>'
        for k, n_r, n_alpha in layers
    )
    (tmp_path / "binning.xml").write_text(
        f'<Bins><Bin pid="{pid}" etaMin="20" etaMax="25" name="x">{text}</Bin></Bins>'
    )
    voxels = np.random.default_rng(1).gamma(0.1, size=(6, n_voxels)) * 100.0
    voxels[voxels < 1.0] = 0.0
    # gzip in chunks of a few columns, as h5py chooses them by itself
    with h5py.File(tmp_path / "set.hdf5", "w") as file:
        file.create_dataset("incident_energies", data=np.full((6, 1), 1024.0), compression="gzip")
        file.create_dataset("showers", data=voxels.astype(dtype), chunks=(4, 50), compression="gzip")
    found = read_voxel_file(tmp_path / "set.hdf5", regions_of(tmp_path / "binning.xml"))
    np.testing.assert_array_equal(found.sample.dense(), voxels.astype(np.float32))
    assert found.sample.binning.n_voxels == n_voxels
    assert found.particles.pdg.tolist() == [pid] * 6
    # Layer slowest, then alpha, r fastest: voxel (k, a, r) is number first[k] + a n_r + r.
    k, n_r, n_alpha = layers[1]
    number = layers[0][1] * layers[0][2] + (n_alpha - 1) * n_r + 2
    binning = found.sample.binning
    assert (binning.layer_ids[binning.layer[number]], binning.sector[number], binning.ring[number]) == (
        k,
        n_alpha - 1,
        2,
    )


@pytest.mark.parametrize(("version", "said"), [(1, "version 1"), (2, "version 2")])
@pytest.mark.filterwarnings("ignore::fastparam.errors.FastparamWarning")
def test_both_versions_of_fastcalogan_are_read_and_said(tmp_path: Path, regions: list, version: int, said: str) -> None:
    voxels = showers()
    table = voxels
    if version == 2:
        table = np.empty_like(voxels)
        table[:, from_v2(BINNING)] = voxels
        table = np.column_stack([np.full(40, 0.001), np.full(40, 0.22), table])  # phi modulo pitch, |eta|
    for energy in (1024, 65536):
        np.savetxt(
            tmp_path / f"pid22_E{energy}_eta_20_25_voxalisation.csv", table, delimiter=", " if version == 2 else ","
        )
    for path in (tmp_path / "pid22_E*.csv", tmp_path):
        file = read_voxel_file(path, regions)
        assert said in file.notes[0]
        np.testing.assert_allclose(file.sample.dense(np.arange(40)), voxels, rtol=1e-6)
        assert sorted(set(file.particles.energy)) == [1024.0, 65536.0]
        assert file.directed == (version == 2)
        if version == 2:
            x, y, z = file.particles.direction.T
            np.testing.assert_allclose(np.arctan2(y, x), 0.001, rtol=1e-6)
            np.testing.assert_allclose(np.arctanh(z), 0.22, rtol=1e-6)


def test_the_energy_in_a_name_of_fastcalogan_is_a_momentum(tmp_path: Path, regions: list) -> None:
    path = tmp_path / "pid211_E256_eta_20_25_voxalisation.csv"
    np.savetxt(path, showers(), delimiter=",")
    found = read_voxel_file(path, regions)
    # sqrt(256^2 + 139.57^2) - 139.57: the momentum of the sample is 256 MeV, its kinetic energy is 152 MeV
    np.testing.assert_allclose(found.particles.energy, 152.0, atol=0.05)


def test_negative_voxels_count_as_empty_and_are_said(tmp_path: Path, regions: list) -> None:
    voxels = showers()
    voxels[3, :2] = -0.1
    with pytest.warns(FastparamWarning, match="2 voxels of negative energy count as empty"):
        found = read_voxel_file(write_hdf5(tmp_path / "a.hdf5", voxels), regions)
    assert any("2 voxels of negative energy" in note for note in found.notes)
    assert (found.sample.dense()[3, :2] == 0).all()


def test_broken_files_are_refused_with_the_reason(tmp_path: Path, regions: list) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_voxel_file(tmp_path / "absent.hdf5", regions)
    (tmp_path / "text.hdf5").write_text("no")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_voxel_file(tmp_path / "text.hdf5", regions)
    with h5py.File(tmp_path / "half.hdf5", "w") as file:
        file["showers"] = showers()
    with pytest.raises(InputError, match="no data set 'incident_energies'"):
        read_voxel_file(tmp_path / "half.hdf5", regions)
    with pytest.raises(InputError, match="50 voxels per shower, the binning has 53"):
        read_voxel_file(write_hdf5(tmp_path / "narrow.hdf5", showers()[:, :50]), regions)
    broken = showers()
    broken[17, 4] = np.nan
    with pytest.raises(InputError, match="shower 17 has a voxel whose energy is no finite number"):
        read_voxel_file(write_hdf5(tmp_path / "nan.hdf5", broken), regions)
    np.savetxt(tmp_path / "showers.csv", showers(), delimiter=",")
    with pytest.raises(InputError, match=r"of which particles\?"):
        read_voxel_file(tmp_path / "showers.csv", regions)
