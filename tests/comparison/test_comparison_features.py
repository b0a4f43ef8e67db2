"""Features of voxels against a plain computation, shower by shower and layer by layer."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.comparison.features import voxel_features
from fastparam.comparison.voxels import VoxelSample, concatenate_voxels
from fastparam.errors import UsageError
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import VoxelBinning, voxels_of

SMALL = VoxelBinning((0, 3), ((0.0, 10.0, 20.0), (0.0, 5.0, 15.0, 45.0)), (1, 4))


def some_voxels(n: int, binning: VoxelBinning, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    voxels = rng.gamma(0.3, 5.0, size=(n, binning.n_voxels))
    voxels[rng.random(voxels.shape) < 0.4] = 0.0
    return voxels


def plain_features(shower: np.ndarray, energy: float, threshold: float) -> dict[str, float]:
    """The features of one shower in SMALL, from their definition."""
    shower = np.where(shower < threshold, 0.0, shower)
    found = {"E_tot": shower.sum() / energy, "occupancy": np.mean(shower > 0)}
    for layer, e, radii, angles in (
        (0, shower[:2], [5.0, 15.0], [0.0, 0.0]),
        # alpha by alpha, r fastest; four parts from -pi, their middles at -3/4, -1/4, 1/4 and 3/4 pi
        (3, shower[2:], [2.5, 10.0, 30.0] * 4, np.repeat([-0.75, -0.25, 0.25, 0.75], 3) * np.pi),
    ):
        r, alpha = np.array(radii), np.array(angles)
        norm = e.sum() or 1.0
        found[f"E_{layer}"] = e.sum() / energy
        found[f"mean_r_{layer}"] = (e * r).sum() / norm
        found[f"occupancy_{layer}"] = np.mean(e > 0)
        if layer == 3:
            for axis, x in (("eta", r * np.cos(alpha)), ("phi", r * np.sin(alpha))):
                centre = (e * x).sum() / norm
                found[f"centre_{axis}_3"] = centre
                found[f"width_{axis}_3"] = np.sqrt(max((e * x**2).sum() / norm - centre**2, 0.0))
    return found


def test_features_are_those_of_a_plain_computation() -> None:
    voxels = some_voxels(50, SMALL)
    voxels[0] = 0.0
    voxels[1, 2:] = 0.0
    energy = np.linspace(1000.0, 2000.0, 50)
    table = voxel_features(voxels, energy, SMALL, threshold=0.5)
    for i in range(50):
        expected = plain_features(voxels[i], energy[i], 0.5)
        assert set(table.names) == set(expected)
        np.testing.assert_allclose(table.values[i], [expected[name] for name in table.names], rtol=1e-6, atol=1e-6)


def test_spectra_count_every_voxel_above_the_threshold_once() -> None:
    voxels = some_voxels(50, SMALL)
    voxels[0, 0] = 1e12  # beyond the last edge: the last bin is open
    table = voxel_features(voxels, np.full(50, 1000.0), SMALL, threshold=0.5)
    assert table.spectrum_names == ("spectrum", "spectrum_0", "spectrum_3")
    np.testing.assert_array_equal(table.spectra.sum(axis=2)[:, 0], (voxels >= 0.5).sum(axis=1))
    np.testing.assert_array_equal(table.spectra[:, 0], table.spectra[:, 1] + table.spectra[:, 2])
    edges = 0.5 * 10 ** (np.arange(141) / 20)
    expected, _ = np.histogram(voxels[1:], edges)
    np.testing.assert_array_equal(table.spectra[1:, 0].sum(axis=0)[:-1], expected)


@pytest.mark.parametrize(("name", "n"), [("lar_accordion", 27), ("siw", 320)])
def test_shipped_binnings_have_as_many_features_as_the_study_counted(name: str, n: int) -> None:
    binning = voxels_of(load_geometry(name))
    table = voxel_features(np.zeros((3, binning.n_voxels)), np.full(3, 1e3), binning, threshold=0.05)
    assert len(table.all_names) == n
    assert np.isfinite(table.values).all()
    assert (table.values == 0).all()


def test_precision_of_the_voxels_is_kept_and_samples_join_and_split() -> None:
    dense = some_voxels(20, SMALL)
    sample = VoxelSample.from_dense(dense, np.arange(1.0, 21.0), SMALL)
    np.testing.assert_array_equal(sample.dense(), dense)
    np.testing.assert_allclose(sample.visible, dense.sum(axis=1))
    joined = concatenate_voxels([sample.take(slice(0, 5)), sample.take(np.arange(5, 20))])
    np.testing.assert_array_equal(joined.dense(), dense)
    np.testing.assert_array_equal(sample.dense(np.array([3, 1])), dense[[3, 1]])
    single = VoxelSample.from_dense(dense.astype(np.float32), np.arange(1.0, 21.0), SMALL)
    assert single.value.dtype == np.float32


def test_negative_voxels_are_empty_and_wrong_shapes_are_refused() -> None:
    dense = some_voxels(4, SMALL)
    dense[0, 0] = -1.0
    assert VoxelSample.from_dense(dense, np.ones(4), SMALL).dense()[0, 0] == 0.0
    with pytest.raises(UsageError, match=r"expected \(4, 14\)"):
        VoxelSample.from_dense(dense[:, :3], np.ones(4), SMALL)
