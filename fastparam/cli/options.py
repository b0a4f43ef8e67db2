"""Values of options that several commands share."""

from __future__ import annotations

from typing import Literal, cast

from fastparam.errors import UsageError

__all__ = ["parse_part", "parse_rows", "parse_vector"]


def parse_rows(text: str) -> Literal["all", "even", "odd"]:
    """Return the value of --rows."""
    if text not in ("all", "even", "odd"):
        raise UsageError(f"--rows {text}: expected all, even or odd")
    return cast(Literal["all", "even", "odd"], text)


def parse_part(text: str) -> tuple[int, int]:
    """Return (i, n) of --part i/n."""
    first, slash, second = text.partition("/")
    if not slash or not first.isdigit() or not second.isdigit() or not 1 <= int(first) <= int(second):
        raise UsageError(f"--part {text}: expected i/n with 1 <= i <= n, such as 2/8")
    return int(first), int(second)


def parse_vector(option: str, text: str) -> tuple[float, float, float]:
    """Return the three numbers of an option x,y,z."""
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text}: expected three numbers x,y,z without blanks") from None
    return x, y, z
