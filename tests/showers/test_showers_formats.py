"""Files of showers: what is written comes back, and broken files are told from sound ones."""

from __future__ import annotations

import json
from itertools import pairwise

import h5py
import numpy as np
import pyarrow.parquet
import pytest
import toys
import uproot

from fastparam.cli import main
from fastparam.errors import FastparamError, FastparamWarning, InputError, OutOfDomainError, UsageError
from fastparam.generate import Generator, load
from fastparam.generate.files import particles_of_file
from fastparam.geometry.cells import cells_of
from fastparam.geometry.load import load_geometry
from fastparam.geometry.voxels import VoxelBinning
from fastparam.hits.hits import Hits
from fastparam.particles import Particles
from fastparam.showers import Showers
from fastparam.showers.fastcalogan import voxel_order
from fastparam.showers.formats import FORMATS, form_of

CELLS = {
    "PLANAR": "cells: {0-29: {x: 5, y: 5, window: [9, 9]}}\n",
    "BARREL": "cells: {1-3: {eta: 0.025, phi: 2*pi/256}}\n",
}

#: A stack of two layers with 2 x 3 and 1 x 2 voxels (rings x sectors), and the order of version 2 by hand.
SMALL = VoxelBinning((0, 1), ((0.0, 2.0, 5.0), (0.0, 5.0)), (3, 2))
IN_V2 = [0, 2, 4, 1, 3, 5, 6, 7]


@pytest.fixture(scope="module", params=["PLANAR", "BARREL"])
def showers(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "geometry.yaml"
    path.write_text(getattr(toys, request.param) + CELLS[request.param], encoding="utf-8")
    geometry = load_geometry(path)
    particles = toys.gun(geometry, energies=(4000.0, 65000.0), n=6, seed=3)
    return Showers(particles, toys.shower_batch(geometry, particles, seed=3, n_spots=80), geometry)


def write(path, showers, form="", *, pieces=(0, 5, 5, 12), provenance=None):
    written = form_of(path, form, showers.geometry, lambda: showers.binning)
    opened = FORMATS[path.suffix].open(path, showers.geometry, written, 22, provenance or {"seed": 3})
    with opened as writer:
        for a, b in pairwise(pieces):
            writer.write(piece(showers, a, b))
    return path


def piece(showers, a, b):
    hits, lo, hi = showers.hits, showers.hits.offsets[a], showers.hits.offsets[b]
    columns = {name: getattr(hits, name)[lo:hi] for name in ("x", "y", "z", "e", "layer")}
    return Showers(
        showers.particles.take(slice(a, b)), Hits(offsets=hits.offsets[a : b + 1] - lo, **columns), showers.geometry
    )


def broken(path, kind):
    data = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) * 2 // 3])
    else:
        path.write_bytes(b"not what it claims to be\n" * 40)
    return path


class TestRoundTrips:
    @pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".csv"])
    def test_voxels_come_back(self, showers, tmp_path, suffix):
        path = write(tmp_path / f"out{suffix}", showers)
        generator = load(path, geometry=showers.geometry)
        assert isinstance(generator, Generator)
        again = generator.generate(generator.particles, seed=1)
        assert again.emits == "voxels"
        assert again.binning == showers.binning
        np.testing.assert_allclose(again.voxels(), showers.voxels(), rtol=1e-6)
        np.testing.assert_allclose(again.visible + showers.lost(), showers.visible, rtol=1e-6)

    @pytest.mark.parametrize("suffix", [".root", ".parquet"])
    def test_hits_come_back(self, showers, tmp_path, suffix):
        generator = load(write(tmp_path / f"out{suffix}", showers))
        again = generator.generate(generator.particles, seed=1)
        assert again.geometry.digest == showers.geometry.digest
        for name in ("x", "y", "z", "e", "layer", "offsets"):
            np.testing.assert_allclose(getattr(again.hits, name), getattr(showers.hits, name), rtol=1e-6, atol=1e-4)

    @pytest.mark.parametrize("suffix", list(FORMATS))
    def test_particles_come_back_to_the_last_digits(self, showers, tmp_path, suffix):
        back = particles_of_file(write(tmp_path / f"out{suffix}", showers), showers.geometry)
        for name in ("pdg", "energy", "position", "index"):
            np.testing.assert_array_equal(getattr(back, name), getattr(showers.particles, name))
        np.testing.assert_allclose(back.direction, showers.particles.direction, atol=1e-15)

    def test_the_challenge_finds_its_own_layout(self, showers, tmp_path):
        with h5py.File(write(tmp_path / "out.h5", showers)) as file:
            assert file["incident_energies"].shape == (12, 1)
            assert file["showers"].shape == (12, showers.binning.n_voxels)
            assert file["showers"].compression == "gzip"
            np.testing.assert_allclose(file["showers"][()], showers.voxels(), rtol=1e-6)
            assert json.loads(file["provenance"][()]) == {"seed": 3}

    def test_cells_are_written_as_images_or_lists(self, showers, tmp_path):
        grid = cells_of(showers.geometry)
        image, _ = showers.cell_images()
        cells = showers.cells()
        with h5py.File(write(tmp_path / "out.h5", showers, "cells")) as file:
            np.testing.assert_allclose(file["showers"][()], image, rtol=1e-6)
            assert json.loads(file["cells"][()])["layer_ids"] == list(grid.layer_ids)
        with uproot.open(write(tmp_path / "out.root", showers, "cells")) as file:
            table = file["showers"].arrays(library="np")
        np.testing.assert_allclose(np.concatenate(table["cell_e"]), cells.e, rtol=1e-6)
        np.testing.assert_array_equal(np.concatenate(table["cell_j"]), cells.j)
        read = pyarrow.parquet.read_table(write(tmp_path / "out.parquet", showers, "cells"))
        np.testing.assert_array_equal(read.column("cell_i").combine_chunks().flatten().to_numpy(), cells.i)

    def test_voxels_fit_into_root_and_parquet(self, showers, tmp_path):
        with uproot.open(write(tmp_path / "out.root", showers, "voxels")) as file:
            np.testing.assert_allclose(file["showers"]["voxels"].array(library="np"), showers.voxels(), rtol=1e-6)
        read = pyarrow.parquet.read_table(write(tmp_path / "out.parquet", showers, "voxels"))
        flat = read.column("voxels").combine_chunks().flatten().to_numpy()
        np.testing.assert_allclose(flat.reshape(12, -1), showers.voxels(), rtol=1e-6)

    @pytest.mark.parametrize("suffix", list(FORMATS))
    def test_no_showers_make_a_file_and_a_failure_none(self, showers, tmp_path, suffix):
        assert len(particles_of_file(write(tmp_path / f"a{suffix}", showers, pieces=(0, 0)), showers.geometry)) == 0
        there = sorted(tmp_path.iterdir())
        form = form_of(tmp_path / f"b{suffix}", "", showers.geometry, lambda: showers.binning)
        opened = FORMATS[suffix].open(tmp_path / f"b{suffix}", showers.geometry, form, 22, {})
        with pytest.raises(RuntimeError), opened as writer:  # noqa: PT012
            writer.write(showers)
            raise RuntimeError
        assert sorted(tmp_path.iterdir()) == there


class TestFilesAsGenerators:
    def test_rows_in_any_order_are_the_files_own(self, showers, tmp_path):
        for suffix in (".root", ".h5"):
            generator = load(write(tmp_path / f"out{suffix}", showers))
            whole = generator.generate(generator.particles, seed=1).visible
            for rows in ([7, 2, 2], [11], [0, 1]):
                some = generator.generate(generator.particles.take(rows), seed=1)
                np.testing.assert_allclose(some.visible, whole[rows], rtol=1e-12)

    def test_other_particles_are_refused_with_what_the_row_holds(self, showers, tmp_path):
        generator = load(write(tmp_path / "out.root", showers))
        own = generator.particles
        heavier = Particles(own.pdg, own.energy * 1.01, own.position, own.direction, own.index)
        with pytest.raises(
            OutOfDomainError, match=r"particle 0: another energy; out.root has showers of its own .*12 of"
        ):
            generator.check(heavier)
        with pytest.raises(OutOfDomainError, match=r"particle 40: there is no such row; .* it has rows 0 to 11"):
            generator.check(own.take([3]).with_index([40]))
        moved = Particles(own.pdg, own.energy, own.position + np.array([1.0, 0, 0]), own.direction, own.index)
        with pytest.raises(OutOfDomainError, match="another line"):
            generator.check(moved)

    def test_a_file_of_the_challenge_needs_a_detector_or_a_binning(self, showers, tmp_path):
        path = tmp_path / "cc.hdf5"
        with h5py.File(path, "w") as file:
            file["incident_energies"] = showers.particles.energy[:, None]
            file["showers"] = showers.voxels()
        with pytest.raises(UsageError, match="of which detector"):
            load(path)
        alone = load(f"{write(tmp_path / 'a.csv', showers)}?binning={tmp_path / 'a.xml'}")
        assert alone.geometry.n_layers == len(showers.binning.layer_ids)
        if showers.geometry.config.binning is None:  # then the voxels are the detector's default
            again = load(path, geometry=showers.geometry)
            np.testing.assert_allclose(again.generate(again.particles, seed=1).voxels(), showers.voxels())
            assert again.domain[0]["pdg"] is None

    @pytest.mark.parametrize(
        "form",
        [(".root", "voxels"), (".root", "cells"), (".h5", "cells"), (".parquet", "voxels"), (".parquet", "cells")],
    )
    def test_every_form_has_particles_and_says_which_showers_it_lacks(self, showers, tmp_path, form):
        path = write(tmp_path / f"out{form[0]}", showers, form[1])
        found = particles_of_file(path, showers.geometry)
        assert np.array_equal(found.pdg, showers.particles.pdg)
        np.testing.assert_allclose(found.direction, showers.particles.direction, atol=1e-12)
        with pytest.raises(InputError, match=rf"out\{form[0]}: holds .*; expected a file written with --as "):
            load(path)

    def test_particles_of_voxels_that_nobody_described(self, tmp_path):
        path = tmp_path / "cc.hdf5"
        with h5py.File(path, "w") as file:
            file["incident_energies"], file["showers"] = np.full((3, 1), 256.0), np.ones((3, 7))
        found = particles_of_file(path, load_geometry("lar_accordion"), {"pdg": "211", "eta": "0.62"})
        assert list(found.pdg) == [211, 211, 211]
        assert found.eta == pytest.approx([0.62, 0.62, 0.62])

    @pytest.mark.parametrize("suffix", list(FORMATS))
    @pytest.mark.parametrize("kind", ["truncated", "garbage"])
    def test_broken_files_are_one_error_of_ours(self, showers, tmp_path, suffix, kind):
        path = broken(write(tmp_path / f"out{suffix}", showers), kind)
        with pytest.raises(FastparamError, match=r"out\.") as caught:  # noqa: PT012
            generator = load(path, geometry=showers.geometry)
            generator.generate(generator.particles, seed=1)
        assert "\n" not in str(caught.value)

    def test_impossible_voxels_are_named_by_their_row(self, showers, tmp_path):
        path = write(tmp_path / "out.h5", showers)
        with h5py.File(path, "r+") as file:
            file["showers"][7, 3] = np.nan
        generator = load(path)
        with pytest.raises(InputError, match="shower 7 has a voxel whose energy is negative or no number"):
            generator.generate(generator.particles, seed=1)


class TestFastCaloGAN:
    def lines(self, n=300):
        """Showers flat in alpha whose rings differ by a factor of ten."""
        rng = np.random.default_rng(2)
        mean = np.array([30.0, 3.0, 30.0, 3.0, 30.0, 3.0, 8.0, 8.0])
        return rng.gamma(4.0, mean / 4.0, (n, 8))

    def file(self, folder, voxels, more=""):
        path = folder / "pid211_E4096_eta_20_25_voxalisation.csv"
        path.write_text("".join(more + ",".join(map(str, row)) + "\n" for row in voxels))
        xml = '<Bins><Bin pid="211" etaMin="0" etaMax="130"><Layer id="0" r_edges="0,2,5" n_bin_alpha="3"/>'
        path.with_suffix(".xml").write_text(xml + '<Layer id="1" r_edges="0,5" n_bin_alpha="2"/></Bin></Bins>')
        return path

    def test_names_tell_particle_and_momentum(self, tmp_path):
        """E is a momentum: a pion of 4096 MeV/c has sqrt(4096^2 + 139.57^2) - 139.57 = 3958.8 MeV."""
        voxels = self.lines()
        generator = load(self.file(tmp_path, voxels))
        assert generator.particles.energy == pytest.approx(np.full(300, 3958.807), abs=1e-3)
        assert set(generator.particles.pdg) == {211}
        np.testing.assert_allclose(generator.generate(generator.particles, seed=1).voxels(), voxels)

    def test_version_2_is_recognised_and_said(self, tmp_path):
        voxels = self.lines()
        path = self.file(tmp_path, voxels[:, IN_V2], more="0.01, 0.22, ")
        with pytest.warns(FastparamWarning, match="in the order of FastCaloGAN version 2"):
            generator = load(path)
        np.testing.assert_allclose(generator.generate(generator.particles, seed=1).voxels(), voxels)

    def test_version_2_without_an_eta_is_refused(self, tmp_path):
        path = self.file(tmp_path, self.lines()[:, IN_V2], more="0.01, 45.5, ")
        with pytest.raises(InputError, match=r"shower 0 begins with 0.01 and 45.5; .* with phi and \|eta\|"):
            load(path)

    def test_the_order_is_told_from_flatness_in_alpha_only(self):
        mean = self.lines().mean(axis=0)
        assert voxel_order(SMALL, mean) == "v1"
        assert voxel_order(SMALL, mean[IN_V2]) == "v2"
        assert voxel_order(SMALL, np.ones(8)) is None

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("1,2,3\n", "expected 8 numbers separated by commas, found 3 fields"),
            ("1,2,3,x,5,6,7,8\n", "found 8 fields or text"),
            ("1,2,3,-4,5,6,7,8\n", "shower 300 has a voxel whose energy is negative"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path, line, message):
        path = self.file(tmp_path, self.lines())
        path.write_text(path.read_text() + line)
        with pytest.raises(InputError, match=message):  # noqa: PT012
            generator = load(path)
            generator.generate(generator.particles, seed=1)

    def test_voxels_that_are_no_rings_and_sectors_are_refused(self, tmp_path):
        path = self.file(tmp_path, self.lines())
        xml = path.with_suffix(".xml")
        xml.write_text(xml.read_text().replace("<Bins>", '<Bins optimisedAlphaBins="true">'))
        with pytest.raises(InputError, match=r'<Bins optimisedAlphaBins="true"> is not supported'):
            load(path)


class TestSample:
    """`fastparam sample` with a file as its generator: files are converted."""

    @pytest.mark.parametrize("suffix", [".h5", ".csv", ".parquet"])
    def test_a_file_is_converted(self, showers, tmp_path, capsys, suffix):
        source, out = write(tmp_path / "in.root", showers), tmp_path / f"out{suffix}"
        assert main(["sample", str(source), "-o", str(out), "--rows", "odd"]) == 0
        assert f"{out}: 6 showers" in capsys.readouterr().out
        again = load(out, geometry=showers.geometry)
        odd = load(source).particles.take(slice(1, None, 2))
        np.testing.assert_array_equal(again.particles.energy, odd.energy)
        expected = showers.voxels()[1::2]
        found = again.generate(again.particles, seed=1).voxels(showers.binning)
        np.testing.assert_allclose(found.sum(axis=1), expected.sum(axis=1), rtol=1e-4)

    def test_without_a_visible_fraction_there_is_no_em_scale(self, showers, tmp_path, capsys):
        source = write(tmp_path / "in.root", showers)
        assert main(["sample", str(source), "-o", str(tmp_path / "out.h5"), "--em-scale"]) == 2
        assert "--em-scale: " in capsys.readouterr().err
        assert not (tmp_path / "out.h5").exists()
