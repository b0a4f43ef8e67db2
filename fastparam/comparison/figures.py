"""Figures of a comparison: full simulation, candidates, and their difference below, all with uncertainties.

Every figure is drawn from a `Comparison` alone and follows from the registry of observables: a scalar against energy, a
profile against its axis. Figures use matplotlib's object interface (no global state) and become SVG, so that one HTML
file holds them. Colours are those of M. Okabe & K. Ito (2008), distinct to colour-blind readers; candidates also differ
by marker.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as MplFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from fastparam.comparison.observables import by_name
from fastparam.comparison.page import Figure
from fastparam.comparison.svg import inline_svg

if TYPE_CHECKING:
    from fastparam.comparison.comparison import Comparison
    from fastparam.comparison.distribution import Distribution
    from fastparam.comparison.measurement import Measurement
    from fastparam.comparison.observables import Observable
    from fastparam.comparison.pictures import Pictures

__all__ = [
    "COLOURS",
    "as_figure",
    "distribution_figure",
    "draw",
    "picture_figure",
    "profile_figure",
    "scalar_figure",
]

Floats = npt.NDArray[np.float64]

#: For candidates, in order; full simulation is black. The last two are of P. Tol's (SRON/EPS/TN/09-002).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
_MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">")

#: Characters of names that leave room for three columns in a legend.
_SHORT = 12

#: Samples and layers in a picture.
_PICTURE_COLUMNS = 5
_PICTURE_LAYERS = 4
_PIXELS = 96

_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.linewidth": 0.8,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: small, sharp, searchable
    "svg.hashsalt": "fastparam",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "xtick.direction": "in",
    "ytick.direction": "in",
}


def as_figure(figure: MplFigure, title: str, caption: str = "") -> Figure:
    """Turn a matplotlib figure into a self-contained image for a report; `title` doubles as its text alternative."""
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Figure(title=title, drawing=inline_svg(buffer.getvalue(), title), caption=caption)


def scalar_figure(comparison: Comparison, observable: str, group: str, only: str | None = None) -> Figure | None:
    """Draw a scalar, or a distance, against incident energy, of all candidates or one; None if it was not measured."""
    o = by_name(observable)
    found = [m for m in comparison.measurements if m.observable == observable and _group(comparison, m) == group]
    if not found:
        return None
    energy = np.array([comparison.points[m.point].energy for m in found]) / 1000.0
    with mpl.rc_context(_STYLE):
        figure, main, lower = _panels()
        names = list(found[0].candidates)
        if o.kind != "distance":
            _points(
                main, energy, _stack(found, "reference"), _stack(found, "error"), None, comparison.reference, len(names)
            )
        _floor(lower, energy, _stack(found, "floor"))
        for i, name in _chosen(names, only):
            columns = [m.candidates[name] for m in found]
            values = np.array([d.value[0] for d in columns]), np.array([d.error[0] for d in columns])
            deviations = np.array([d.deviation[0] for d in columns]), np.array([d.deviation_error[0] for d in columns])
            _points(main, energy, *values, i, name, len(names))
            _points(lower, energy, *deviations, i, None, len(names))
        _limits(lower, comparison, o)
        for axes in (main, lower):
            axes.set_xscale("log")
        _energy_ticks(main, lower, energy)
        lower.set_xlabel("incident kinetic energy [GeV]")
        _finish(main, lower, o)
        if o.log:
            main.set_yscale("log")
        return as_figure(figure, f"{o.title}, {group}")


def profile_figure(
    comparison: Comparison, observable: str, point: int, layer: str = "", only: str | None = None
) -> Figure | None:
    """Draw a profile at one energy, of one layer where the axis repeats per layer; None where it was not measured.

    With `only`, the name of a candidate, no other one is drawn.
    """
    o = by_name(observable)
    m = comparison.measurement(observable, point)
    if m is None or m.axis is None:
        return None
    chosen = np.array([g == layer for g in m.axis.group], dtype=bool)
    if not chosen.any():
        return None
    low, high = m.axis.low[chosen], m.axis.high[chosen]
    radial = m.axis.title == "r"
    centre = np.sqrt(np.maximum(low, 0.4 * high) * high) if radial else 0.5 * (low + high)
    where = comparison.points[point]
    with mpl.rc_context(_STYLE):
        figure, main, lower = _panels()
        names = list(m.candidates)
        _histogram(main, low, high, m.reference[chosen], m.error[chosen], comparison.reference)
        _band(lower, low, high, m.floor[chosen])
        width = (centre * 0.08 if radial else 0.12 * (high - low)) * min(1.0, 6.0 / len(names))
        beside = len(names) if only is None else 1
        for place_of, (i, name) in enumerate(_chosen(names, only)):
            d = m.candidates[name]
            x = centre + width * (place_of - 0.5 * (beside - 1))
            _points(main, x, d.value[chosen], d.error[chosen], i, name, len(names), line=False)
            _points(lower, x, d.deviation[chosen], d.deviation_error[chosen], i, None, len(names), line=False)
        _limits(lower, comparison, o, where.energy)
        if radial:
            for axes in (main, lower):
                axes.set_xscale("log")
                axes.set_xlim(0.7 * centre[0], high[-1])
        if o.log and (m.reference[chosen] > 0).any():
            main.set_yscale("log")
            positive = m.reference[chosen][m.reference[chosen] > 0]
            main.set_ylim(max(positive.min() / 3, positive.max() * 1e-6), positive.max() * 12)
        if m.axis.title == "layer":
            _layer_ticks(lower, centre, [text for text, wanted in zip(m.axis.label, chosen, strict=True) if wanted])
        lower.set_xlabel(f"{m.axis.title} [{m.axis.unit}]" if m.axis.unit else m.axis.title)
        place = ", ".join(part for part in (layer, where.label) if part)
        _finish(main, lower, o, place, m)
        return as_figure(figure, f"{o.title}, {where.group}, {place}")


def draw(comparison: Comparison, observables: Sequence[str], where: str | int, layer: str = "") -> tuple[Figure, ...]:
    """Draw those of the observables that exist: of a group (by name) against energy, or of a point (by number)."""
    drawn = [
        scalar_figure(comparison, name, where)
        if isinstance(where, str)
        else profile_figure(comparison, name, where, layer)
        for name in observables
    ]
    return tuple(f for f in drawn if f is not None)


def _chosen(names: Sequence[str], only: str | None) -> list[tuple[int, str]]:
    """Return the candidates to draw with the numbers that give them their colours."""
    return [(i, name) for i, name in enumerate(names) if only in (None, name)]


def _group(comparison: Comparison, m: Measurement) -> str:
    return comparison.points[m.point].group


def _stack(found: Sequence[Measurement], attribute: str) -> Floats:
    return np.array([getattr(m, attribute)[0] for m in found])


def _panels() -> tuple[MplFigure, Any, Any]:
    """Make a figure with a main panel and one for deviations below, sharing their abscissa."""
    figure = MplFigure(figsize=(4.6, 4.0))
    # Fixed margins: fitting them to the labels takes longer than drawing.
    figure.subplots_adjust(left=0.165, right=0.975, bottom=0.12, top=0.935, hspace=0.05)
    main, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (2.2, 1.0)})
    return figure, main, lower


def _points(
    axes: Any, x: Floats, y: Floats, sigma: Floats, candidate: int | None, label: str | None, n: int, line: bool = True
) -> None:
    """Draw values with error bars; `candidate` None is full simulation."""
    colour = "black" if candidate is None else COLOURS[candidate % len(COLOURS)]
    marker = "o" if candidate is None else _MARKERS[candidate % len(_MARKERS)]
    shown = np.isfinite(y)
    if line and n > 0 and candidate is not None:
        x = x * (1.0 + 0.012 * (candidate + 1))  # beside the reference, not on top of it
    x, y, bar = x[shown], y[shown], np.where(np.isfinite(sigma), sigma, 0.0)[shown]
    # All error bars as one path: a tenth of the size and time of one element per bar.
    gaps = np.full(len(x), np.nan)
    above = 3 if candidate is None else 4
    axes.plot(
        np.stack([x, x, gaps], axis=1).ravel(),
        np.stack([y - bar, y + bar, gaps], axis=1).ravel(),
        color=colour,
        linewidth=0.9,
        zorder=above,
    )
    axes.plot(
        x,
        y,
        marker=marker,
        linestyle="-" if line else "none",
        linewidth=0.8,
        markersize=4.5 if line else 3.2,
        markerfacecolor="white" if candidate is None else colour,
        color=colour,
        label=label,
        zorder=above,
    )


def _histogram(axes: Any, low: Floats, high: Floats, y: Floats, sigma: Floats, label: str) -> None:
    """Draw full simulation as steps with a band of one standard error; gaps stay gaps."""
    for first, last in _runs(low, high):
        edges = np.append(low[first:last], high[last - 1])
        values, band = y[first:last], np.where(np.isfinite(sigma), sigma, 0.0)[first:last]
        axes.stairs(values, edges, color="black", linewidth=1.1, baseline=None, label=label if first == 0 else None)
        axes.stairs(values + band, edges, baseline=values - band, fill=True, color="black", alpha=0.18, linewidth=0)


def _band(axes: Any, low: Floats, high: Floats, floor: Floats) -> None:
    """Shade what statistics of the reference alone allow."""
    for first, last in _runs(low, high):
        edges = np.append(low[first:last], high[last - 1])
        band = np.where(np.isfinite(floor), floor, 0.0)[first:last]
        axes.stairs(band, edges, baseline=-band, fill=True, color="black", alpha=0.15, linewidth=0)


def _floor(axes: Any, x: Floats, floor: Floats) -> None:
    band = np.where(np.isfinite(floor), floor, 0.0)
    axes.fill_between(x, -band, band, color="black", alpha=0.15, linewidth=0)


def _runs(low: Floats, high: Floats) -> list[tuple[int, int]]:
    """Return first and behind-last entries of stretches whose bins touch (bins in depth have gaps of dead material)."""
    touching = np.abs(low[1:] - high[:-1]) <= 0.05 * (high - low)[1:]
    starts = [0, *(np.flatnonzero(~touching) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(low)], strict=True))


def _limits(axes: Any, comparison: Comparison, o: Observable, energy: float | None = None) -> None:
    """Draw the limits of deviations as dashed lines, over the judged energies if the abscissa is energy."""
    for limit in comparison.limits:
        if limit.observable != o.name or (energy is not None and not limit.low <= energy <= limit.high):
            continue
        for sign in (-1.0, 1.0):
            if energy is None:
                top = max(p.energy for p in comparison.points)
                span = np.array([limit.low, max(min(limit.high, top), limit.low)]) / 1000.0
                axes.plot(span, [sign * limit.value] * 2, "--", color="0.35", linewidth=0.9)
            else:
                axes.axhline(sign * limit.value, linestyle="--", color="0.35", linewidth=0.9)


def _energy_ticks(main: Any, lower: Any, energy: Floats) -> None:
    """Label the energies of the points themselves, as many as fit."""
    labelled: list[float] = []
    for e in energy:
        if not labelled or e > 1.35 * labelled[-1]:
            labelled.append(float(e))
    for axes in (main, lower):
        axes.xaxis.set_major_locator(FixedLocator(labelled))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(0.8 * energy.min(), 1.25 * energy.max())


def _layer_ticks(axes: Any, centre: Floats, labels: list[str]) -> None:
    """Name as many layers as fit; what all names begin with is said by the axis."""
    words = [text.rsplit(" ", 1) for text in labels]
    if all(len(parts) == 2 and parts[0] == words[0][0] for parts in words):
        labels = [parts[1] for parts in words]
    room = 40  # characters
    every = max(1, int(np.ceil(sum(len(text) + 2 for text in labels) / room)))
    axes.set_xticks(centre[::every], labels[::every])


def _finish(main: Any, lower: Any, o: Observable, place: str = "", m: Measurement | None = None) -> None:
    """Label the panels, and keep poorly known entries from setting the scale of the lower one."""
    main.set_title(o.title, loc="left")
    main.set_title(place, loc="right")
    main.set_ylabel(f"[{o.unit}]" if o.unit else "")
    unit = {"relative": "%", "maximum": "% of max."}.get(o.scale, o.unit)
    what = "cand./full − 1" if o.scale == "relative" else "distance" if o.kind == "distance" else "cand. − full"
    lower.set_ylabel(f"{what} [{unit}]" if unit else what, fontsize=8.0)
    lower.axhline(0.0, color="black", linewidth=0.8)
    if m is not None:
        known = [np.abs(d.deviation[d.testable]) + d.deviation_error[d.testable] for d in m.candidates.values()]
        largest = max((float(k.max()) for k in known if len(k)), default=0.0)
        largest = min(largest, 100.0) if o.scale == "relative" else largest
        if largest > 0:
            lower.set_ylim(-1.15 * largest, 1.15 * largest)
    for axes in (main, lower):
        axes.yaxis.set_label_coords(-0.145, 0.5)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                _decades(axis)
        if axes.get_yscale() == "log":
            axes.yaxis.set_minor_locator(NullLocator())
    names = main.get_legend_handles_labels()[1]
    columns = 3 if len(names) > 5 and max(len(name) for name in names) <= _SHORT else 2
    rows = -(-len(names) // columns)
    bottom, top = main.get_ylim()
    if main.get_yscale() == "linear":
        if m is not None and o.scale != "absolute":
            bottom = min(bottom, 0.0)
        main.set_ylim(bottom, top + (0.09 * rows + 0.07) * (top - bottom))  # room for the legend
    elif rows > 2:
        main.set_ylim(bottom, top * (top / bottom) ** (0.08 * (rows - 2)))
    main.legend(loc="upper right", ncols=columns, handlelength=1.4, columnspacing=1.0)


def _decades(axis: Any) -> None:
    """Write powers of ten in plain characters: mathematical typesetting is slow and needs its own fonts."""
    axis.set_minor_formatter(NullFormatter())
    if not isinstance(axis.get_major_locator(), FixedLocator):
        axis.set_major_formatter(FuncFormatter(_power))


def _power(value: float, _: int) -> str:
    if 1e-3 < value < 1e4:
        return f"{value:g}"
    return "10" + str(round(np.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def distribution_figure(comparison: Comparison, d: Distribution) -> Figure:
    """Draw the distribution of a feature in full simulation and a candidate, and their ratio below.

    Of a phi modulation: the curves, and their difference.
    """
    i = [c.name for c in comparison.candidates].index(d.candidate)
    low, high = d.edges[:-1], d.edges[1:]
    centre = 0.5 * (low + high)
    curve = d.feature.startswith("modulation_")
    with mpl.rc_context(_STYLE):
        figure, main, lower = _panels()
        _histogram(main, low, high, d.reference, d.reference_error, comparison.reference)
        _points(main, centre, d.value, d.error, i, d.candidate, 1, line=False)
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = np.ones(len(centre)) if curve else 100.0 / d.reference
            known = np.isfinite(d.reference) if curve else d.reference_error < 0.5 * d.reference
            deviation, error = (d.value - d.reference) * scale, d.error * scale
            band = d.reference_error * scale
        _band(lower, low[known], high[known], band[known])
        _points(lower, centre[known], deviation[known], error[known], i, None, 1, line=False)
        lower.axhline(0.0, color="black", linewidth=0.8)
        main.set_title(d.feature.replace("_", " ") if curve else d.feature, loc="left")
        main.set_title(d.group, loc="right")
        main.set_ylabel("response / mean − 1 [%]" if curve else "entries [%]")
        lower.set_ylabel("cand. − full [%]" if curve else "cand./full − 1 [%]", fontsize=8.0)
        label = "log10 of voxel energy / threshold" if d.feature.startswith("spectrum") else d.feature
        lower.set_xlabel("phi / pitch, modulo 1" if curve else label)
        if known.any():
            largest = min(float(np.nanmax(np.abs(deviation[known]) + error[known])), 150.0)
            lower.set_ylim(-1.15 * max(largest, 1e-9), 1.15 * max(largest, 1e-9))
        highest = max(float(np.nanmax(d.reference + d.reference_error)), float(np.nanmax(d.value + d.error)))
        if curve:
            lowest = min(float(np.nanmin(d.reference - d.reference_error)), float(np.nanmin(d.value - d.error)))
            main.set_ylim(lowest - 0.05 * (highest - lowest), highest + 0.35 * (highest - lowest))
        else:
            main.set_ylim(0.0, 1.3 * highest)
        for axes in (main, lower):
            axes.yaxis.set_label_coords(-0.145, 0.5)
        main.legend(loc="upper right", ncols=2, handlelength=1.4, columnspacing=1.0)
        return as_figure(figure, f"{d.feature}, {d.group}, {d.candidate}")


def picture_figure(pictures: Pictures, kind: Literal["mean", "single"], group: str, reference: str) -> Figure:
    """Draw the layers that hold most energy as discs of rings and sectors, a column per sample."""
    binning = pictures.binning
    table = pictures.mean if kind == "mean" else pictures.single
    names = list(table)[:_PICTURE_COLUMNS]
    per_layer = np.bincount(binning.layer, weights=pictures.mean[""], minlength=len(binning.layer_ids))
    layers = np.sort(np.argsort(-per_layer, kind="stable")[:_PICTURE_LAYERS])
    area = np.pi * (binning.r_high**2 - binning.r_low**2) / np.array(binning.n_alpha)[binning.layer]
    size = 1.5
    with mpl.rc_context(_STYLE):
        figure = MplFigure(figsize=(0.55 + size * len(names), 0.45 + size * len(layers)))
        figure.subplots_adjust(left=0.5 / (0.55 + size * len(names)), right=0.99, bottom=0.01, top=0.93, wspace=0.06)
        for row, k in enumerate(layers):
            own = slice(int(binning.first[k]), int(binning.first[k + 1]))
            density = {name: table[name][own] / area[own] for name in names}
            top = max(float(d.max()) for d in density.values())
            for column, name in enumerate(names):
                axes = figure.add_subplot(len(layers), len(names), 1 + row * len(names) + column)
                _disc(axes, density[name].reshape(binning.n_alpha[k], -1), max(top, 1e-30))
                if row == 0:
                    axes.set_title((name or reference)[:18], fontsize=8.0)
                if column == 0:
                    axes.set_ylabel(f"layer {binning.layer_ids[k]}\n{binning.r_edges[k][-1]:g}", fontsize=8.0)
        what = "mean shower" if kind == "mean" else "one shower each"
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    caption = f"{what[:1].upper()}{what[1:]}; colour: four decades."
    return Figure(f"{what}, {group}", f"data:image/png;base64,{encoded}", caption=caption)


def _disc(axes: Any, table: Floats, top: float) -> None:
    """Paint a layer, shape (n_alpha, n_r), on a disc of pixels: far faster than a polygon per voxel."""
    n_alpha, n_r = table.shape
    y, x = np.mgrid[-1.0 : 1.0 : _PIXELS * 1j, -1.0 : 1.0 : _PIXELS * 1j]
    ring = np.floor(np.hypot(x, y) * n_r).astype(np.int64)
    sector = np.floor((np.arctan2(y, x) + np.pi) / (2.0 * np.pi) * n_alpha).astype(np.int64)
    inside = ring < n_r
    image = np.where(inside, table[np.clip(sector, 0, n_alpha - 1), np.clip(ring, 0, n_r - 1)], np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = np.where(image > 0, np.log10(image / top), np.where(inside, -10.0, np.nan))
    axes.imshow(shown, origin="lower", vmin=-4.0, vmax=0.0, cmap="viridis", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
