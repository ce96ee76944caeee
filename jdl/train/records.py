"""What a run has to show after some steps, in memory and in a checkpoint."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Tree, Variables
from jdl.train.checkpoints import (
    Checkpoints,
    checkpoint_shapes,
    latest_step,
    load_checkpoint,
    save_checkpoint,
)


class Progress(NamedTuple):
    """A run after `step` steps: its state, the best variables, and lists of what was reported."""

    state: Any
    best: Variables | None
    step: int
    history: list[dict[str, np.ndarray]]
    evaluations: list[dict[str, np.ndarray]]

    def after(self, state: Any, info: dict[str, np.ndarray], steps: int) -> "Progress":
        """The run after a dispatch of some steps, their info [steps, ...]."""
        history = [*self.history, info]
        return self._replace(state=state, step=self.step + steps, history=history)


def flat(tree: Tree) -> dict[str, Any]:
    """The leaves by path, joined by dots."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): x
        for path, x in jax.tree.leaves_with_path(tree)
    }


def stacked(chunks: list[dict], join: Callable) -> dict[str, np.ndarray]:
    """One dict of arrays from a list of them."""
    return {name: join([chunk[name] for chunk in chunks]) for name in (chunks[0] if chunks else ())}


def save_run(checkpoints: Checkpoints, progressed: Progress, identity: Tree) -> None:
    """Saves a run, with what tells it from others, unless this step is saved already."""
    if latest_step(checkpoints.folder) == progressed.step:
        return
    kept = {
        "state": progressed.state,
        "best": progressed.best,
        "identity": identity,
        "history": stacked(progressed.history, np.concatenate),
        "evaluations": stacked(progressed.evaluations, np.stack),
    }
    save_checkpoint(checkpoints.folder, progressed.step, kept, keep=checkpoints.keep)


def resumed_run(
    folder: str | os.PathLike, fresh: Progress, view: Callable, identity: Tree
) -> Progress:
    """The newest of what `save_run` saved.

    Args:
        folder: of the run.
        fresh: the run before its first step.
        view: state -> variables that may be the best.
        identity: what the run must have been saved with.

    Raises:
        ValueError: the folder holds a run of another model, algorithm or identity.
    """
    shapes = checkpoint_shapes(folder)

    def recorded(role):
        return {
            name.removeprefix(role): np.empty(x.shape, x.dtype)
            for name, x in shapes.items()
            if name.startswith(role)
        }

    has_best = any(name.startswith("best.") for name in shapes)
    like = {
        "state": fresh.state,
        "best": view(fresh.state) if has_best else None,
        "identity": identity,
        "history": recorded("history."),
        "evaluations": recorded("evaluations."),
    }
    step, kept = load_checkpoint(folder, like)
    for name, wanted in flat(identity).items():
        if not np.array_equal(_plain(wanted), _plain(kept["identity"][name])):
            raise ValueError(
                f"the run in {folder} was made with another {name}. To go on with it, call fit "
                "with the same arguments; for a new run, take another folder"
            )
    count = len(kept["evaluations"].get("step", ()))
    evaluations = [{name: x[i] for name, x in kept["evaluations"].items()} for i in range(count)]
    return Progress(kept["state"], kept["best"], step, [kept["history"]], evaluations)


def _plain(x):
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
