"""`fastparam sample`: showers from a generator, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fastparam.generate.protocol import Generator
    from fastparam.particles import Particles

#: Hits sampled at a time before they are written, about; larger outputs never lie in memory whole.
_HITS_AT_A_TIME = 4_000_000


def sample(
    generator: Annotated[str, typer.Argument(metavar="GENERATOR", help="A tune file, or gflash:GEOMETRY.yaml.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File of showers (.root).")],
    n: Annotated[int | None, typer.Option("-n", help="Number of showers.")] = None,
    pdg: Annotated[int | None, typer.Option(help="Particle code.")] = None,
    energy: Annotated[float | None, typer.Option(help="Kinetic energy in MeV.")] = None,
    eta: Annotated[float | None, typer.Option(help="Pseudorapidity of the direction.")] = None,
    phi: Annotated[float | None, typer.Option(help="Azimuth of the direction in rad; default 0.")] = None,
    position: Annotated[str, typer.Option(help="x,y,z in mm where the line starts; default 0,0,0.")] = "",
    direction: Annotated[str, typer.Option(help="x,y,z along the momentum.")] = "",
    like: Annotated[Path | None, typer.Option(help="Sample the particles of this file of showers.")] = None,
    geometry: Annotated[str, typer.Option(help="Geometry whose layouts --like is read by; default the tune's.")] = "",
    rows: Annotated[str, typer.Option(help="Rows of --like: all, even or odd.")] = "all",
    as_pdg: Annotated[int | None, typer.Option("--as-pdg", help="Sample as if particles were this one.")] = None,
    as_: Annotated[str, typer.Option("--as", metavar="hits", help="What to write: hits.")] = "hits",
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")] = False,
) -> None:
    """Sample showers: n particles of one kind, or exactly the particles of another file."""
    from fastparam.cli.options import parse_rows
    from fastparam.cli.progress import progress_bar
    from fastparam.errors import UsageError
    from fastparam.files import refuse_existing

    chosen_rows = parse_rows(rows)
    if as_ != "hits":
        raise UsageError(f"--as {as_}: expected hits")
    if output.suffix != ".root":
        raise UsageError(f"--output {output}: unknown format '{output.suffix}'; expected a name ending in .root")
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed {seed}: expected a number from 0 to 2**63 - 1")
    refuse_existing(output, force=force)

    from fastparam.generate.registry import load

    loaded = load(generator, as_pdg=as_pdg)
    if like is None:
        if geometry or chosen_rows != "all":
            raise UsageError("--geometry and --rows belong to --like; give a file, or leave them out")
        particles = _gun(n, pdg, energy, eta, phi, position, direction)
    else:
        given = [
            o
            for o, v in (("-n", n), ("--pdg", pdg), ("--energy", energy), ("--eta", eta), ("--phi", phi))
            if v is not None
        ]
        given += [o for o, v in (("--position", position), ("--direction", direction)) if v]
        if given:
            raise UsageError(f"--like takes its particles from the file; leave out {', '.join(given)}")
        particles = _like(like, loaded, geometry, chosen_rows)
    with progress_bar() as bar:
        hits = _write(output, loaded, particles, seed, generator, bar)
    print(f"{output}: {len(particles)} showers, {hits} hits")


def _gun(
    n: int | None, pdg: int | None, energy: float | None, eta: float | None, phi: float | None,
    position: str, direction: str,
) -> Particles:  # fmt: skip
    from fastparam.cli.options import parse_vector
    from fastparam.errors import UsageError
    from fastparam.particles import Particles

    missing = [o for o, v in (("-n", n), ("--pdg", pdg), ("--energy", energy)) if v is None]
    if missing:
        raise UsageError(f"missing {', '.join(missing)}; give them, or --like FILE")
    assert n is not None
    assert pdg is not None
    assert energy is not None
    if n < 1:
        raise UsageError(f"-n {n}: expected at least 1")
    if (eta is None) == (not direction):
        raise UsageError("expected either --eta (and --phi) or --direction x,y,z")
    if direction and phi is not None:
        raise UsageError("--phi belongs to --eta; a --direction has its own azimuth")
    start = parse_vector("--position", position) if position else (0.0, 0.0, 0.0)
    if direction:
        heading = parse_vector("--direction", direction)
        return Particles.gun(pdg=pdg, energy=energy, n=n, position=start, direction=heading)
    return Particles.gun(pdg=pdg, energy=energy, n=n, eta=eta, phi=phi or 0.0, position=start)


def _like(path: Path, generator: Generator, geometry: str, rows: str) -> Particles:
    import numpy as np

    from fastparam.geometry.load import load_geometry
    from fastparam.hits.batches import layout_of, read_file_particles
    from fastparam.hits.layout import SampleFile

    detector = load_geometry(geometry) if geometry else generator.geometry
    particles = read_file_particles(SampleFile(path, layout_of(path, detector), 0), 0)
    keep = {"all": slice(0, None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[rows]
    chosen = particles.take(keep)
    return chosen.with_index(np.arange(len(chosen)))


def _write(output: Path, generator: Generator, particles: Particles, seed: int, source: str, progress: Any) -> int:
    import warnings

    from fastparam import __version__
    from fastparam.errors import FastparamWarning
    from fastparam.generate.tuned import TunedGenerator
    from fastparam.showers.root import RootWriter
    from fastparam.tunes.file import tune_digest

    provenance: dict[str, Any] = {"generator": Path(source).name, "seed": seed, "fastparam": __version__}
    if isinstance(generator, TunedGenerator):
        provenance |= {"tune_digest": tune_digest(generator.tune), "recipe": generator.tune.recipe.name}
    written, first, size = 0, 0, 200
    ids = generator.geometry.layer_ids
    generator.check(particles)  # all at once: rows as the user counts them, warnings once, errors before any work
    with (
        RootWriter(output, barrel=generator.geometry.frame == "barrel", provenance=provenance) as writer,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", FastparamWarning)
        while first < len(particles):
            showers = generator.generate(particles.take(slice(first, first + size)), seed=seed)
            writer.write(showers.particles, showers.hits, ids)
            written += len(showers.hits.e)
            first += len(showers)
            # The next piece is as large as the hits seen so far allow.
            size = max(1, min(100_000, int(_HITS_AT_A_TIME * first / max(written, 1))))
            progress("sample", first / len(particles))
    return written
