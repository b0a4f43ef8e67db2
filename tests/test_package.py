"""What holds for the package as a whole: its public names, what importing costs, and that data flows one way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastparam

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fastparam"

GROUND = {"_numba", "errors", "files", "particles", "random"}

#: What each package may import from this one. The arrows of docs/design.md, read from left to right.
MAY_IMPORT = {
    "errors": set(),
    "_numba": set(),
    "files": {"errors"},
    "random": {"_numba"},
    "particles": {"errors"},
    "shapes": {"_numba", "errors", "random"},
    "geometry": GROUND,
    "hits": GROUND | {"geometry"},
    "summary": GROUND | {"geometry", "hits"},
    "fit": GROUND | {"shapes", "geometry", "summary"},
    "showers": GROUND | {"geometry", "hits"},
    "tunes": GROUND | {"shapes", "geometry", "hits", "summary", "fit", "showers"},
    "generate": GROUND | {"shapes", "geometry", "hits", "fit", "tunes", "showers"},
    "comparison": GROUND | {"geometry", "hits", "summary", "showers", "generate"},
    "export": GROUND | {"shapes", "geometry", "summary", "fit", "tunes"},
    "workflow": GROUND | {"geometry", "hits", "summary", "fit", "tunes", "showers", "generate", "comparison"},
}

#: The command line calls everything and nothing calls it; the root only names where public names live.
UNRESTRICTED = {"", "__main__", "cli"}


def top(module: str) -> str:
    return module.partition(".")[0]


def imports_of(source: str, package: str) -> set[str]:
    """Return the modules of fastparam that `source` imports anywhere, without the leading ``fastparam.``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package.split(".")[: -node.level + 1 or None]
            names = [".".join([*base, node.module or ""]).rstrip(".")]
        elif isinstance(node, ast.ImportFrom) and node.module == "fastparam":
            names = [f"fastparam.{alias.name}" for alias in node.names if alias.name != "__version__"]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        found |= {name.removeprefix("fastparam.") for name in names if name.startswith("fastparam.")}
    return found


def upstream_violations(module: str, source: str) -> set[str]:
    """Return what `module` (``summary.file``) imports although it lies downstream of it."""
    allowed = MAY_IMPORT.get(top(module), set()) | {top(module)}
    package = f"fastparam.{module}".rpartition(".")[0]
    return {name for name in imports_of(source, package) if top(name) not in allowed}


def modules() -> list[str]:
    names = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")]
    return sorted(name.removesuffix("__init__").rstrip(".") for name in names)


@pytest.mark.parametrize("name", fastparam.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fastparam, name) is not None
    assert name in dir(fastparam)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tunne'"):
        _ = fastparam.tunne


def test_importing_the_package_imports_no_library() -> None:
    heavy = ["awkward", "h5py", "iminuit", "matplotlib", "numba", "numpy", "pydantic", "scipy", "typer", "uproot"]
    code = f"import fastparam, sys; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_the_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE).group(1) == fastparam.__version__


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("module", [name for name in modules() if top(name) not in UNRESTRICTED])
def test_nothing_upstream_imports_anything_downstream(module: str) -> None:
    path = PACKAGE.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert upstream_violations(module, path.read_text(encoding="utf-8")) == set()


def test_every_package_has_its_place_in_the_table() -> None:
    assert {top(name) for name in modules()} - UNRESTRICTED <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("hits.jagged", "from fastparam.summary import Summary", {"summary"}),
        ("shapes.radial", "def f():\n    import fastparam.geometry.load", {"geometry.load"}),
        ("fit.radial", "from ..tunes import tune", {"tunes"}),
        ("summary.merge", "from fastparam import cli", {"cli"}),
        ("summary.merge", "from fastparam.hits import iterate\nfrom .file import load_summary", set()),
    ],
)
def test_imports_against_the_flow_would_be_found(module: str, source: str, found: set[str]) -> None:
    assert upstream_violations(module, source) == found
