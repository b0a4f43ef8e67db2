"""The command line: `fastparam COMMAND`, one file per command in this package.

A command's file defines one function of the same name; it parses, calls and prints, and imports what is heavy inside,
so that ``fastparam --help`` needs nothing but typer. `main` turns everything that can go wrong into a line on stderr
and an exit code: 0 done, 1 a bug of ours, 2 bad input or usage, 3 a threshold was crossed, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, TextIO

import typer

from fastparam import __version__
from fastparam.errors import FastparamError, FastparamWarning

__all__ = ["app", "main"]

#: In the order of the work, which is the order of ``--help``.
COMMANDS = ("init", "check", "tune", "summarise", "merge", "show", "sample", "compare", "export", "diff")

INTERRUPTED = 130

app = typer.Typer(
    name="fastparam",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help texts have units in square brackets
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fastparam {__version__}")
        raise typer.Exit


@app.callback()
def _fastparam(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tune calorimeter shower parametrisations from full-simulation hits, sample showers, compare generators."""


for _name in COMMANDS:
    app.command(_name)(getattr(import_module(f"fastparam.cli.{_name}"), _name))


def main(args: list[str] | None = None) -> int:
    """Run a command line and return the exit code; `args` default to those of the process."""
    with _terminable(), warnings.catch_warnings():
        warnings.simplefilter("always", FastparamWarning)
        warnings.showwarning = _show_warning
        try:
            app(args=args, prog_name="fastparam")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if code == INTERRUPTED:  # typer turns a KeyboardInterrupt into this
                _say("error", "interrupted")
            return code
        except FastparamError as error:
            _say("error", str(error))
            return error.exit_code
        except KeyboardInterrupt:
            _say("error", "interrupted")
            return INTERRUPTED
        except OSError as error:
            _say("error", str(error) if error.filename is None else f"{error.filename}: {error.strerror}")
            return 2
        except Exception as error:
            if os.environ.get("FASTPARAM_DEBUG"):
                raise
            _say(
                "error",
                f"this is a bug in fastparam: {type(error).__name__}: {error}; "
                "set FASTPARAM_DEBUG=1 for the traceback and report it",
            )
            return 1
    return 0


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, by which batch systems end a job, unwind like Ctrl-C: no partial output stays behind."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # Warnings of libraries speak to developers, not to users.
    if issubclass(category, FastparamWarning) or os.environ.get("FASTPARAM_DEBUG"):
        _say("warning", str(message))


def _say(kind: str, text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    styles = {"error": "bold red", "warning": "bold yellow"}
    Console(file=sys.stderr).print(Text.assemble((f"{kind}: ", styles[kind]), text), soft_wrap=True)
