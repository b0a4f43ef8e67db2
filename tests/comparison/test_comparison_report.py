"""The report is one file that needs nothing else, and says what was found."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fastparam.comparison.compare import compare_summaries
from fastparam.comparison.figures import profile_figure, scalar_figure
from fastparam.comparison.observables import OBSERVABLES
from fastparam.comparison.page import Cell, Page, Section, Table, render
from fastparam.comparison.report import comparison_report, write_directory
from fastparam.errors import OutputExistsError


@pytest.fixture(scope="module")
def small(barrel, reference):
    """A comparison of one number, quick to draw."""
    return compare_summaries(barrel.geometry, reference, {"itself": reference}, only=["visible_mean"])


class Outline(HTMLParser):
    """Collects what a page refers to and whether its elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.tags = [], [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.sources += [attributes["src"]] if "src" in attributes else []
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html(comparison):
    return render(comparison_report(comparison))


class TestPage:
    def test_is_self_contained_and_needs_no_script(self, html):
        outline = Outline(html)
        assert not {"script", "iframe", "object", "link"} & outline.tags
        assert all(source.startswith("data:image/png;base64,") for source in outline.sources)
        assert all(link.startswith("#") for link in outline.links)
        assert "http" not in re.sub(r'src="[^"]*"', "", html)
        assert not re.search(r"url\(|@import", html)

    def test_figures_are_small_and_follow_dark_mode(self, html):
        drawings = re.findall(r"<figure><svg.*?</figure>", html, re.DOTALL)
        assert len(drawings) > 20
        assert not any(re.search(r"href|#000000|#ffffff| id=", drawing) for drawing in drawings)
        assert sum(map(len, drawings)) / len(drawings) < 12_000  # 40 000 as matplotlib writes them, in base64

    def test_every_element_is_closed_and_every_link_arrives(self, html):
        outline = Outline(html)
        assert outline.open == []
        assert len(set(outline.ids)) == len(outline.ids)
        assert {link[1:] for link in outline.links} <= set(outline.ids)

    def test_adapts_to_phones_dark_mode_and_paper(self, html):
        assert 'name="viewport"' in html
        assert "prefers-color-scheme: dark" in html
        assert "@media print" in html

    def test_text_from_outside_is_escaped(self):
        evil = "<script>alert(1)</script>"
        section = Section(evil, text=evil, tables=(Table((evil,), ((evil,), (Cell(evil, "bad"),))),))
        text = render(Page(evil, lead=evil, sections=(section,)))
        assert "<script" not in text
        assert text.count("&lt;script&gt;") == 8  # twice in the title

    def test_numbers_in_tables_are_rounded_and_missing_ones_are_a_dash(self):
        text = render(Page("p", sections=(Section("s", tables=(Table(("a", "b"), ((-1.23456789, float("nan")),)),)),)))
        assert "<td>−1.235</td><td>–</td>" in text


class TestContents:
    def test_the_verdict_comes_first_with_the_guilty_quantity(self, html):
        first = html[html.index("<main>") : html.index('id="particle-0"')]
        assert "4 of 5 within limits" in first
        assert re.search(
            r'class="bad">fail</td><td><a href="#particle-0">visible energy, mean</a></td><td>bright', first
        )

    def test_every_scalar_has_a_figure_against_energy_and_every_profile_one_per_energy(self, comparison):
        group = comparison.groups[0]
        for o in OBSERVABLES:
            measured = comparison.measurement(o.name, 0)
            if measured is None:
                continue
            layer = measured.axis.group[0] if measured.axis is not None else ""
            figure = (
                profile_figure(comparison, o.name, 0, layer)
                if o.kind == "profile"
                else scalar_figure(comparison, o.name, group)
            )
            assert figure is not None
            assert o.title in figure.title

    def test_what_was_not_measured_has_no_figure(self, comparison):
        assert scalar_figure(comparison, "leakage_mean", comparison.groups[0]) is None
        assert profile_figure(comparison, "layer_lateral", 0, "no such layer") is None

    def test_sections_of_a_tune_are_shown_behind_the_verdict(self, small):
        extra = Section("Fits", tables=(Table(("parameter", "value"), (("T", 1.5),)),))
        page = comparison_report(replace(small, extra=(extra,)), title="Tune of toys")
        assert page.title == "Tune of toys"
        assert [s.title for s in page.sections][:3] == ["Verdict", "Fits", "Photon"]

    def test_the_same_comparison_makes_the_same_page(self, small):
        assert render(comparison_report(small)) == render(comparison_report(small))


class TestDirectory:
    def test_holds_report_and_numbers_and_nothing_else(self, small, tmp_path):
        write_directory(tmp_path / "out", small)
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.html", "report.json"]
        assert [p.name for p in tmp_path.iterdir()] == ["out"]

    def test_is_not_overwritten_unless_asked_and_then_keeps_other_files(self, small, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").write_text("mine")
        with pytest.raises(OutputExistsError, match="--force"):
            write_directory(tmp_path / "out", small)
        write_directory(tmp_path / "out", small, force=True)
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["notes.txt", "report.html", "report.json"]
