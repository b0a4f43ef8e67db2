"""A report as one self-contained HTML file: sections, tables and figures; no network, no script.

Built by hand as easily as by a program::

    Page("Tune of siw", lead="electrons", sections=(Section("Fits", tables=(Table(("name", "value"), rows),)),))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jinja2

from fastparam.files import atomic_output

__all__ = ["Cell", "Figure", "Page", "Section", "Status", "Table", "render", "write_html"]

Status = Literal["", "good", "bad", "warn"]


@dataclass(frozen=True)
class Cell:
    """Text of a table cell that means something good, bad or doubtful, or that leads somewhere.

    Attributes
    ----------
    text : str
    status : str
        "good", "bad", "warn" or "".
    link : str
        Anchor of a `Section` on the page, or "".
    """

    text: str
    status: Status = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of tuples of Cell, str, int or float
        As many cells as columns each. Floats are shown with four digits; everything is escaped.
    caption : str
    cards : bool
        Whether each row becomes a card on a narrow screen, instead of a table that scrolls.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell | str | int | float, ...], ...]
    caption: str = ""
    cards: bool = False


@dataclass(frozen=True)
class Figure:
    """An image.

    Attributes
    ----------
    title : str
        What it shows, in words: read to those who do not see it.
    source : str
        An image as a ``data:`` address, or "".
    drawing : str
        In place of it an ``<svg>`` element (`svg.inline_svg` makes one), written into the page as it is.
    caption : str
    """

    title: str
    source: str = ""
    drawing: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes
    ----------
    title : str
    text : str
        Paragraphs separated by empty lines.
    tables : tuple of Table
    figures : tuple of Figure
    sections : tuple of Section
        Parts of it, shown behind tables and figures.
    anchor : str
        Name that links lead to; "" for none. Top sections without one get their number.
    folded : bool
        Whether a reader has to open it; printed open.
    """

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    sections: tuple[Section, ...] = ()
    anchor: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes
    ----------
    title, lead : str
        What it is, and what it is about in one or two sentences.
    sections : tuple of Section
    """

    title: str
    lead: str = ""
    sections: tuple[Section, ...] = ()


def render(page: Page) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fastparam.comparison", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = _as_cell
    environment.filters["paragraphs"] = lambda text: [part for part in text.split("\n\n") if part.strip()]
    return environment.get_template("page.html.j2").render(page=page)


def write_html(path: Path, page: Page) -> None:
    """Write the page to a file that is complete or absent, replacing what is there."""
    text = render(page)
    with atomic_output(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _as_cell(value: Cell | str | int | float) -> Cell:
    if isinstance(value, Cell):
        return value
    if isinstance(value, float):
        return Cell(f"{value:.4g}".replace("-", "−") if not math.isnan(value) else "–")
    return Cell(str(value))
