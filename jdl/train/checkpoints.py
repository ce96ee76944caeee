"""Checkpoints on disk: whole or not there at all, the newest few kept.

A checkpoint is a tree of arrays under the number of a step. It is written beside and renamed
(Orbax), so that a process killed while it writes leaves the earlier ones as they were. Every
process of a computation on several hosts calls these functions; each writes its own shards.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jdl.core import Tree


class Checkpoints(NamedTuple):
    """Where and how often `fit` saves.

    Attributes:
        folder: of one run. A run that finds checkpoints there goes on from the newest.
        every: steps between two checkpoints; the end of a run and an interrupt save too.
        keep: how many of the newest are kept, at least 1.
    """

    folder: str | os.PathLike
    every: int = 1000
    keep: int = 3


def save_checkpoint(folder: str | os.PathLike, step: int, state: Tree, *, keep: int = 3) -> None:
    """Saves a tree of arrays, and deletes all checkpoints but the newest.

    Args:
        folder: of one run; made if it is missing.
        step: the number under which to save, larger than those in the folder.
        state: tree of arrays or PRNG keys.
        keep: checkpoints to keep, at least 1.

    Raises:
        ValueError: the folder has a checkpoint of this or a later step, or `keep` is below 1.
        OSError: the folder cannot be made or written.
    """
    newest = latest_step(folder)
    if newest is not None and newest >= step:
        raise ValueError(
            f"{folder} has a checkpoint of step {newest}; got one of step {step} to save. "
            "A run has a folder of its own"
        )
    if keep < 1:
        raise ValueError(f"at least the newest checkpoint is kept; got keep={keep}")
    from orbax.checkpoint import v1 as ocp

    training = ocp.training
    with training.Checkpointer(
        writable_folder(folder),
        save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
        preservation_policy=training.preservation_policies.LatestN(keep),
        cleanup_tmp_directories=True,
    ) as checkpointer:
        arrays = _flat(state)
        checkpointer.save_checkpointables(step, {"arrays": arrays, "checksums": _checksums(arrays)})


def writable_folder(folder: str | os.PathLike) -> Path:
    """The folder, made if it is missing.

    Raises:
        OSError: it cannot be made or written.
    """
    folder = Path(folder).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        raise OSError(
            f"checkpoints go into a folder that can be written; got {folder}: {error}"
        ) from error
    return folder


def latest_step(folder: str | os.PathLike) -> int | None:
    """The step of the newest checkpoint in a folder; None if it has none."""
    if not Path(folder).is_dir():
        return None
    return max(
        (int(path.name) for path in Path(folder).iterdir() if path.name.isdigit()), default=None
    )


def checkpoint_shapes(
    folder: str | os.PathLike, step: int | None = None
) -> dict[str, jax.ShapeDtypeStruct]:
    """What a checkpoint holds: shapes and dtypes by path, `variables.params.layers.0.kernel`.

    Args:
        folder: of one run.
        step: of the checkpoint; None takes the newest.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the checkpoint cannot be read.
    """
    step = _existing(folder, step)
    with _reading(folder, step) as checkpointer:
        found = checkpointer.checkpointables_metadata(step).metadata["arrays"]
        if found is None:
            raise ValueError("its description of the arrays cannot be read")
        return {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in found.items()}


def load_checkpoint(
    folder: str | os.PathLike, like: Tree, step: int | None = None
) -> tuple[int, Tree]:
    """Loads what `save_checkpoint` saved.

    Args:
        folder: of one run.
        like: a tree of the same structure, shapes and dtypes: a fresh state. Its leaves' shardings
            are those of the result; leaves without a sharding come as NumPy arrays.
        step: of the checkpoint; None takes the newest.

    Returns:
        The step, and the tree.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the checkpoint is of another model or algorithm, or cannot be read.
    """
    step = _existing(folder, step)
    wanted, found = _flat(like), checkpoint_shapes(folder, step)
    _check(folder, step, wanted, found)
    with _reading(folder, step) as checkpointer:
        abstract = jax.tree.map(_abstract, wanted)
        sums = dict.fromkeys(wanted, np.empty((), np.uint32))
        arrays, sums = checkpointer.load_checkpointables(
            step, {"arrays": abstract, "checksums": sums}
        ).values()
        # Written or read in parts, an array has no checksum to compare.
        broken = [
            name for name, x in _checksums(arrays).items() if x and sums[name] and x != sums[name]
        ]
        if broken:
            raise ValueError(f"the bytes of {', '.join(broken)} are not those that were saved")
    leaves, structure = jax.tree.flatten(like)
    loaded = [_like(arrays[name], leaf) for name, leaf in zip(wanted, leaves, strict=True)]
    return step, jax.tree.unflatten(structure, loaded)


def _flat(tree):
    """Arrays by path; PRNG keys as their data."""

    def array(x):
        x = jax.random.key_data(x) if _is_key(x) else x
        # Orbax refuses an array that each of several processes has for itself.
        own = jax.process_count() > 1 and getattr(x, "is_fully_addressable", False)
        return np.asarray(x) if own or not hasattr(x, "sharding") else x

    return {
        jax.tree_util.keystr(path, simple=True, separator=".") or "value": array(x)
        for path, x in jax.tree.leaves_with_path(tree)
    }


def _checksums(arrays):
    """CRC-32 of each array; 0 for one of which this process holds only a part."""

    def checksum(x):
        whole = not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated
        return np.asarray(zlib.crc32(np.ascontiguousarray(x)) if whole else 0, np.uint32)

    return {name: checksum(x) for name, x in arrays.items()}


def _is_key(x):
    return hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _like(array, leaf):
    if _is_key(leaf):
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
    return array


def _abstract(x):
    if isinstance(x, jax.Array):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
    return np.empty(x.shape, x.dtype)


def _existing(folder, step):
    newest = latest_step(folder)
    if newest is None or not (Path(folder) / str(newest if step is None else step)).is_dir():
        which = "" if step is None else f"of step {step} "
        raise FileNotFoundError(f"no checkpoint {which}in {Path(folder).absolute()}")
    return newest if step is None else step


@contextmanager
def _reading(folder, step) -> Iterator:
    """A reader; whatever is wrong with the file is said with its name and what to do."""
    from orbax.checkpoint import v1 as ocp

    try:
        with ocp.training.Checkpointer(Path(folder).absolute()) as checkpointer:
            yield checkpointer
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        path = Path(folder).absolute() / str(step)
        raise ValueError(
            f"the checkpoint {path} cannot be read; it is damaged, or not one of jdl's. "
            f"Delete it, and the one before it is the newest. What failed: {error}"
        ) from error


def _check(folder, step, wanted, found):
    said = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    said += [f"{name} is surplus" for name in found.keys() - wanted.keys()]
    said += [
        f"{name} is {found[name].dtype}{list(found[name].shape)} for {x.dtype}{list(x.shape)}"
        for name, x in wanted.items()
        if name in found and (found[name].shape, found[name].dtype) != (x.shape, x.dtype)
    ]
    if said:
        raise ValueError(
            f"the checkpoint of step {step} in {folder} is of another model or algorithm: "
            f"{'; '.join(sorted(said)[:6])}{'; ...' if len(said) > 6 else ''}. "
            "Take another folder, or the model and optimizer it was saved from"
        )
