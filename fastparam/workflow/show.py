"""A tune as plain data: what `fastparam show` prints."""

from __future__ import annotations

import math
from typing import Any

from fastparam.comparison.comparison import Comparison
from fastparam.comparison.observables import by_name
from fastparam.generate.domain import describe as describe_domain
from fastparam.tunes.tune import SliceTune, Tune
from fastparam.workflow.report import slice_title, strong_correlations

__all__ = ["describe"]


def describe(tune: Tune) -> dict[str, Any]:
    """Return everything worth knowing of a tune as JSON values; numbers that are not finite become None."""
    material = tune.geometry.material
    return {
        "name": tune.name,
        "geometry": tune.geometry.name,
        "geometry_digest": tune.geometry.digest,
        "recipe": tune.recipe.name,
        "material": {
            "radiation_length_mm": float(material.radiation_length),
            "moliere_radius_mm": float(material.moliere_radius),
            "critical_energy_mev": float(material.critical_energy),
            "z": float(material.z),
            "a": float(material.a),
        },
        "provenance": tune.provenance,
        "excluded": list(tune.excluded),
        "domain": describe_domain(tune),
        "slices": [_slice(part) for part in tune.slices],
        "gamma_profile_limit": tune.validation.get("gamma_profile_limit", []),
        "corrections": tune.validation.get("corrections", []),
        "validation": _verdicts(tune),
    }


def _slice(part: SliceTune) -> dict[str, Any]:
    return {
        "title": slice_title(part),
        "pdg": part.pdg,
        "eta": part.eta,
        "energy_mev": part.energy_range,
        "showers": part.n_showers,
        "failed": part.failed,
        "sparse_energies_mev": part.sparse,
        "components": {
            name: {
                "valid": fit.valid,
                "accurate": fit.accurate,
                "at_limit": list(fit.at_limit),
                "chi2": _finite(fit.chi2),
                "ndf": fit.ndf,
                "p_value": _finite(fit.p_value),
                "settings": fit.settings,
                "notes": list(fit.notes),
                "parameters": {
                    n: [float(v), _finite(e)] for n, v, e in zip(fit.names, fit.values, fit.errors, strict=True)
                },
                "strong_correlations": [list(pair) for pair in strong_correlations(fit)],
            }
            for name, fit in part.components.items()
        },
        "tables": {
            name: {"bytes": tables.nbytes, "settings": tables.settings, "notes": list(tables.notes)}
            for name, tables in part.tables.items()
        },
    }


def _verdicts(tune: Tune) -> list[dict[str, Any]]:
    document = tune.validation.get("comparison")
    if document is None:
        return []
    comparison = Comparison.from_json(document)
    rows = []
    for v in comparison.verdicts:
        if v.passed is None or v.largest_deviation is None:
            continue
        worst = v.largest_deviation
        point = comparison.points[worst.point]
        where = f"at {point.label}" + (f", {worst.entry}" if worst.entry else "")
        unit = by_name(v.observable).deviation_unit
        rows.append(
            {
                "group": v.group,
                "observable": v.observable,
                "deviation": f"{worst.deviation:+.2f} +- {worst.deviation_error:.2f} {unit} {where}",
                "pull": f"{worst.pull:+.1f} (family limit {v.pull_limit:.1f})",
                "limit": ", ".join(f"{limit:g}" for limit in v.limits),
                "verdict": "kept" if v.passed else "BROKEN",
                "undecided": v.undecided,
                "showers_to_halve_the_error": v.showers_to_halve,
            }
        )
    return rows


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
