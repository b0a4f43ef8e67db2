"""What the fixture `tuned` hands over, and the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Tuned:
    """A folder in which ``fastparam tune geometry.yaml --rows even`` was run, and what it printed."""

    folder: Path
    out: str
    err: str

    @property
    def tune(self) -> Path:
        return self.folder / "tiny_barrel.tune.h5"


def environment() -> dict[str, str]:
    """Return the environment in which a process anywhere finds this checkout's package."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def fastparam(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "fastparam", *arguments],
        cwd=folder, env=environment(), capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
