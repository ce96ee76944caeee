"""Some steps of an algorithm in one dispatch.

A loop on the device whose length is an argument of the compiled program: one program serves
dispatches of any length, so that it does not matter to the bits of the result where a run is cut.

Not for convolutions on the CPU. XLA compiles those inside of loops into slow ones (LeNet-5: 115 ms
a step for 30, jax 0.10 and 0.12), so their steps are dispatched one by one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Algorithm, Info, Key, Tree
from jdl.train.feed import Feed
from jdl.train.records import flat

Dispatch = Callable[[Any, Tree, Key, int, int], tuple[Any, dict[str, np.ndarray], int, bool]]


def dispatcher(algorithm: Algorithm, source: Feed) -> Dispatch:
    """Compiles the steps of an algorithm on the batches of a Feed.

    Args:
        algorithm: whose steps.
        source: of the batches.

    Returns:
        (state, rows, key, first, count) -> the state, which takes the place of the one given, the
        info by name [steps, ...], how many steps were made, and whether the losses are finite. It
        makes the steps first, first + 1, ... until `count` are made or a loss is not finite.
    """

    @jax.jit
    def one(state, fixed, row, key, step):
        return algorithm.step(state, source.pick(fixed, row), jax.random.fold_in(key, step))

    in_turn, looped = _in_turn(one), _looped(one, source.capacity)
    chosen = []

    def dispatch(state, rows, key, first, count):
        arguments = state, source.fixed, rows, key, np.int32(first), np.int32(count)
        if not chosen:
            chosen.append(in_turn if _slow_in_loops(one, arguments) else looped)
        state, infos, done, finite = chosen[0](*arguments)
        info = {name: np.asarray(x)[: int(done)] for name, x in infos.items()}
        return state, info, int(done), bool(finite)

    return dispatch


def losses_of(info: Info) -> dict[str, jax.Array]:
    """The entries named `loss`, by path."""
    return {name: x for name, x in flat(info).items() if name.split(".")[-1] == "loss"}


def _finite(info):
    """Whether each loss is finite, for an ensemble in some member."""
    return jnp.all(jnp.array([jnp.isfinite(x).any() for x in losses_of(info).values()], bool))


def _row(rows, index):
    return jax.tree.map(lambda x: x[index], rows)


def _looped(one, capacity):
    def loop(state, fixed, rows, key, first, count):
        def body(carry):
            index, state, infos, _ = carry
            state, info = one(state, fixed, _row(rows, index), key, first + index)
            infos = jax.tree.map(lambda all, new: all.at[index].set(new), infos, info)
            return index + 1, state, infos, _finite(info)

        _, shapes = jax.eval_shape(one, state, fixed, _row(rows, 0), key, first)
        infos = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), shapes)
        start = (jnp.int32(0), state, infos, jnp.bool(True))
        done, state, infos, finite = jax.lax.while_loop(
            lambda carry: (carry[0] < count) & carry[3], body, start
        )
        return state, flat(infos), done, finite

    return jax.jit(loop, donate_argnums=0)


def _in_turn(one):
    def checked(state, fixed, row, key, step):
        state, info = one(state, fixed, row, key, step)
        return state, flat(info), _finite(info)

    compiled = jax.jit(checked, donate_argnums=0)

    def run(state, fixed, rows, key, first, count):
        infos = []
        for index in range(count):
            row = _row(rows, index)
            state, info, finite = compiled(state, fixed, row, key, np.int32(first + index))
            infos.append(jax.device_get(info))
            if not finite:
                break
        stacked = {name: np.stack([info[name] for info in infos]) for name in infos[0]}
        return state, stacked, len(infos), finite

    return run


def _slow_in_loops(one, arguments):
    state, fixed, rows, key, first, _ = arguments
    if jax.default_backend() != "cpu":
        return False
    traced = one.trace(state, fixed, _row(rows, 0), key, first)
    return "conv_general_dilated" in _primitives(traced.jaxpr.jaxpr)


def _primitives(jaxpr) -> Iterator[str]:
    """The names of the primitives of a program and of all programs in it."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for parameter in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "jaxpr")
        ):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from _primitives(inner)
