"""Weights as small integers, and training that knows of it.

    scale_c = max |w_c| / m,      m = 2^(bits - 1) - 1, 127 of 8 bits
    q       = round(w / scale_c), in -m .. m
    w'      = scale_c q,          |w - w'| <= scale_c / 2

c is a channel, an entry of the last axis: a column of a dense kernel, a filter of a convolution.
The zero is 0 (symmetric), so that zeros stay zeros. The integers are what is stored and moved; the
computation takes w'. With 8 bits that is a quarter of float32's size, and nothing is trained again.

Training that knows of it computes with w' and passes the gradient on to w as if rounding were the
identity: the straight-through estimator.

Source: Jacob et al. 2018, section 2.1, without a zero point; Krishnamoorthi 2018, sections 2.2 and
3.1.1 (per channel); Bengio, Leonard, Courville 2013 (straight through).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Objective, Tree
from jdl.nn.penalties import Where, is_weight


class Quantized(NamedTuple):
    """An array as integers.

    Attributes:
        values: int8 [..., C].
        scale: [C], what 1 stands for in each channel, in the dtype of the array.
    """

    values: jax.Array
    scale: jax.Array


def quantized(params: Tree, *, bits: int = 8, where: Where = is_weight) -> Tree:
    """The params with integers in place of weights.

    Args:
        params: of a model.
        bits: 2 to 8; fewer than 8 are kept in int8 too.
        where: (path, leaf) -> whether it is quantised; arrays of fewer than two axes never are.

    Returns:
        A tree like `params` with a `Quantized` for each weight; `dequantized` gives it back.

    Raises:
        ValueError: another number of bits.

    Example:
        >>> stored = quantized({"kernel": jnp.array([[1.27, 0.5], [-0.3, -1.0]])})["kernel"]
        >>> stored.values.tolist()
        [[127, 64], [-30, -127]]
    """
    largest = _largest(bits)

    def of_leaf(path, x):
        if not _goes(path, x, where):
            return x
        scale = _scale(x, largest)
        return Quantized(_integers(x, scale, largest).astype(jnp.int8), scale)

    return jax.tree.map_with_path(of_leaf, params)


def dequantized(params: Tree) -> Tree:
    """The params that a model computes with: `model.apply(Variables(dequantized(stored)), x)`.

    Args:
        params: of `quantized`.

    Returns:
        A tree like that which was quantised, in its dtypes.
    """
    return jax.tree.map(
        lambda x: x.values.astype(x.scale.dtype) * _row(x.scale, x.values) if _is(x) else x,
        params,
        is_leaf=_is,
    )


def size_in_bytes(params: Tree) -> int:
    """The size of all arrays.

    Args:
        params: any tree, of `quantized` too.
    """
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(params))


def fake_quantized(params: Tree, *, bits: int = 8, where: Where = is_weight) -> Tree:
    """What the params would be after quantisation, with the gradient of the identity.

    Args:
        params: of a model.
        bits: 2 to 8.
        where: as `quantized` has it.

    Returns:
        A tree like `params`, equal to `dequantized(quantized(params))`.
    """
    largest = _largest(bits)

    def of_leaf(path, x):
        if not _goes(path, x, where):
            return x
        scale = _scale(x, largest)
        rounded = _integers(x, scale, largest) * _row(scale, x)
        return jax.lax.stop_gradient(rounded) + (x - jax.lax.stop_gradient(x))

    return jax.tree.map_with_path(of_leaf, params)


def quantization_aware(
    objective: Objective, *, bits: int = 8, where: Where = is_weight
) -> Objective:
    """The objective of a model whose weights will be quantised.

    Args:
        objective: any.
        bits: 2 to 8.
        where: as `quantized` has it.

    Returns:
        An Objective of the unrounded params.
    """

    def aware(params, buffers, batch, key):
        return objective(fake_quantized(params, bits=bits, where=where), buffers, batch, key)

    return aware


def _largest(bits):
    if bits not in range(2, 9):
        raise ValueError(f"bits are 2 to 8; got {bits}")
    return 2 ** (bits - 1) - 1


def _scale(x, largest):
    """Of each channel; a channel of zeros has 1, so that nothing is divided by 0."""
    peak = jnp.abs(x).max(tuple(range(x.ndim - 1)))
    return jnp.where(peak > 0, peak / largest, 1).astype(x.dtype)


def _integers(x, scale, largest):
    return jnp.clip(jnp.round(x / _row(scale, x)), -largest, largest)


def _row(scale, x):
    return scale.reshape([1] * (x.ndim - 1) + [-1])


def _goes(path, x, where):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    return x.ndim >= 2 and jnp.issubdtype(x.dtype, jnp.floating) and where(name, x)


def _is(x):
    return isinstance(x, Quantized)
