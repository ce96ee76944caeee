"""Times pieces of work side by side.

A jitted call returns before it is done and its first call compiles, so calls are timed in blocks,
after a warm-up, and the last outputs of a block are waited for. Neighbours slow a machine down, so
the blocks of all that is compared alternate, a ratio is taken within a round, and the rounds in
which other processes worked most are left out.
"""

import os
import pathlib
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Tree

Thunk = Callable[[], Tree]  # does a piece of work, returns arrays to wait for


def threaded(step: Callable, state: Tree, *args: Tree) -> Thunk:
    """A thunk that makes one more step at each call, as a training loop does.

    Args:
        step: (state, *args) -> (state, anything), jitted. It may donate the state: a copy is used
            up, not the caller's.
        state: the first state.
        *args: what every step gets.

    Returns:
        A Thunk; it returns what the step did.

    Raises:
        ValueError: `step` does not return (state, anything) with a state of the structure, shapes
            and dtypes that it got.
    """

    def kinds(tree):
        return jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", tree)

    took, gave = jax.eval_shape(lambda state: state, state), jax.eval_shape(step, state, *args)
    if type(gave) is not tuple or not gave or kinds(gave[0]) != kinds(took):
        raise ValueError(
            f"a step returns (state, anything), its state as it was, {kinds(took)}; "
            f"got {kinds(gave)}"
        )
    last = jax.tree.map(jnp.copy, state)

    def thunk():
        nonlocal last
        outputs = step(last, *args)
        last = outputs[0]
        return outputs

    return thunk


def time_block(thunk: Thunk, calls: int) -> float:
    """Seconds a call, over a block of calls whose last outputs are waited for."""
    start = time.perf_counter()
    for _ in range(calls):
        outputs = thunk()
    jax.block_until_ready(outputs)
    return (time.perf_counter() - start) / calls


def calls_in(thunk: Thunk, seconds: float) -> int:
    """How many calls last about so many seconds, at least one; finding out warms up."""
    time_block(thunk, 2)  # the first compiles, the second may once more, for its own outputs
    calls, lasted = 1, time_block(thunk, 1)
    while calls * lasted < seconds / 4:
        calls *= 2
        lasted = time_block(thunk, calls)
    return max(1, round(seconds / lasted))


class Comparison(NamedTuple):
    """What `compare` measured; `str` is a table.

    Attributes:
        seconds: median time of a call, by name.
        ratios: (lower quartile, median, upper quartile) of the time over that of the first name
            in the same round, by name.
        rounds: number of rounds the statistics are over.
    """

    seconds: dict[str, float]
    ratios: dict[str, tuple[float, float, float]]
    rounds: int

    def __str__(self):
        width = max(map(len, self.seconds))
        return "\n".join(
            f"{name:{width}}  {seconds * 1e3:9.4g} ms  x {{1:.3f}} ({{0:.3f}} to {{2:.3f}})".format(
                *self.ratios[name]
            )
            for name, seconds in self.seconds.items()
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields, as what JSON holds."""
        ratios = {name: list(quartiles) for name, quartiles in self.ratios.items()}
        return {"seconds": self.seconds, "ratios": ratios, "rounds": self.rounds}


def compare(
    thunks: dict[str, Thunk], *, rounds: int = 20, block_seconds: float = 0.1
) -> Comparison:
    """Times thunks in alternating blocks of one process.

    A round is one block of each thunk, in an order that turns from round to round. The half of the
    rounds in which other processes used the processors least counts, where the system tells
    (Linux); elsewhere all rounds count.

    Args:
        thunks: by name; the first is what the others are divided by. See `threaded` for steps.
        rounds: how many rounds to make, at least 2.
        block_seconds: how long a block lasts, unless a single call is longer.

    Returns:
        A Comparison.

    Raises:
        ValueError: no thunks, or fewer than 2 rounds.

    Example:
        >>> add, x = jax.jit(jnp.add), jnp.ones(10)
        >>> found = compare({"a": lambda: add(x, x), "b": lambda: add(x, x)}, rounds=2)
        >>> list(found.seconds), found.ratios["a"]
        (['a', 'b'], (1.0, 1.0, 1.0))
    """
    if not thunks or rounds < 2:
        raise ValueError(f"compare needs thunks and 2 rounds; got {list(thunks)}, rounds={rounds}")
    calls = {name: calls_in(thunk, block_seconds) for name, thunk in thunks.items()}
    names, times, foreign = list(thunks), [], []
    for turn in range(rounds):
        start, first = _foreign_seconds(), turn % len(names)
        found = {n: time_block(thunks[n], calls[n]) for n in names[first:] + names[:first]}
        times.append([found[name] for name in names])
        foreign.append(_foreign_seconds() - start)
    quiet = np.argsort(foreign, kind="stable")[: (rounds + 1) // 2] if any(foreign) else slice(None)
    kept = np.array(times)[quiet]  # [rounds, names]
    quartiles = np.quantile(kept / kept[:, :1], [0.25, 0.5, 0.75], axis=0)
    return Comparison(
        seconds=dict(zip(names, np.median(kept, axis=0).tolist(), strict=True)),
        ratios={name: tuple(quartiles[:, i].tolist()) for i, name in enumerate(names)},
        rounds=len(kept),
    )


def _foreign_seconds():
    """Processor time that all other processes have used since the start of the machine, or 0."""
    stat = pathlib.Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, idle, waiting, *rest = map(int, stat.read_text().split("\n")[0].split()[1:])
    busy = (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return busy - sum(usage.ru_utime + usage.ru_stime for usage in own)
