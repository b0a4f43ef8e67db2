"""Voxel binnings in the XML of CaloChallenge and FastCaloGAN."""

import pytest

from fastparam.errors import GeometryError
from fastparam.geometry.binning_xml import read_binning_xml

FASTCALOGAN = """<Bins isPolar="true">
  <Particle name="photon" pid="22">
    <EnergyRanges><Range name="Low12"/></EnergyRanges>
    <Bin regionId="1" etaMin="0" etaMax="130"><Layer id="1" r_edges="0,2,4" n_bin_alpha="10"/></Bin>
    <Bin regionId="2" etaMin="130" etaMax="135"><Layer id="1" r_edges="0,4" n_bin_alpha="32"/></Bin>
  </Particle>
  <Particle name="pion" pid="211">
    <Bin etaMin="0" etaMax="80"><Layer id="2" r_edges="0,1" n_bin_alpha="1"/></Bin>
  </Particle>
</Bins>"""


def test_regions_carry_particle_and_range_of_eta(tmp_path):
    (tmp_path / "bins.xml").write_text(FASTCALOGAN)
    regions = read_binning_xml(tmp_path / "bins.xml")
    assert [(r["pid"], r["eta"]) for r in regions] == [(22, [0.0, 1.3]), (22, [1.3, 1.35]), (211, [0.0, 0.8])]
    assert regions[0]["layers"] == [{"id": 1, "r_edges": [0.0, 2.0, 4.0], "n_bin_alpha": 10}]


def test_attributes_that_are_absent_stay_absent(tmp_path):
    (tmp_path / "bins.xml").write_text('<Bins><Bin><Layer id="0" r_edges="0,4.65" n_bin_alpha="16" /></Bin></Bins>')
    assert read_binning_xml(tmp_path / "bins.xml") == [
        {"layers": [{"id": 0, "r_edges": [0.0, 4.65], "n_bin_alpha": 16}]}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Bins><Bin>", "not well-formed"),
        ("<Bins/>", "holds no <Bin>"),
        ('<Bins><Bin><Layer id="0" r_edges="0" n_bin_alpha="1"/></Bin></Bins>', "holds no <Bin>"),
        ('<Bins><Bin><Layer id="0" n_bin_alpha="1"/></Bin></Bins>', "missing or malformed attribute: 'r_edges'"),
        ('<Bins><Bin><Layer id="0" r_edges="0,x" n_bin_alpha="1"/></Bin></Bins>', "missing or malformed attribute"),
    ],
)
def test_files_that_hold_no_binning_are_refused(tmp_path, text, message):
    (tmp_path / "bins.xml").write_text(text)
    with pytest.raises(GeometryError, match=message):
        read_binning_xml(tmp_path / "bins.xml")
