"""The folder that a run leaves: whole or not at all, and never over another by accident.

metrics.json    the numbers; null for one that is not finite
settings.json   the recipe, its settings, the seed, the cost, versions and device
report.txt      what was printed
*.png           the figures
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import math
import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jdl
from jdl.recipes.report import Report

RECORDS = ("metrics.json", "settings.json", "report.txt")


@contextlib.contextmanager
def run_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place when the block ends well.

    Whatever ends the block otherwise, an interrupt too, leaves nothing behind and an old run as it
    was.

    Args:
        folder: where the run belongs; missing, empty, or with `overwrite` that of an old run.
        overwrite: whether an old run may be replaced.

    Yields:
        The folder to write into.

    Raises:
        OSError: before the block, if `folder` cannot be made or may not be replaced.
    """
    folder = folder.expanduser().resolve()
    _check_replaceable(folder, overwrite)
    made = [parent for parent in folder.parents if not parent.exists()]
    hidden = f".{folder.name}.{secrets.token_hex(4)}"
    new, old = (folder.with_name(f"{hidden}.{age}") for age in ("new", "old"))
    try:
        new.mkdir(parents=True)
        yield new
        _check_replaceable(folder, overwrite)  # another run may have ended meanwhile
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(new, ignore_errors=True)
        with contextlib.suppress(OSError):
            for parent in made:
                parent.rmdir()
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(folder, overwrite):
    if not folder.exists():
        return
    if not folder.is_dir() or folder.is_mount():
        raise FileExistsError(f"{folder} is not a folder that a run can replace")
    there = {path.name for path in folder.iterdir()}
    foreign = [
        path.name
        for path in sorted(folder.iterdir())
        if not path.is_file() or not (path.name in RECORDS or path.suffix == ".png")
    ]
    if foreign or (there and not there.issuperset(RECORDS)):
        raise FileExistsError(f"{folder} holds what no run wrote: {', '.join(foreign or there)}")
    if there and not overwrite:
        raise FileExistsError(f"{folder} holds an old run")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} may not be written")


def write_report(folder: Path, report: Report, record: dict[str, Any]) -> list[str]:
    """Writes what a run gave.

    Args:
        folder: that there is.
        report: of the recipe.
        record: for `settings.json`.

    Returns:
        The names of the files.
    """
    (folder / "metrics.json").write_text(_json(report.metrics), encoding="utf-8")
    (folder / "settings.json").write_text(_json(record), encoding="utf-8")
    (folder / "report.txt").write_text(report.text.rstrip("\n") + "\n", encoding="utf-8")
    for stem, figure in report.figures.items():
        figure.savefig(folder / f"{stem}.png", dpi=150)
    return [*RECORDS, *(f"{stem}.png" for stem in report.figures)]


def surroundings() -> dict[str, Any]:
    """Versions and device, for a record."""
    versions = {
        name: importlib.metadata.version(name)
        for name in ["jax", "jaxlib", "flax", "optax", "numpyro", "numpy"]
    }
    device, *others = jax.devices()
    return {
        "versions": {"jdl": jdl.__version__, "python": platform.python_version(), **versions},
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": 1 + len(others),
        },
    }


def _json(tree):
    return json.dumps(_plain(tree), indent=2, allow_nan=False) + "\n"


def _plain(tree):
    """What JSON holds: arrays as lists, what is not finite as None."""
    if dataclasses.is_dataclass(tree):
        return _plain(dataclasses.asdict(tree))
    if isinstance(tree, dict):
        return {str(name): _plain(value) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_plain(value) for value in tree]
    if isinstance(tree, (np.ndarray, np.generic, jax.Array)):
        return _plain(np.asarray(tree).tolist())
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree if isinstance(tree, (str, int, float, type(None))) else str(tree)
