"""The registry of readers: which one is for which file.

A new layout of files is one module with a class of the protocol `fastparam.hits.reader.Reader`, and one line here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastparam.errors import InputError, near
from fastparam.hits.jagged_tree import JaggedTree
from fastparam.hits.joined_trees import JoinedTrees
from fastparam.hits.layout import Layout
from fastparam.hits.reader import Reader
from fastparam.hits.rntuple import RNTuple
from fastparam.hits.rootfile import RootFile

__all__ = ["READERS", "open_reader", "reader_of"]

#: By the name that `format:` of a samples entry may give; tried in this order where it gives none.
READERS: dict[str, type[Reader]] = {
    "jagged": JaggedTree,
    "joined": JoinedTrees,
    "rntuple": RNTuple,
}


def reader_of(file: RootFile, layout: Layout) -> type[Reader]:
    """Return the reader for a file: the one that the layout's `format` names, else the first that recognises it.

    Raises
    ------
    InputError
        If `format` is unknown, a tree is missing, or none recognises the file.
    """
    if layout.format is not None and layout.format not in READERS:
        known = ", ".join(READERS)
        raise InputError(
            f"{layout.where}.format: unknown '{layout.format}'{near(layout.format, READERS)}; expected one of {known}"
        )
    for name, reader in READERS.items():
        if layout.format in (None, name) and reader.recognises(file, layout):
            return reader
    for tree in (layout.tree, layout.hits_tree):
        if tree is not None:
            file.tree(tree, layout.where)
    kinds = ", ".join(f"{name} ({kind})" for name, kind in file.classes.items())
    raise InputError(
        f"{file.path}: no reader for {layout.where}{f' with format {layout.format}' if layout.format else ''}: "
        f"the file holds {kinds}; one TTree or RNTuple with lists of hits can be read, or two TTrees"
    )


@contextmanager
def open_reader(path: Path, layout: Layout) -> Iterator[Reader]:
    """Open a file with the reader that fits it."""
    with RootFile(path) as file:
        yield reader_of(file, layout)(file, layout)
