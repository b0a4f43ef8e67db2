"""The sections of a tune's report that show its fits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as MplFigure

from fastparam.comparison.figures import COLOURS, as_figure
from fastparam.comparison.page import Cell, Figure, Section, Table
from fastparam.fit import hadron_start, longitudinal, radial
from fastparam.fit.fit import Fit
from fastparam.particles import particle_name
from fastparam.tunes.tune import SliceTune, Tune
from fastparam.workflow.corrections import QUANTITIES

__all__ = [
    "correction_cells",
    "correction_section",
    "fit_sections",
    "fluctuation_section",
    "kernel_section",
    "slice_title",
    "strong_correlations",
]  # fmt: skip

Floats = npt.NDArray[np.float64]

_TITLES = {
    "response": "Visible energy",
    "resolution": "Resolution, a / sqrt(E) (+) b",
    "longitudinal": "Longitudinal profile",
    "modulation": "Modulation of the response in phi",
    "start": "Start of hadron showers",
    "spots": "Number of independent deposits",
    "layers": "Visible fraction of media relative to the main one",
    "layer_factors": "Layers: what they get on top of the longitudinal model",
    "warp": "Warp of gamma profiles",
    "radial": "Radial profile",
    "radial_warp": "Warp of radial profiles",
    "spot_groups": "Spots per independent deposit",
    "spot_spectrum": "Relative variance of spot energies",
    "layer_response": "Mean share of the incident energy seen in each layer",
}


#: Columns of the table of corrections that are sizes, without a sign.
_SIZES = ("profile", "layers", "r50", "r90")

#: Components with more coefficients than this are not listed number by number.
_LONG = 60


def slice_title(part: SliceTune) -> str:
    """Particle and slice as text."""
    return particle_name(part.pdg) + ("" if part.eta is None else f", eta {part.eta[0]:g}–{part.eta[1]:g}")


def strong_correlations(fit: Fit, threshold: float = 0.9) -> list[tuple[str, str, float]]:
    """Pairs of parameters whose correlation exceeds `threshold` in size."""
    errors = fit.errors
    scale = np.where(errors > 0, errors, np.inf)
    rho = fit.covariance / np.outer(scale, scale)
    pairs = [(i, j) for i in range(len(fit.names)) for j in range(i) if abs(rho[i, j]) > threshold]
    return [(fit.names[j], fit.names[i], float(rho[i, j])) for i, j in pairs]


def fit_sections(tune: Tune) -> tuple[Section, ...]:
    """Return one section with everything that was fitted, failed or left out."""
    parts = [
        Section(
            slice_title(part),
            text=f"{part.n_showers} training showers, {part.energy_range[0] / 1000:.4g} to"
            f" {part.energy_range[1] / 1000:.4g} GeV."
            + (
                " Sparse energy points (fewer than 30 training showers, kept in the joint fits): "
                + ", ".join(f"{e / 1000:.4g} GeV" for e in part.sparse)
                + "."
                if part.sparse
                else ""
            )
            + "".join(f"\n\n{note}." for tables in part.tables.values() for note in tables.notes),
            tables=(
                _status_table(part),
                *_left_out_tables(part),
                *(_parameter_table(n, f) for n, f in part.components.items() if f.names),
            ),
            figures=_figures(tune, part),
            folded=True,
        )
        for part in tune.slices
    ]
    problems = [(slice_title(part), name, reason) for part in tune.slices for name, reason in part.failed.items()]
    text = "Every component is one likelihood over all energies; parameters with their standard errors below."
    if tune.excluded:
        text += "\n\nLeft out: " + "; ".join(tune.excluded) + "."
    tables = (
        (Table(("where", "component", "what is wrong"), tuple(problems), "Fits that failed or may not be trusted"),)
        if problems
        else ()
    )
    return (Section("What was fitted", text=text, tables=tables, sections=tuple(parts), anchor="fits"),)


def kernel_section(rows: list[dict[str, Any]]) -> tuple[Section, ...]:
    """Return the section that says what gamma profiles can do at best."""
    if not rows:
        return ()
    table = Table(
        ("particle", "energy / GeV", "largest deviation / % of maximum", "at depth / X0"),
        tuple(
            (
                r["particle"] + ("" if r["eta"] is None else f", eta {r['eta'][0]:g}–{r['eta'][1]:g}"),
                f"{r['energy'] / 1000:.4g}",
                f"{r['deviation']:+.1f} +- {r['error']:.1f}",
                f"{r['depth']:.1f}",
            )
            for r in rows
        ),
    )
    return (
        Section(
            "What a gamma function can do at best",
            text="Mean of the gamma profiles fitted to single showers, minus the mean of the same showers. No law and"
            " no sampling is involved: what remains is that cascades are not gamma-shaped.",
            tables=(table,),
            anchor="kernel",
        ),
    )


def correction_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of `corrections.correction_gains` as text: particle and slice, corrections, numbers."""
    names = {"": "all corrections", "all": "none: the classical form"}
    cells = [row["particle"] + ("" if row["eta"] is None else f", eta {row['eta'][0]:g}–{row['eta'][1]:g}")]
    cells.append(names.get(row["without"], f"all but {row['without']}"))
    for name in QUANTITIES:
        value = row[name]
        cells.append("–" if value is None else f"{value:.1f}" if name in _SIZES else f"{value:+.0f}")
    return tuple(cells)


def correction_section(rows: list[dict[str, Any]]) -> tuple[Section, ...]:
    """Return the section that says what each correction buys."""
    if not rows:
        return ()
    table = Table(("particle", "with", *QUANTITIES.values()), tuple(correction_cells(r) for r in rows))
    return (
        Section(
            "What each correction buys",
            text="The model against the mean of the same showers, each at its own (T, alpha), with each correction"
            " switched off in turn. Nothing is sampled. Profiles and layers: rms over energies (and layers with more"
            " than 0.2 % of the energy). Radii: median over energies and bins of age, weighted with the energy. The"
            " last two columns are ratios to full simulation, minus one.",
            tables=(table,),
            anchor="corrections",
        ),
    )


def fluctuation_section(rows: list[dict[str, Any]]) -> tuple[Section, ...]:
    """Return the section that says what each fluctuation of `fluctuations.fluctuation_gains` buys."""
    if not rows:
        return ()
    cells = [
        (
            r["particle"] + ("" if r["eta"] is None else f", eta {r['eta'][0]:g}–{r['eta'][1]:g}"),
            f"all but {r['without']}" if r["without"] else "all fluctuations",
            f"{r['separation']:.4f} ± {r['error']:.4f}",
            str(r["showers"]),
        )
        for r in rows
    ]
    table = Table(("particle", "with", "mean separation", "showers"), tuple(cells))
    return (
        Section(
            "What each fluctuation buys",
            text="Sampled showers against full simulation, each fluctuation of the recipe switched off in turn: mean"
            " separation of the features of their voxels, its floor subtracted; 0 cannot be told apart, 1 never"
            " overlaps. Of each particle the slice with most showers.",
            tables=(table,),
            anchor="fluctuations",
        ),
    )


def _status_table(part: SliceTune) -> Table:
    rows = []
    for name, fit in part.components.items():
        p = fit.p_value
        rows.append(
            (
                _TITLES.get(name, name),
                Cell("yes" if fit.valid else "NO", "good" if fit.valid else "bad"),
                Cell("yes" if fit.accurate else "no", "good" if fit.accurate else "warn"),
                Cell(", ".join(fit.at_limit) or "none", "warn" if fit.at_limit else ""),
                f"{fit.chi2:.4g} / {fit.ndf}" if fit.ndf else "–",
                "–" if math.isnan(p) else Cell(f"{p:.2g}", "warn" if p < 0.01 else ""),
            )
        )
    return Table(
        ("component", "valid", "accurate", "at limit", "chi2 / ndf", "p-value"),
        tuple(rows),
        "A small p-value says that the law does not describe the energy points within their errors",
    )


def _left_out_tables(part: SliceTune) -> tuple[Table, ...]:
    """How well energy points are predicted without their showers, where a recipe has measured it."""
    columns = ("mean", "width", "layer")
    return tuple(
        Table(
            ("left out / GeV", "mean / %", "width / %", "worst share of a layer / % of the total"),
            tuple(
                (f"{r['energy'] / 1000:.4g}", *(f"{r[c]:+.2f} +- {r[f'{c}_error']:.2f}" for c in columns)) for r in rows
            ),
            "Energies predicted from the others, against their own training showers and their errors",
        )
        for tables in part.tables.values()
        if (rows := tables.settings.get("left_out"))
    )


def _parameter_table(name: str, fit: Fit) -> Table:
    if len(fit.names) > _LONG:
        return Table(
            ("parameters", "where"), ((str(len(fit.names)), "report.json, tune file"),), _TITLES.get(name, name)
        )
    rows = tuple((n, _with_error(v, e)) for n, v, e in zip(fit.names, fit.values, fit.errors, strict=True))
    strong = strong_correlations(fit)
    caption = _TITLES.get(name, name)
    if strong and name != "layer_response":
        caption += "; correlations above 0.9: " + ", ".join(f"{a}, {b} {r:+.2f}" for a, b, r in strong)
    return Table(("parameter", "value"), rows, caption)


def _with_error(value: float, error: float) -> str:
    if not math.isfinite(error) or error <= 0:
        return f"{value:.5g} (fixed)"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{min(digits, 8)}f} +- {error:.{min(digits, 8)}f}"


def _figures(tune: Tune, part: SliceTune) -> tuple[Figure, ...]:
    figures = []
    for draw in (_resolution_figure, _modulation_figure, _start_figure, _longitudinal_figure, _radial_figure):
        made = draw(tune, part)
        if made is not None:
            figures.append(made)
    return tuple(figures)


def _axes(rows: int = 1) -> tuple[MplFigure, Any]:
    figure = MplFigure(figsize=(4.6, 2.3 * rows + 0.9), layout="constrained")
    return figure, figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]


def _resolution_figure(tune: Tune, part: SliceTune) -> Figure | None:
    fit = part.components.get("resolution")
    if fit is None or "energy" not in fit.points:
        return None
    figure, (axes,) = _axes()
    e = fit.points["energy"] / 1000.0
    axes.errorbar(
        e, 100 * fit.points["width"], 100 * fit.points["width_error"], fmt="ko", ms=4, label="training showers"
    )
    x = np.geomspace(e.min(), e.max(), 100)
    a, b = fit["a"], fit["b"]
    axes.plot(
        x, 100 * np.sqrt(a**2 / x + b**2), color=COLOURS[0],
        label=f"{100 * a:.1f} % / sqrt(E/GeV) (+) {100 * b:.2f} %",
    )  # fmt: skip
    axes.set(xscale="log", xlabel="E / GeV", ylabel="half central 68 % / mean / %")
    axes.legend()
    return as_figure(figure, f"Resolution, {slice_title(part)}")


def _modulation_figure(tune: Tune, part: SliceTune) -> Figure | None:
    fit = part.components.get("modulation")
    if fit is None:
        return None
    names = list(fit.settings["terms"])
    figure, all_axes = _axes(len(names))
    for axes, name in zip(all_axes, names, strict=True):
        phase = fit.points["phase"] / (2.0 * np.pi)
        axes.axhline(0.0, color="0.8", lw=0.8)
        axes.errorbar(
            phase, 100 * (fit.points[name] - 1), 100 * fit.points[f"{name}_error"], fmt="ko", ms=4,
            label="training showers",
        )  # fmt: skip
        axes.plot(phase, 100 * (fit.points[f"{name}_model"] - 1), color=COLOURS[0], label="law")
        axes.set_ylabel(f"{name.replace('layer', 'layer ')} / %")
    all_axes[0].legend()
    all_axes[-1].set_xlabel("(phi modulo pitch) / pitch")
    return as_figure(
        figure, f"Modulation in phi, {slice_title(part)}",
        "Visible energy relative to its mean, energies weighted by their resolution. " + "; ".join(fit.notes) + ".",
    )  # fmt: skip


def _start_figure(tune: Tune, part: SliceTune) -> Figure | None:
    fit = part.components.get("start")
    if fit is None:
        return None
    figure, all_axes = _axes(3)
    e = fit.points["energy"] / 1000.0
    panels = (
        ("no_start", 100.0, "without a start / %"),
        ("width", 100.0, "width of E / %"),
        ("correlation", 1.0, "correlation E, start"),
    )
    for axes, (name, scale, label) in zip(all_axes, panels, strict=True):
        axes.errorbar(
            e, scale * fit.points[name], scale * fit.points[f"{name}_error"], fmt="ko", ms=4, label="training showers"
        )
        axes.set(xscale="log", ylabel=label)
    x = np.geomspace(e.min(), e.max(), 100)
    all_axes[0].plot(x, 100 * hadron_start.no_start_probability(fit, 1000.0 * x), color=COLOURS[0], label="law")
    all_axes[0].legend()
    all_axes[-1].set_xlabel("E / GeV")
    text = "Widths and correlations are of showers that start."
    if fit.settings["depth"]:
        text += f" Starts fall off with {np.exp(fit['lambda0']):.0f} mm at 10 GeV behind the first layer."
    return as_figure(figure, f"Start of showers, {slice_title(part)}", text)


def _longitudinal_figure(tune: Tune, part: SliceTune) -> Figure | None:
    fit = part.components.get("longitudinal")
    if fit is None or "mean_ln_t" not in fit.points:
        return None
    labels = {
        "mean_ln_t": "<ln T>",
        "mean_ln_alpha": "<ln alpha>",
        "sigma_ln_t": "sigma(ln T)",
        "sigma_ln_alpha": "sigma(ln alpha)",
        "rho": "rho",
    }
    figure, all_axes = _axes(len(labels))
    e = fit.points["energy"]
    x = np.geomspace(e.min(), e.max(), 100)
    law = longitudinal.evaluate(fit, np.log(x / tune.geometry.material.critical_energy))
    for axes, (name, label) in zip(all_axes, labels.items(), strict=True):
        axes.errorbar(
            e / 1000.0, fit.points[name], fit.points[f"{name}_error"], fmt="ko", ms=4, label="each energy by itself"
        )
        axes.plot(x / 1000.0, law[name], color=COLOURS[0], label="law")
        axes.set(xscale="log", ylabel=label)
    all_axes[0].legend()
    all_axes[-1].set_xlabel("E / GeV")
    return as_figure(
        figure,
        f"Shapes of longitudinal profiles, {slice_title(part)}",
        "Population of (ln T, ln alpha), measurement error subtracted: laws in ln y and independent fits per energy.",
    )


def _radial_figure(tune: Tune, part: SliceTune) -> Figure | None:
    fit = part.components.get("radial")
    if fit is None:
        return None
    figure, all_axes = _axes(3)
    tau = np.linspace(0.05, radial.TAU_EDGES[-1], 200)
    low, high = part.energy_range
    for k, energy in enumerate(np.geomspace(low, high, 3) if high > 1.1 * low else [low]):
        core, tail, p = radial.evaluate(fit, tau, np.full_like(tau, np.log(energy / 10_000.0)))
        moliere = tune.geometry.material.moliere_radius
        for axes, y in zip(all_axes, (core * moliere, tail * moliere, p), strict=True):
            axes.plot(tau, y, color=COLOURS[k], label=f"{energy / 1000:.3g} GeV")
    for axes, label in zip(all_axes, ("R_C / mm", "R_T / mm", "core weight p"), strict=True):
        axes.set_ylabel(label)
    all_axes[0].set_yscale("log")
    all_axes[1].set_yscale("log")
    all_axes[0].legend()
    all_axes[-1].set_xlabel("age tau = t / T")
    return as_figure(figure, f"Laws of the radial profile, {slice_title(part)}")
