"""What can go wrong, as types.

Every error that a user can cause derives from `FastparamError` and carries one message: what is wrong, where (file,
key, row), what was expected and what to do. The command line prints that message and exits with `exit_code`; anything
else that escapes is a bug of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FastparamError(Exception):
    """Base of all errors caused by input, usage or configuration."""

    exit_code = 2


class GeometryError(FastparamError):
    """A geometry.yaml, a material or a binning that cannot be used as it is written."""


class InputError(FastparamError):
    """Hits, summaries, tunes or shower files that cannot be read or contradict the geometry."""


class FitError(FastparamError):
    """No component could be fitted, or the input cannot support the fit that was asked for."""


class OutOfDomainError(FastparamError):
    """Particles outside the range that a generator was tuned in; names the row and the limit."""


class OutputExistsError(FastparamError):
    """An output that is already there and was not to be overwritten."""


class UsageError(FastparamError):
    """Options that contradict each other or lack a partner."""


class FastparamWarning(UserWarning):
    """Something the user should know that does not stop the work (a slice left out, negative energies set to 0)."""


def near(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the nearest known word, else an empty string."""
    match = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{match[0]}'?)" if match else ""
