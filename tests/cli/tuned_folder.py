"""What the fixture `tuned` hands over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tuned:
    """A folder in which ``fastparam tune geometry.yaml --rows even`` was run, and what it printed."""

    folder: Path
    out: str
    err: str

    @property
    def tune(self) -> Path:
        return self.folder / "tiny_barrel.tune.h5"
