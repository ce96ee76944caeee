"""Many steps in one dispatch: a scan of an algorithm over batches."""

from collections.abc import Callable
from typing import Any

import jax

from jdl.core import Algorithm, Key, Tree


def run(
    algorithm: Algorithm,
    state: Any,
    batches: Tree,
    key: Key,
    *,
    length: int | None = None,
    keep: Callable[[Any, dict], Tree] = lambda state, info: info,
) -> tuple[Any, Tree]:
    """Scans an algorithm over the leading axis of `batches`.

    A pure function: jit it (donating the state), vmap it over keys, states or data. For data on
    the host, evaluation, early stopping or checkpoints see `fit`; for convolutions on the CPU too,
    which XLA compiles four times slower inside of a loop.

    Args:
        algorithm: what to run.
        state: its state.
        batches: tree of arrays [steps, ...], or None if the objective holds its data.
        key: split into one key per step.
        length: number of steps when `batches` is None.
        keep: (state, info) -> what to stack over the steps.

    Returns:
        The last state, and `keep` stacked: leaves [steps, ...].

    Raises:
        ValueError: `batches` is None and `length` is missing, or they disagree.
    """
    leaves = jax.tree.leaves(batches)
    if not leaves and length is None:
        raise ValueError("run needs `batches` or `length`; got neither")
    steps = leaves[0].shape[0] if leaves else length
    if length not in (None, steps):
        raise ValueError(f"batches hold {steps} steps; got length={length}")

    def body(state, inputs):
        state, info = algorithm.step(state, *inputs)
        return state, keep(state, info)

    return jax.lax.scan(body, state, (batches, jax.random.split(key, steps)))
