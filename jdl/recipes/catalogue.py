"""Finds the recipes, without importing them."""

import ast
import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import jdl.recipes


class Recipe(NamedTuple):
    """A module of `jdl.recipes` with `Settings` and `run`.

    Attributes:
        name: what the command line calls it: `ring-gan`.
        module: its dotted path: `jdl.recipes.ring_gan`.
        path: its source.
        doc: its docstring.
    """

    name: str
    module: str
    path: Path
    doc: str

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]

    def load(self) -> ModuleType:
        """Imports it, and all that it needs."""
        return importlib.import_module(self.module)


def recipes() -> dict[str, Recipe]:
    """All recipes by name, read from their sources: listing them costs no imports."""
    found = {}
    for finder, stem, is_package in pkgutil.iter_modules(jdl.recipes.__path__):
        if is_package:
            continue
        path = Path(finder.find_spec(stem).origin)
        doc = _doc_of_recipe(path.read_text(encoding="utf-8"))
        if doc is not None:
            name = stem.replace("_", "-")
            found[name] = Recipe(name, f"{jdl.recipes.__name__}.{stem}", path, doc)
    return dict(sorted(found.items()))


@functools.cache
def _doc_of_recipe(source):
    """The docstring of a source with `Settings` and `run`; None of another."""
    tree = ast.parse(source)
    defined = {getattr(node, "name", None) for node in tree.body}
    return (
        inspect.cleandoc(ast.get_docstring(tree) or "") if {"Settings", "run"} <= defined else None
    )


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like one that was mistyped or cut off, or None if none is like it."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1)
    return next(iter([*close, *(other for other in names if other.startswith(name))]), None)
