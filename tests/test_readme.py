"""README.md keeps its promises: what it tells people to type exists, and .ci/run runs its two commands."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer.main

import fastparam
from fastparam.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

MARKED = dict(re.findall(r"<!-- command: (\w+) -->\n```sh\n(.+?)\n```", README, re.DOTALL))
SHELL = "\n".join(re.findall(r"```sh\n(.+?)```", README, re.DOTALL)) + "\n".join(
    re.findall(r"`(fastparam .+?)`", README)
)
PYTHON = "\n".join(re.findall(r"```python\n(.+?)```", README, re.DOTALL))


def command_lines() -> list[list[str]]:
    """Return every call of ``fastparam`` in the README as a list of words."""
    pieces = re.split(r"\n|&&", SHELL)
    words = [shlex.split(piece, comments=True) for piece in pieces]
    return [line for line in words if line[:1] == ["fastparam"]]


def test_there_are_two_commands() -> None:
    assert set(MARKED) == {"use", "test"}
    assert "fastparam tune" in MARKED["use"]
    assert "pytest" in MARKED["test"]


def test_ci_runs_these_two_and_no_others() -> None:
    assert re.findall(r"^run (\w+)$", CI, re.MULTILINE) == list(MARKED)


@pytest.mark.parametrize("name", list(MARKED))
def test_ci_reads_a_command_as_it_is_written(name: str) -> None:
    function = re.search(r"^command_of\(\) \{.+?^\}", CI, re.MULTILINE | re.DOTALL).group(0)
    done = subprocess.run(
        ["bash", "-c", f"{function}\ncommand_of {name}"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.rstrip("\n") == MARKED[name]


@pytest.mark.parametrize("line", command_lines(), ids=" ".join)
def test_commands_and_options_exist(line: list[str]) -> None:
    group = typer.main.get_command(app)
    command = group.get_command(typer.Context(group), line[1])
    assert command is not None, f"there is no command '{line[1]}'"
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in line[2:] if re.match(r"--?[a-z]", word)} <= known


def test_public_names_exist() -> None:
    used = set(re.findall(r"\bfp\.(\w+)", PYTHON))
    assert used
    assert used <= set(fastparam.__all__)


def test_python_calls_fit_the_signatures() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(PYTHON))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("fp.")
    ]
    assert calls
    for call in calls:
        function = fastparam
        for name in ast.unparse(call.func).split(".")[1:]:
            function = getattr(function, name)
        inspect.signature(function).bind(*call.args, **{keyword.arg: keyword.value for keyword in call.keywords})


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_shipped_detectors_are_those_in_the_repository() -> None:
    named = set(re.findall(r"`(lar_accordion|siw|pbwo4|fehcal)`", README))
    assert named == {path.parent.name for path in (ROOT / "geometries").glob("*/geometry.yaml")}
