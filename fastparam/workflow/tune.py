"""`tune`: from the samples of a detector to a validated tune and its report."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fastparam.comparison.comparison import Comparison
from fastparam.comparison.page import Page, Section, render
from fastparam.comparison.report import comparison_sections
from fastparam.errors import FastparamWarning, UsageError
from fastparam.files import atomic_output
from fastparam.generate.tuned import TunedGenerator
from fastparam.geometry.detector import Geometry
from fastparam.geometry.load import load_geometry
from fastparam.hits.layout import sample_files
from fastparam.summary import Summary, load_summary, summarise_sample
from fastparam.tunes.file import load_tune, tune_digest
from fastparam.tunes.fitting import check_shower_maximum, fit_tune
from fastparam.tunes.recipe import DEFAULT_RECIPE, load_recipe
from fastparam.tunes.slices import eta_slices
from fastparam.tunes.tune import Tune
from fastparam.workflow.corrections import correction_gains
from fastparam.workflow.fluctuations import fluctuation_gains
from fastparam.workflow.report import correction_section, fit_sections, fluctuation_section, kernel_section
from fastparam.workflow.validate import cross_validate, judged_showers, kernel_limit, validate

__all__ = ["TuneResult", "run", "tune"]

Rows = Literal["all", "even", "odd"]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class TuneResult:
    """A tune with its judgement.

    Attributes
    ----------
    generator : TunedGenerator
    comparison : Comparison or None
        None if no held-back shower could judge it.
    seconds : dict of str to float
        Wall time of the steps.
    """

    generator: TunedGenerator
    comparison: Comparison | None
    seconds: dict[str, float]

    def page(self) -> Page:
        """Return the report: verdict, fits, figures, tables."""
        tune = self.generator.tune
        if self.comparison is not None:
            sections = comparison_sections(self.comparison)
            lead = (
                f"Recipe {tune.recipe.name}: {tune.recipe.description}. Judged by full simulation that was held back"
                f" ({self.comparison.provenance['validation']})."
            )
        else:
            sections = fit_sections(tune)
            lead = (
                f"Recipe {tune.recipe.name}: {tune.recipe.description}. Not validated: no showers were left to judge."
            )
        return Page(title=f"Tune of {tune.name}", lead=lead, sections=sections)

    def write_html(self, path: Path) -> None:
        """Write the report as one self-contained HTML file."""
        with atomic_output(path) as partial:
            partial.write_text(render(self.page()), encoding="utf-8")


def tune(
    geometry: str | Path | Geometry,
    *,
    recipe: str = "",
    rows: Rows = "all",
    pdg: Sequence[int] | None = None,
    eta: Sequence[float] | None = None,
    seed: int = 1,
    start_from: str | Path | Tune | TunedGenerator | None = None,
) -> TunedGenerator:
    """Tune a detector's parametrisation and validate it.

    Parameters
    ----------
    geometry : path, name or Geometry
        A geometry.yaml, the name of a shipped geometry, or a summary file.
    recipe : str
        Name of a shipped recipe or a file; default: that of geometry.yaml, else `DEFAULT_RECIPE`.
    rows : "all", "even" or "odd"
        Rows to tune on. The others judge; with "all", each half judges a tune of the other half.
    pdg : list of int, optional
        Particles to tune; default all.
    eta : list of float, optional
        Tune only the slices that contain one of these.
    seed : int
        Of the showers sampled for validation.
    start_from : path, name, Tune or TunedGenerator, optional
        An earlier tune whose laws the minimisers begin with. The result is that of a cold start within the precision
        of the fits; what the earlier tune was made of may be another sample, recipe or detector.

    Returns
    -------
    TunedGenerator
        With the tune as `tune`, the validation in `tune.validation`.
    """
    return run(geometry, recipe=recipe, rows=rows, pdg=pdg, eta=eta, seed=seed, start_from=start_from).generator


def run(
    source: str | Path | Geometry,
    *,
    recipe: str = "",
    rows: Rows = "all",
    pdg: Sequence[int] | None = None,
    eta: Sequence[float] | None = None,
    seed: int = 1,
    start_from: str | Path | Tune | TunedGenerator | None = None,
    progress: Progress = lambda what, fraction: None,
) -> TuneResult:
    """Do what `tune` does and return everything that came out; parameters as there.

    Raises
    ------
    FastparamError
        Of the kind that says what is wrong: geometry, input, usage or fit.
    """
    if rows not in ("all", "even", "odd"):
        raise UsageError(f"rows: unknown '{rows}'; expected all, even or odd")
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def done(step: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[step] = now - clock
        clock = now

    geometry, held = _geometry_of(source)
    earlier = _earlier(start_from, geometry)
    chosen = load_recipe(recipe or geometry.config.recipe or DEFAULT_RECIPE, None if recipe else geometry.path.parent)
    if held is None:
        showers = summarise_sample(
            geometry, keep_hits=chosen.needs_hits, progress=lambda f: progress("read and summarise", f)
        )
    else:
        showers = held
        if chosen.needs_hits and showers.deposits is None:
            raise UsageError(
                f"{source}: holds no single hits, which the recipe {chosen.name} is fitted to; summarise again with"
                f" `recipe: {chosen.name}` in geometry.yaml, or tune with --recipe gflash"
            )
    done("read and summarise")
    check_shower_maximum(geometry, showers)
    slices = _slices(geometry, showers, eta)
    trained = {"all": np.ones(len(showers), bool), "even": showers.row % 2 == 0, "odd": showers.row % 2 == 1}[rows]
    training, judging = showers.take(trained), showers.take(~trained)
    fitted = fit_tune(
        geometry,
        training,
        chosen,
        slices=slices,
        pdgs=_known(showers, pdg),
        provenance=_provenance(source, geometry, showers, rows, seed) | _started(earlier, geometry),
        start_from=earlier,
        progress=lambda label: progress(f"fit {label}", 0.0),
    )
    done("fit")
    judged = judged_showers(fitted, judging if len(judging) else showers)
    limit, gains = kernel_limit(fitted, judged), correction_gains(fitted, judged)
    fluctuations = fluctuation_gains(fitted, judging if len(judging) else showers, seed=seed)
    extra: tuple[Section, ...] = (
        *fit_sections(fitted), *kernel_section(limit), *correction_section(gains), *fluctuation_section(fluctuations)
    )  # fmt: skip
    if rows == "all":
        comparison = cross_validate(fitted, showers, slices=slices, seed=seed, progress=progress, extra=extra)
    else:
        comparison = validate(fitted, judging, training, seed=seed, progress=progress, extra=extra)
    done("validate")
    document: dict[str, Any] = {"gamma_profile_limit": limit, "corrections": gains}
    if fluctuations:
        document["fluctuations"] = fluctuations
    if comparison is not None:
        document["comparison"] = comparison.to_json()
    finished = replace(fitted, validation=document, provenance=fitted.provenance | {"digest": tune_digest(fitted)})
    return TuneResult(TunedGenerator(finished), comparison, seconds)


def _earlier(start_from: str | Path | Tune | TunedGenerator | None, geometry: Geometry) -> Tune | None:
    """Return the tune to start from; warns if it is of another detector."""
    if start_from is None:
        return None
    if isinstance(start_from, Tune):
        tune = start_from
    elif isinstance(start_from, TunedGenerator):
        tune = start_from.tune
    else:
        tune = load_tune(Path(start_from))
    if tune.geometry.digest != geometry.digest:
        warnings.warn(
            f"the tune to start from, {tune.name}, is of another detector than {geometry.path} (layers or materials"
            " differ); its laws are used as initial values all the same",
            FastparamWarning,
            stacklevel=4,
        )
    return tune


def _started(earlier: Tune | None, geometry: Geometry) -> dict[str, Any]:
    """Provenance of a warm start; nothing without one."""
    if earlier is None:
        return {}
    same = "same" if earlier.geometry.digest == geometry.digest else "another"
    return {"started from": f"{earlier.name} (digest {tune_digest(earlier)}), {same} detector"}


def _geometry_of(source: str | Path | Geometry) -> tuple[Geometry, Summary | None]:
    """Return the geometry, and the summary where the source is one."""
    if isinstance(source, str | Path) and Path(source).suffix in (".h5", ".hdf5"):
        showers, geometry = load_summary(Path(source))
        return geometry, showers
    return (source if isinstance(source, Geometry) else load_geometry(source)), None


def _slices(geometry: Geometry, showers: Summary, eta: Sequence[float] | None) -> list[tuple[float, float]] | None:
    slices = eta_slices(geometry, showers.particles)
    if eta is None:
        return slices
    if slices is None:
        raise UsageError("--eta: a planar detector has no eta slices")
    found = [s for s in slices if any(s[0] <= e <= s[1] for e in eta)]
    if not found:
        known = ", ".join(f"{a:g} to {b:g}" for a, b in slices)
        raise UsageError(f"--eta: no slice contains {', '.join(f'{e:g}' for e in eta)}; the sample has {known}")
    return found


def _known(showers: Summary, pdg: Sequence[int] | None) -> Sequence[int] | None:
    present = {int(p) for p in np.unique(showers.particles.pdg)}
    missing = [p for p in pdg or [] if p not in present]
    if missing:
        raise UsageError(
            f"--pdg: the sample has no particle {', '.join(map(str, missing))}; it has"
            f" {', '.join(map(str, sorted(present)))}"
        )
    return pdg


def _provenance(
    source: str | Path | Geometry, geometry: Geometry, showers: Summary, rows: Rows, seed: int
) -> dict[str, Any]:
    import numba

    from fastparam import __version__

    return {
        "fastparam": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "inputs": _inputs(source, geometry),
        "rows": rows,
        "seed": seed,
        "showers": len(showers),
        "hits": int(showers.n_hits.sum()),
        "negative energies set to 0": int(showers.n_negative.sum()),
        "hits outside every layer": int(showers.n_outside.sum()),
        "tuned at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _inputs(source: str | Path | Geometry, geometry: Geometry) -> str:
    """Names and sizes of the files that were read."""
    if not isinstance(source, Geometry) and Path(source).suffix in (".h5", ".hdf5"):
        files = [Path(source)]
    else:
        files = [file.path for file in sample_files(geometry)]
    return ", ".join(f"{path.name} ({path.stat().st_size} bytes)" for path in files)
