"""What a recurrent cell is, and the form that lets the gradient of a matrix be one product.

    carry, y = cell(carry, x)            one step: x [B, D], y [B, F], a carry of arrays [B, ...]
    carry = cell.initial_carry(B)        zeros

A cell of this library names its matrices and writes its step with a function `affine` that adds
a bias and products with them:

    z = affine("bias", kernel=x, recurrent_kernel=h)        x W + h R + b

`jdl.nn.recurrence.unrolled` reads the cell so. A sum over time, d loss / d W = sum_t v_t' dz_t,
is then one product of all steps, where differentiating a loop adds up a matrix at each of them.

A cell of another library, or one of your own without `step`, is unrolled as it is.

Axes: B sequences, D input features, F features of the state.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import chex
import jax
import jax.numpy as jnp
from flax import nnx

Carry = Any  # a pytree of arrays [B, ...]
Weights = dict[str, jax.Array]
GLOROT, ORTHOGONAL = nnx.initializers.glorot_uniform(), nnx.initializers.orthogonal()


class Cell(Protocol):
    """One step of a recurrent network."""

    def __call__(self, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
        """The state before and x [B, D] -> the state after, and an output [B, F]."""

    def initial_carry(self, batch_size: int) -> Carry:
        """The state before the first step."""


class AffineCell(Protocol):
    """A cell whose products are known by name.

    Attributes:
        sums: of each call of `affine` the names: of the bias, or None, and of the matrices.
        dtype: of the computation; None takes that of the params and the inputs together.
    """

    sums: tuple[tuple[str | None, ...], ...]
    dtype: Any

    def __call__(self, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
        """`one_step`."""

    def initial_carry(self, batch_size: int) -> Carry:
        """The state before the first step."""

    def step(
        self, weights: Weights, affine: Callable, carry: Carry, x: jax.Array
    ) -> tuple[Carry, jax.Array]:
        """One step, with every product by `affine(bias, matrix=vector, ...)`."""


def add_weights(
    cell: nnx.Module,
    shapes: Mapping[str, tuple[int, int, int]],
    inits: Mapping[str, Callable],
    param_dtype,
    rngs: nnx.Rngs,
) -> None:
    """Gives a cell its matrices, each gate's drawn by itself.

    Args:
        cell: gets an `nnx.Param` of each name.
        shapes: name -> (rows, features of a gate, gates); the gates lie side by side.
        inits: name -> initializer; without one "kernel" has Glorot's, the others the orthogonal.
        param_dtype: of the params.
        rngs: of the params.
    """
    for name, (rows, features, gates) in shapes.items():
        init = inits.get(name, GLOROT if name == "kernel" else ORTHOGONAL)
        blocks = [init(rngs.params(), (rows, features), param_dtype) for _ in range(gates)]
        setattr(cell, name, nnx.Param(jnp.concatenate(blocks, -1)))


def one_step(cell: AffineCell, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
    """`cell(carry, x)`, for a cell that has `step`.

    Args:
        cell: with its weights.
        carry: arrays [B, ...].
        x: [B, D].

    Returns:
        The carry after, and outputs [B, F].

    Raises:
        ValueError: x of another width than the cell's.
    """
    weights, dtype = weights_in(cell, x)
    carry, x = jax.tree.map(lambda a: jnp.asarray(a, dtype), (carry, x))

    return cell.step(weights, functools.partial(affine_sum, weights), carry, x)


def affine_sum(weights: Weights, bias: str | None, **vectors: jax.Array) -> jax.Array:
    """The sum of vector W over the names, plus b if the weights have one of that name."""
    z = sum(vector @ weights[name] for name, vector in vectors.items())
    return z + weights[bias].reshape((1,) * (z.ndim - 1) + (-1,)) if bias in weights else z


def weights_in(cell: AffineCell, x: jax.Array) -> tuple[Weights, Any]:
    """The params of a cell in the dtype of its computation, and that dtype.

    Args:
        cell: with its weights.
        x: inputs [..., D].

    Raises:
        ValueError: x of another width than the cell's.
    """
    chex.assert_axis_dimension(x, -1, cell.kernel.shape[0], exception_type=ValueError)
    found = {name: part[...] for name, part in vars(cell).items() if isinstance(part, nnx.Param)}
    dtype = cell.dtype or jnp.result_type(x, *found.values())
    return {name: part.astype(dtype) for name, part in found.items()}, dtype


def zeros_carry(cell: AffineCell, batch_size: int, features: int) -> jax.Array:
    """[B, F] of zeros in the dtype of the cell."""
    return jnp.zeros([batch_size, features], cell.dtype or cell.kernel.dtype)
