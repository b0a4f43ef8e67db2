"""Figures in pages of HTML: the same marks in the same places as matplotlib's, in a tenth of the size."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fastparam.comparison.svg import inline_svg


def drawn() -> tuple[str, str]:
    figure = Figure(figsize=(4.0, 3.0))
    axes = figure.subplots()
    axes.plot(np.arange(30), np.arange(30) ** 2, "s", color="#0072B2", markersize=4.0)
    axes.axhspan(100, 200, color="black", alpha=0.2)
    axes.plot([np.nan, np.nan], [1.0, 2.0], color="#D55E00")  # a path without points
    axes.set_ylabel("a < b & c")
    axes.set_xlabel(r"$\sigma_E$")
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    return buffer.getvalue(), inline_svg(buffer.getvalue(), 'a "title"')


def test_marks_of_one_kind_are_one_path_at_the_places_matplotlib_gives() -> None:
    original, small = drawn()
    wanted = [
        (round(10 * float(x)), round(10 * float(y)))
        for x, y in re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)" style="fill: #0072b2', original)
    ]
    assert len(wanted) == 30
    paths = re.findall(r'<path fill="#0072b2"[^>]* d="([^"]*)"/>', small)
    assert len(paths) == 1
    corners = [(int(x), int(y)) for x, y in re.findall(r"M(-?\d+)[ ]?(-?\d+)", paths[0])]
    # A square of 4 points begins at its lower left corner.
    assert np.abs(np.array(corners) - np.array(wanted) - [-20, 20]).max() <= 1


def test_size_ink_words_and_clipping() -> None:
    original, small = drawn()
    assert len(small) < 0.2 * len(original)
    assert small.startswith('<svg role="img" aria-label="a &quot;title&quot;" viewBox="0 0 2880 2160"')
    assert "a &lt; b &amp; c</text>" in small
    assert re.search(r'<text x="\d+" y="\d+" transform="rotate\(-90 \d+ \d+\)">a', small)
    assert re.search(r'fill="currentColor"[^>]* opacity="0.2"', small)
    # A formula: its letters one by one, the index lower and smaller.
    formula = re.findall(r'<text transform="translate\(\d+ \d+\)">(.*?)</text>', small)
    assert [re.sub("<[^>]*>", "", f) for f in formula] == ["σE"]
    (_, first, size), (_, second, index) = re.findall(r'<tspan x="(\d+)" y="(-?\d+)" font-size="(\d+)"', formula[0])
    assert int(second) > int(first)
    assert int(index) < int(size)
    assert "#d55e00" in original
    assert "#d55e00" not in small
    assert "#000000" not in small
    assert "#ffffff" not in small  # the page's own paper
    assert small.count("<svg") == small.count("</svg>") > 1  # panels clip their contents
