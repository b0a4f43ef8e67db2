"""Development tasks: ``nox`` runs lint and tests, ``nox -s NAME`` one of the others."""

from __future__ import annotations

import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "venv"
nox.options.error_on_external_run = True

ROOT = Path(__file__).parent


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and types."""
    session.install(".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python that is installed."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest version of each direct dependency that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    constraints = Path(session.create_tmp()).resolve() / "minimums.txt"
    constraints.write_text("\n".join(d.replace(">=", "==") for d in project["dependencies"]) + "\n", encoding="utf-8")
    session.install(".[test]", "-c", str(constraints))
    # Old releases warn about newer ones of their own dependencies; that is not for us to repair.
    session.run("python", "-m", "pytest", "-W", "default", *session.posargs)


@nox.session
def nojit(session: nox.Session) -> None:
    """Run the fast tests with kernels as plain Python: indices out of range raise, coverage sees every line."""
    session.install(".[test]")
    # These compare with compiled code, or need its IEEE arithmetic: where it gives inf, plain Python raises.
    compiled = "compiled or ends_of_the_range or intervals_add_up"
    # The hashes of fastparam.random are defined modulo 2**64.
    modular = "ignore:overflow encountered in scalar:RuntimeWarning"
    arguments = ("-m", "not slow", "-k", f"not ({compiled})", "-W", modular, *session.posargs)
    session.run("python", "-m", "pytest", *arguments, env={"NUMBA_DISABLE_JIT": "1"})


@nox.session
def notebooks(session: nox.Session) -> None:
    """Execute the notebooks."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", "tests/notebooks", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel, then use the installed wheel away from the checkout, as a user would."""
    session.install("build", "twine")
    elsewhere = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--outdir", str(elsewhere / "dist"), str(ROOT))
    wheels = [str(path) for path in (elsewhere / "dist").glob("*.whl")]
    session.run("twine", "check", "--strict", *wheels)
    session.install("--force-reinstall", *wheels)
    session.chdir(elsewhere)
    session.run("fastparam", "tune", "lar_accordion", "--force")
    session.run("fastparam", "show", "lar_accordion.tune.h5")
