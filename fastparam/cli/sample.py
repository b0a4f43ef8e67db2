"""`fastparam sample`: showers from a generator, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fastparam.generate.protocol import Generator
    from fastparam.geometry.voxels import VoxelBinning
    from fastparam.particles import Particles

#: Numbers (hits or voxels) sampled at a time before they are written, about: the stated buffer, 0.5 GB with what
#: conversions need. Larger outputs never lie in memory whole.
_HITS_AT_A_TIME = 4_000_000

_ROWS = {"all": slice(0, None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}


def sample(
    generator: Annotated[
        str, typer.Argument(metavar="GENERATOR", help="A tune, gflash:GEOMETRY, replay:FILE, a network, showers.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File of showers (.root .h5 .csv .parquet).")],
    n: Annotated[int | None, typer.Option("-n", help="Number of showers.")] = None,
    pdg: Annotated[int | None, typer.Option(help="Particle code.")] = None,
    energy: Annotated[float | None, typer.Option(help="Kinetic energy in MeV.")] = None,
    eta: Annotated[float | None, typer.Option(help="Pseudorapidity of the direction.")] = None,
    phi: Annotated[float | None, typer.Option(help="Azimuth of the direction in rad; default 0.")] = None,
    position: Annotated[str, typer.Option(help="x,y,z in mm where the line starts; default 0,0,0.")] = "",
    direction: Annotated[str, typer.Option(help="x,y,z along the momentum.")] = "",
    like: Annotated[
        str | None, typer.Option(metavar="FILE", help="Sample the particles of this file of showers.")
    ] = None,
    geometry: Annotated[str, typer.Option(help="Geometry of files that do not name theirs; default the tune's.")] = "",
    rows: Annotated[str, typer.Option(help="Rows of --like: all, even or odd.")] = "all",
    as_pdg: Annotated[int | None, typer.Option("--as-pdg", help="Sample as if particles were this one.")] = None,
    as_: Annotated[
        str, typer.Option("--as", metavar="FORM", help="What to write: hits, voxels or cells; default by the format.")
    ] = "",
    em_scale: Annotated[bool, typer.Option("--em-scale", help="Divide by the tuned visible fraction.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")] = False,
) -> None:
    """Sample showers: n particles of one kind, or exactly the particles of another file."""
    from fastparam.cli.options import parse_rows
    from fastparam.cli.progress import progress_bar
    from fastparam.errors import UsageError, near
    from fastparam.files import refuse_existing

    chosen_rows = parse_rows(rows)
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed {seed}: expected a number from 0 to 2**63 - 1")

    from fastparam.showers.formats import FORMS, format_of

    chosen_format = format_of(output)
    if as_ and as_ not in FORMS:
        raise UsageError(f"--as {as_}: unknown form{near(as_, FORMS)}; expected {', '.join(FORMS)}")
    refuse_existing(*chosen_format.files(output), force=force)

    from fastparam.generate.files import ShowerFile
    from fastparam.generate.registry import load

    loaded = load(generator, as_pdg=as_pdg, geometry=geometry or None)
    given = [
        o for o, v in (("-n", n), ("--pdg", pdg), ("--energy", energy), ("--eta", eta), ("--phi", phi)) if v is not None
    ]
    given += [o for o, v in (("--position", position), ("--direction", direction)) if v]
    if like is not None:
        if given:
            raise UsageError(f"--like takes its particles from the file; leave out {', '.join(given)}")
        particles = _like(like, loaded, geometry, chosen_rows)
    elif isinstance(loaded, ShowerFile) and not given:
        particles = loaded.particles.take(_ROWS[chosen_rows])
    else:
        if geometry or chosen_rows != "all":
            raise UsageError("--geometry and --rows belong to --like; give a file, or leave them out")
        particles = _gun(n, pdg, energy, eta, phi, position, direction)
    with progress_bar() as bar:
        wrote = _write(output, loaded, particles, seed, generator, as_, em_scale, bar)
    print(f"{output}: {len(particles)} showers, {wrote}")


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


def _like(file: str, generator: Generator, geometry: str, rows: str) -> Particles:
    import numpy as np

    from fastparam.generate.files import OPTIONS, ShowerFile, particles_of_file
    from fastparam.generate.registry import parse_source
    from fastparam.geometry.load import load_geometry

    source = parse_source(file)
    options = source.only(*OPTIONS)
    stated = geometry or options.get("geometry")
    detector = load_geometry(stated) if stated else generator.geometry
    chosen = particles_of_file(Path(source.path), detector, options).take(_ROWS[rows])
    # A file of showers knows its particles by their row.
    return chosen if isinstance(generator, ShowerFile) else chosen.with_index(np.arange(len(chosen)))


def _write(
    output: Path, generator: Generator, particles: Particles, seed: int, source: str, form: str, em_scale: bool,
    progress: Any,
) -> str:  # fmt: skip
    import warnings

    from fastparam.errors import FastparamWarning
    from fastparam.geometry.voxels import VoxelBinning
    from fastparam.showers.formats import form_of, format_of

    generator.check(particles)  # all at once: rows as the user counts them, warnings once, errors before any work
    provenance = _provenance(generator, source, seed)
    factor = 1.0
    if em_scale:
        fraction = _visible_fraction(generator, source)
        factor, provenance["em_scale"] = 1.0 / fraction, {"visible_fraction": fraction}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastparamWarning)
        written = form_of(output, form, generator.geometry, lambda: _binning(generator, particles))
        width = written.n_voxels if isinstance(written, VoxelBinning) else 1
        pdg = int(particles.pdg[0]) if len(particles) else 22
        n_hits, numbers, first, size = 0, 0, 0, max(1, min(200, _HITS_AT_A_TIME // width))
        with format_of(output).open(output, generator.geometry, written, pdg, provenance) as writer:
            while first < len(particles):
                showers = generator.generate(particles.take(slice(first, first + size)), seed=seed)
                if em_scale:
                    showers = showers.scaled(factor)
                writer.write(showers)
                hits = 0 if isinstance(written, VoxelBinning) and showers.emits == "voxels" else len(showers.hits.e)
                n_hits += hits
                numbers += hits + len(showers) * width
                first += len(showers)
                # The next piece is as large as what was seen so far allows.
                size = max(1, min(100_000, int(_HITS_AT_A_TIME * first / max(numbers, 1))))
                progress("sample", first / len(particles))
    if isinstance(written, VoxelBinning):
        return f"{width} voxels each"
    return f"{n_hits} hits" + ("" if written == "hits" else " in cells")


def _binning(generator: Generator, particles: Particles) -> VoxelBinning:
    """Return the voxels that a generator makes, else those of its detector."""
    return generator.generate(particles.take(slice(0, 1)), seed=0).binning


def _provenance(generator: Generator, source: str, seed: int) -> dict[str, Any]:
    from fastparam import __version__
    from fastparam.generate.registry import short_name
    from fastparam.generate.tuned import TunedGenerator
    from fastparam.tunes.file import tune_digest

    found: dict[str, Any] = {"generator": short_name(source), "seed": seed, "fastparam": __version__}
    if isinstance(generator, TunedGenerator):
        found |= {"tune_digest": tune_digest(generator.tune), "recipe": generator.tune.recipe.name}
    return found


def _visible_fraction(generator: Generator, source: str) -> float:
    from fastparam.errors import UsageError

    fraction = getattr(generator, "visible_fraction", None)
    if fraction is None:
        raise UsageError(
            f"--em-scale: {source} has no tuned visible fraction; expected a tune, or a network whose description"
            " gives visible_fraction"
        )
    return float(fraction)
