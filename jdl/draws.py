"""Draws all random bits of a function in one loop, bit for bit as the function itself would.

    bits of leaf l, element i = threefry(key_l, i)

A deep network draws its parameters leaf by leaf, and XLA compiles the generator anew for each of
them: most of what a user waits for before the first step. The value of an element depends on its
key and its index alone, so one loop over (key, index) serves all leaves: ResNet-18 compiles in a
fifth of the time (`benchmarks/init.py`). No key and no distribution is changed.

Source of the generator: Salmon, Moraes, Dror, Shaw 2011, Threefry-2x32 with 20 rounds, counted as
JAX does under `jax_threefry_partitionable`.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal
from jax.extend.core.primitives import jit_p, random_bits_p, random_fold_in_p, threefry2x32_p

from jdl.core import Key, Tree

WIDTH = 1 << 14  # elements of a row; ResNet-18 draws in 0.11 to 0.20 s with any of 2^10 to 2^18


def drawn_at_once(function: Callable[[Key], Tree]) -> Callable[[Key], Tree]:
    """The same function, jitted, with its random bits drawn in one loop.

    The function is traced, and its equations are evaluated in their order, but those that derive
    a key or draw bits wait for each other. What draws inside of loops and branches, keys of other
    generators than threefry and functions with side effects are left as they are.

    Args:
        function: key -> tree of arrays.

    Returns:
        key -> the same tree. It may be vmapped over keys and jitted as any other.

    Example:
        >>> def draw(key):
        ...     first, second = jax.random.split(key)
        ...     return jax.random.normal(first, [3]), jax.random.uniform(second, [2])
        >>> at_once, in_turn = drawn_at_once(draw)(jax.random.key(0)), draw(jax.random.key(0))
        >>> all(jnp.allclose(x, y) for x, y in zip(at_once, in_turn))
        True
    """

    def evaluate(key):
        threefry = jax.random.key_impl(key) == "threefry2x32"
        if not (threefry and jax.config.jax_threefry_partitionable):
            return function(key)
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(key)
        if traced.effects:
            return function(key)
        steps = []
        results = _inlined(traced, [_Wire(key)], steps)
        _evaluate(steps)
        return jax.tree.unflatten(jax.tree.structure(shapes), [wire.value for wire in results])

    return jax.jit(evaluate)


class _Wire:
    """What leads from one equation to others; None until it is known."""

    def __init__(self, value=None):
        self.value = value


def _inlined(traced, inputs, steps):
    """Appends (equation, inputs, outputs) to `steps`, nested jits in place; returns the results."""
    wires = dict(zip(traced.jaxpr.constvars, map(_Wire, traced.consts), strict=True))
    wires |= dict(zip(traced.jaxpr.invars, inputs, strict=True))

    def read(atom):
        return _Wire(atom.val) if isinstance(atom, Literal) else wires[atom]

    for equation in traced.jaxpr.eqns:
        arguments = [read(atom) for atom in equation.invars]
        if equation.primitive is jit_p:
            outputs = _inlined(equation.params["jaxpr"], arguments, steps)
        else:
            outputs = [_Wire() for _ in equation.outvars]
            steps.append((equation, arguments, outputs))
        wires.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in traced.jaxpr.outvars]


def _evaluate(steps):
    while steps:
        waiting, draws = [], {random_bits_p: [], random_fold_in_p: []}
        for step in steps:
            equation, inputs, outputs = step
            values = [wire.value for wire in inputs]
            if any(value is None for value in values):
                waiting.append(step)
            elif _is_draw(equation, values):
                draws[equation.primitive].append((equation, values, outputs[0]))
            else:
                bound = equation.primitive.get_bind_params(equation.params)
                results = equation.primitive.bind(*values, **bound)
                results = results if equation.primitive.multiple_results else [results]
                for wire, value in zip(outputs, results, strict=True):
                    wire.value = value
        _fold_in(draws[random_fold_in_p])
        _draw(draws[random_bits_p])
        steps = waiting


def _is_draw(equation, values):
    if equation.primitive is random_fold_in_p:
        return values[0].shape == ()
    return (
        equation.primitive is random_bits_p
        and equation.params["bit_width"] == 32
        and values[0].shape == ()
        and 0 < math.prod(equation.params["shape"]) < 2**32
    )


def _fold_in(draws):
    if not draws:
        return
    keys = jnp.stack([values[0] for _, values, _ in draws])
    data = jnp.stack([jnp.asarray(values[1], jnp.uint32) for _, values, _ in draws])
    for (_, _, wire), key in zip(draws, jax.vmap(jax.random.fold_in)(keys, data), strict=True):
        wire.value = key


def _draw(draws):
    if not draws:
        return
    shapes = [equation.params["shape"] for equation, _, _ in draws]
    sizes = np.array([math.prod(shape) for shape in shapes])
    width = min(WIDTH, sizes.max())
    rows = -(-sizes // width)
    first = np.concatenate([np.arange(count) * width for count in rows]).astype(np.uint32)
    owner = np.repeat(np.arange(len(rows)), rows)
    keys = jax.random.key_data(jnp.stack([values[0] for _, values, _ in draws]))

    def row(inputs):
        (high, low), first = inputs
        count = first + jnp.arange(width, dtype=jnp.uint32)
        left, right = threefry2x32_p.bind(high, low, jnp.zeros_like(count), count)
        return left ^ right

    bits = jax.lax.map(row, (keys[owner], first)).reshape(-1)
    ends = np.cumsum(rows) * width
    for (_, _, wire), shape, size, end, count in zip(draws, shapes, sizes, ends, rows, strict=True):
        begin = end - count * width
        wire.value = jax.lax.slice(bits, [begin], [begin + size]).reshape(shape)
