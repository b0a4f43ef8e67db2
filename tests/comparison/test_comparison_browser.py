"""The report in a browser, at the width of a phone and of a desk: nothing missing, nothing cut off or too wide."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastparam.comparison.compare_voxels import compare_voxel_samples
from fastparam.comparison.report import comparison_report, render
from fastparam.comparison.voxels import VoxelSample
from fastparam.particles import Particles
from tests.comparison.test_comparison_judge import BINNING, toy_showers

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium (Debian: apt install chromium)")

LONG_NAME = "a_candidate_with_a_long_name_of_its_own.tune.h5"

#: What a reader would notice, as a script that leaves its findings in the page. Tables may scroll in their own box.
PROBE = """<script>addEventListener('load', () => {
  const wide = [], root = document.documentElement;
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || e.closest('.scroll') && !e.matches('.scroll')) continue;
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > root.clientWidth + 1 || box.left < -1)) wide.push(e.tagName + ' ' + e.className);
    if (!e.matches('.scroll') && e.scrollWidth > e.clientWidth + 1 && e.clientWidth) wide.push('in ' + e.tagName);
  }
  const images = [...document.images], drawn = [...document.querySelectorAll('figure > svg')];
  const links = [...document.querySelectorAll('a[href^="#"]')];
  const found = {
    wide, page: root.scrollWidth - root.clientWidth, width: root.clientWidth, images: images.length + drawn.length,
    missing: images.filter(i => !i.complete || !i.naturalWidth).map(i => i.alt),
    dead: links.filter(a => !document.getElementById(a.getAttribute('href').slice(1))).map(a => a.textContent),
    small: [...images, ...drawn].filter(i => i.getClientRects().length && i.getBoundingClientRect().width < 250)
      .map(i => i.outerHTML.slice(0, 80)),
    scrolled: [...document.querySelectorAll('#summary .scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length,
    tables: document.querySelectorAll('table').length,
  };
  document.body.setAttribute('data-found', btoa(unescape(encodeURIComponent(JSON.stringify(found)))));
});</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = {}
    for name, seed, factor in (
        ("", 1, 1.0),
        (LONG_NAME, 2, 1.0),
        ("bad", 3, 1.1),
    ):
        voxels, energy = toy_showers(400, seed)
        sample = VoxelSample.from_dense(factor * voxels, energy, BINNING)
        samples[name] = sample, Particles.gun(pdg=22, energy=energy, eta=0.2, n=len(energy))
    reference = samples.pop("")
    found = compare_voxel_samples(*reference, samples, quick=True)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(comparison_report(found)).replace("</body>", PROBE + "</body>"), encoding="utf-8")
    return path


def look(page: Path, width: int) -> dict[str, Any]:
    assert BROWSER is not None
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},1200",
            f"--user-data-dir={page.parent / str(width)}", "--virtual-time-budget=20000", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    encoded = re.search(r'data-found="([^"]+)"', done.stdout)
    assert encoded is not None, done.stderr[-500:]
    found: dict[str, Any] = json.loads(base64.b64decode(encoded.group(1)))
    return found


@pytest.mark.parametrize("width", [500, 1400])  # chromium opens no window narrower than 500
def test_nothing_is_missing_and_no_text_overflows(page: Path, width: int) -> None:
    found = look(page, width)
    assert abs(found["width"] - width) <= 20
    assert found["page"] <= 0
    assert found["wide"] == []
    assert found["missing"] == []
    assert found["dead"] == []
    assert found["small"] == []
    assert found["scrolled"] == 0  # the first table is no wider than the page
    assert found["images"] > 20
    assert found["tables"] > 5


def test_what_is_too_wide_or_missing_would_be_found(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    spoiled = page.with_name("spoiled.html")
    nail = '<p style="white-space: nowrap">' + "word " * 200 + '</p><img src="absent.png" alt="x"><a href="#no">y</a>'
    spoiled.write_text(html.replace("<main>", f"<main>{nail}"), encoding="utf-8")
    found = look(spoiled, 500)
    assert found["wide"]
    assert found["missing"] == ["x"]
    assert found["dead"] == ["y"]


def test_the_first_screen_answers_who_is_closest_where_each_fails_and_shows_it(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles[:3] == [
        "Which is closest, and how fast",
        f"Where it fails: {LONG_NAME}",
        "Where it fails: bad",
    ]
    assert titles[-1] == "Provenance"
    assert f"Closest to full simulation: {LONG_NAME}" in html
    worst = html.split("Where it fails: bad</h2>")[1].split("</section>")[0]
    assert worst.count("difference seen") >= 1
    assert worst.count("<figure>") == 5
    assert "Showers: photon" in html
    assert np.all([word in html for word in ("S challenge", "repeats, %", "fails most in")])
