"""Matplotlib's SVG, made small enough to stand in a page by the hundred.

Coordinates become whole tenths of a point, each relative to the one before; marks of one kind become one path, panels
nested drawings that clip by themselves, so that nothing needs a name. Black and white become the page's ink and paper,
which makes figures follow its dark mode. About a tenth of the size remains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree

__all__ = ["inline_svg"]

#: Units of the result per point of the original.
_SCALE = 10.0

#: Farther out than any page: what lies beyond a panel's clip is cut there.
_FAR = 20_000.0

_INK = {"#000000": "currentColor", "black": "currentColor", "#ffffff": "var(--paper)", "#595959": "var(--soft)"}

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Style:
    """What a path looks like, as attributes; `solid` where one path may lie on another unseen."""

    attributes: str
    solid: bool
    background: bool


@dataclass
class _Shape:
    style: _Style
    clip: Box | None
    outlines: list[str]


def inline_svg(svg: str, title: str) -> str:
    """Return an ``<svg>`` element for a page of HTML.

    Parameters
    ----------
    svg : str
        As matplotlib writes it, text as text.
    title : str
        Read to those who do not see the figure.
    """
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", svg))
    width, height = (_units(float(x)) for x in root.attrib["viewBox"].split()[2:])
    paths = {e.attrib["id"]: e.attrib.get("d", "") for e in root.iter() if _tag(e) == "path" and "id" in e.attrib}
    boxes = (e for e in root.iter() if _tag(e) == "clipPath" and _tag(e[0]) == "rect")
    clips = {e.attrib["id"]: _box(e[0].attrib) for e in boxes}
    shapes: list[_Shape] = []
    texts: dict[str, list[str]] = {}
    for e, clip, moved in _leaves(root, None, "", clips):
        if _tag(e) == "text":
            words, key = _text(e) if "x" in e.attrib else _formula(e, moved)
            texts.setdefault(key, []).append(words)
            continue
        style = _style(e.attrib.get("style", ""))
        if style.background and _tag(e) == "path":
            continue  # the page has its own
        if _tag(e) == "use":
            name = next(v for k, v in e.attrib.items() if k.endswith("href")).removeprefix("#")
            outline = _outline(paths[name], float(e.attrib.get("x", 0)), float(e.attrib.get("y", 0)))
        else:
            outline = _outline(e.attrib.get("d", ""), 0.0, 0.0)
        if not outline:
            continue  # of values that are all missing
        last = shapes[-1] if shapes else None
        if last is not None and last.style == style and last.clip == clip and (style.solid or _tag(e) == "use"):
            last.outlines.append(outline)
        else:
            shapes.append(_Shape(style, clip, [outline]))
    drawn = "".join(_clipped(shapes))
    written = "".join(f"<g {key}>{''.join(words)}</g>" for key, words in texts.items())
    about = f'role="img" aria-label="{escape(title)}" viewBox="0 0 {width} {height}" fill="none"'
    return f"<svg {about}>{drawn}{written}</svg>"


def _tag(e: ElementTree.Element) -> str:
    return e.tag.rsplit("}", 1)[-1]


def _units(x: float) -> int:
    return round(_SCALE * min(max(x, -_FAR), _FAR))


def _box(rectangle: dict[str, str]) -> Box:
    x, y, width, height = (_units(float(rectangle[k])) for k in ("x", "y", "width", "height"))
    return x, y, width, height


def _leaves(
    e: ElementTree.Element, clip: Box | None, moved: str, clips: dict[str, Box]
) -> Iterator[tuple[ElementTree.Element, Box | None, str]]:
    """Go through what is drawn, in order, with its clip and the transformation of its group."""
    named = re.match(r"url\(#(.*)\)", e.attrib.get("clip-path", ""))
    if named is not None:
        clip = clips.get(named.group(1))
    if _tag(e) in ("path", "use", "text"):
        yield e, clip, moved
    elif _tag(e) != "defs":
        for part in e:
            yield from _leaves(part, clip, e.attrib.get("transform", moved), clips)


def _declared(style: str) -> dict[str, str]:
    return dict(re.findall(r"([a-z-]+):\s*([^;]+)", style))


def _style(text: str) -> _Style:
    told = _declared(text)
    fill, stroke = told.get("fill", "#000000"), told.get("stroke", "none")
    found = []
    if fill != "none":
        found.append(f'fill="{_INK.get(fill, fill)}"')
    if stroke != "none":
        found.append(f'stroke="{_INK.get(stroke, stroke)}"')
        found.append(f'stroke-width="{_units(float(told.get("stroke-width", 1.0)))}"')
    found += [f'{key}="{told[key]}"' for key in ("opacity", "fill-opacity", "stroke-opacity") if key in told]
    if "stroke-dasharray" in told:
        lengths = " ".join(str(_units(float(x))) for x in re.split(r"[ ,]+", told["stroke-dasharray"].strip()))
        found.append(f'stroke-dasharray="{lengths}"')
    return _Style(" ".join(found), fill == "none", fill == "#ffffff" and stroke == "none")


def _outline(path: str, x: float, y: float) -> str:
    """Return a path of whole units, relative but for its first point, shifted by (x, y)."""
    out: list[str] = []
    at_x = at_y = start_x = start_y = 0
    for letter, numbers in re.findall(r"([MLCQz])([^MLCQz]*)", path):
        if letter == "z":
            out.append("z")
            at_x, at_y = start_x, start_y
            continue
        values = [float(v) for v in numbers.split()]
        points = [(_units(a + x), _units(b + y)) for a, b in zip(values[::2], values[1::2], strict=True)]
        end_x, end_y = points[-1]
        if letter == "M":
            out.append(f"M{end_x} {end_y}")
            start_x, start_y = end_x, end_y
        elif letter == "L" and end_y == at_y:
            if end_x != at_x:
                out.append(f"h{end_x - at_x}")
        elif letter == "L" and end_x == at_x:
            out.append(f"v{end_y - at_y}")
        else:
            shifts = " ".join(f"{a - at_x} {b - at_y}" for a, b in points)
            out.append(letter.lower() + shifts)
        at_x, at_y = end_x, end_y
    return re.sub(r" -", "-", "".join(out))


def _clipped(shapes: list[_Shape]) -> Iterator[str]:
    """Write shapes in their order, those that share a panel inside it."""
    inside: Box | None = None
    for s in shapes:
        if s.clip != inside:
            if inside is not None:
                yield "</svg>"
            if s.clip is not None:
                x, y, w, h = s.clip
                yield f'<svg x="{x}" y="{y}" width="{w}" height="{h}" viewBox="{x} {y} {w} {h}">'
            inside = s.clip
        yield f'<path {s.style.attributes} d="{"".join(s.outlines)}"/>'
    if inside is not None:
        yield "</svg>"


def _text(e: ElementTree.Element) -> tuple[str, str]:
    """Return the words in place, and what texts of one kind share."""
    told = _declared(e.attrib.get("style", ""))
    size = re.search(r"([\d.]+)px", e.attrib.get("style", ""))
    anchor = told.get("text-anchor", "start")
    colour = told.get("fill", "#000000")
    key = f'fill="{_INK.get(colour, colour)}" font-size="{_units(float(size.group(1)) if size else 10.0)}"'
    if anchor != "start":
        key += f' text-anchor="{anchor}"'
    x, y = (_units(float(e.attrib[k])) for k in ("x", "y"))
    turn = re.match(r"rotate\((-?[\d.]+)", e.attrib.get("transform", ""))
    angle = float(turn.group(1)) if turn else 0.0
    turned = f' transform="rotate({angle:g} {x} {y})"' if angle else ""
    return f'<text x="{x}" y="{y}"{turned}>{escape("".join(e.itertext()))}</text>', key


def _formula(e: ElementTree.Element, moved: str) -> tuple[str, str]:
    """Return typeset mathematics: characters with places of their own, in a group that is shifted and turned."""
    place = re.search(r"translate\((-?[\d.]+)[ ,]+(-?[\d.]+)\)", moved)
    x, y = (_units(float(v)) for v in place.groups()) if place else (0, 0)
    turn = re.search(r"rotate\((-?[\d.]+)", moved)
    parts = []
    for span in e:
        size = re.search(r"([\d.]+)px", span.attrib.get("style", ""))
        at, height = (" ".join(str(_units(float(v))) for v in span.attrib[k].split()) for k in ("x", "y"))
        letters = _units(float(size.group(1)) if size else 10.0)
        parts.append(f'<tspan x="{at}" y="{height}" font-size="{letters}">{escape(span.text or "")}</tspan>')
    turned = f" rotate({float(turn.group(1)):g})" if turn else ""
    return f'<text transform="translate({x} {y}){turned}">{"".join(parts)}</text>', 'fill="currentColor"'
