"""Exported C++, compiled with all warnings as errors and run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fastparam.particles import Particles

HERE = Path(__file__).parent
STUB = HERE / "geant4_stub"

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile exported C++ with")


def compile_cpp(
    program: Path, *sources: Path, include: tuple[Path, ...], define: str = "", objects: bool = False
) -> None:
    """Compile `sources` to `program`; to objects only, beside nothing, with `objects`."""
    command = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    command += [f"-I{folder}" for folder in include] + [f"-D{d}" for d in define.split()]
    command += ["-c"] if objects else ["-o", str(program)]
    done = subprocess.run(
        [*command, *map(str, sources)], capture_output=True, text=True, cwd=program.parent, check=False
    )
    assert done.returncode == 0, done.stderr


def run(program: Path, text: str) -> list[list[str]]:
    """Run a program on standard input; its output in words by line."""
    done = subprocess.run([str(program)], input=text, capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


class Showers:
    """What `showers.cc` says of particles."""

    def __init__(self, program: Path, particles: Particles, seed: int) -> None:
        lines = [
            " ".join(map(repr, [seed, int(i), int(p), float(e), *map(float, x), *map(float, u)]))
            for i, p, e, x, u in zip(
                particles.index, particles.pdg, particles.energy, particles.position, particles.direction, strict=True
            )
        ]
        rows = iter(run(program, "\n".join(lines) + "\n"))
        showers, spots = [], []
        for _ in lines:
            shower = [float(word) for word in next(rows)]
            showers.append(shower)
            spots += [[float(word) for word in next(rows)] for _ in range(int(shower[5]))]
        table = np.array(showers).reshape(-1, 6)
        self.verdict = table[:, 0].astype(int)
        self.visible, self.start, self.maximum, self.alpha = table[:, 1:5].T
        self.n_spots = table[:, 5].astype(int)
        self.x, self.y, self.z, self.layer, self.path, self.e = np.array(spots).reshape(-1, 6).T
