"""What the README and the comments of an export say about its tune."""

from __future__ import annotations

import textwrap

import numpy as np

from fastparam.export.homogeneous import Constants
from fastparam.fit import response
from fastparam.particles import particle_name
from fastparam.tunes.tune import SliceTune, Tune

__all__ = ["domain_table", "failed_notes", "fidelity", "photons_text", "stock_notes", "title"]


def title(part: SliceTune) -> str:
    """Return particle and slice in words."""
    return ", ".join(text for text in (particle_name(part.pdg), _eta(part)) if text)


def domain_table(tune: Tune) -> str:
    """Return the tuned ranges of all slices as a Markdown table."""
    rows = ["| particle | kinetic energy / GeV | direction | training showers |", "|---|---|---|---|"]
    for part in tune.slices:
        low, high = (e / 1000.0 for e in part.energy_range)
        where = _eta(part) or f"up to {np.rad2deg(part.max_angle):.3g} degrees"
        name = "e-, e+" if abs(part.pdg) == 11 and -part.pdg not in tune.pdgs else particle_name(part.pdg)
        rows.append(f"| {name} | {low:.4g} to {high:.4g} | {where} | {part.n_showers} |")
    return "\n".join(rows)


def photons_text(photons: bool) -> str:
    """Return the end of the sentence on photons; `photons` says whether they are in the tune."""
    if not photons:
        text = (
            "are not in this tune: Geant4 tracks them until they convert, and the electron and the positron are"
            " parametrised, each where it is born."
        )
    else:
        text = (
            "are parametrised as a whole where they enter: their profiles hold the depth of the conversion. With"
            " `SetParametrisePhotons(false)` Geant4 tracks them until they convert, and the pair is parametrised where"
            " it is born, by the laws of electrons if the tune has them."
        )
    return textwrap.fill(text, 116, subsequent_indent="  ", break_on_hyphens=False)


def failed_notes(tune: Tune) -> str:
    """Return a list item for every fit that is not valid."""
    return "".join(
        f"- {title(part)}: the fit of `{name}` is not valid ({reason}).\n"
        for part in tune.slices
        for name, reason in part.failed.items()
    )


def fidelity(stock: Constants) -> str:
    """Return how near Geant4's constants are to the tune, in a sentence or two."""
    if not stock.reasons:
        return "Its laws are those of the tune."
    losses = ", ".join(f"{name} {loss:.2g}" for name, loss in stock.losses.items())
    return (
        f"The nearest that Geant4 has: {'; '.join(stock.reasons)}. Largest relative loss over the tuned energies and"
        f" the ages of the central 90 % of the energy: {losses}."
    )


def stock_notes(part: SliceTune, stock: Constants) -> str:
    """Return the section on Geant4's own classes; `part` are the electrons."""
    middle = np.log(np.sqrt(np.array([part.energy_range[0] * part.energy_range[1]])) / 1000.0)
    visible = float(response.moments(part.components["response"], middle)[0][0])
    return f"""
## Geant4's own GFlash with `HomoTuning`

{textwrap.fill(fidelity(stock), 116, break_on_hyphens=False)}
Use `ShowerModel` unless you cannot. What Geant4's classes do otherwise, whatever the constants:

- All kinetic energy is deposited; the visible share in full simulation was {visible:.3g} on average.
- The age of a shower is t/T times (1 - 1/alpha) / (1 - 1/<alpha>): t/T at the mean alpha only.
- Showers drawn with alpha <= 1 leave no energy at all; here they are drawn again.
- The rest of a shower below `EneToKill` lands in one slice: call `SetEneToKill` with 0 for e- and e+.
- Radii shrink by up to 18 % unless the beam is along a coordinate axis.
- Photons are tracked, not parametrised.
"""


def _eta(part: SliceTune) -> str:
    return "" if part.eta is None else f"eta {part.eta[0]:g} to {part.eta[1]:g}"
