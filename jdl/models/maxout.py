"""Maxout networks: every unit is the largest of several affine functions.

    h_i(x) = max over j of  x'W_ij + b_ij,   j = 1 .. k

A convex piecewise linear activation that is learned with the weights; the pieces (w, 0) give ReLU,
(w, a w) leaky ReLU. Source: Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, section 3;
004 eq. 1.54 (004 labels eq. 1.53, which is leaky ReLU, MaxOut). Parameters of a layer:
(inputs + 1) * units * k.

Axes: B examples, D features.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional


def maxout_mlp(
    sizes: Sequence[int],
    num_pieces: int,
    *,
    dropout_rate: float = 0.0,
    kernel_init: Callable = nnx.initializers.lecun_normal(),
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A multi-layer perceptron of maxout units, with a linear last layer.

    Args:
        sizes: features of the input, units of each hidden layer, features of the output.
        num_pieces: k, affine functions a unit; to be cross-validated.
        dropout_rate: probability of dropping the input of a layer while training: before the
            maximum is taken, so that dropout averages exactly over linear pieces.
        kernel_init: (key, shape, dtype) -> initial weights.
        dtype: of the computation; None takes that of the params and the inputs together.
        param_dtype: of the params.

    Returns:
        A Model: inputs [..., sizes[0]] -> logits [..., sizes[-1]].

    Raises:
        ValueError: fewer than two sizes, or fewer than one piece.

    Example:
        >>> model = maxout_mlp([4, 6, 3], num_pieces=5)
        >>> params = model.init(jax.random.key(0)).params
        >>> sum(leaf.size for leaf in jax.tree.leaves(params))  # 5 * 6 * 5 + 7 * 3
        171
    """
    if len(sizes) < 2 or num_pieces < 1:
        raise ValueError(f"needs two sizes or more and a piece; got {sizes}, {num_pieces=}")
    options = {"kernel_init": kernel_init, "dtype": dtype, "param_dtype": param_dtype}
    return functional(lambda rngs: MaxoutMLP(sizes, num_pieces, dropout_rate, options, rngs=rngs))


class Maxout(nnx.Module):
    """A layer of maxout units, with kernel [inputs, units, pieces] and bias [units, pieces].

    Args:
        in_features: of the input.
        out_features: number of units.
        num_pieces: affine functions a unit.
        options: of nnx.LinearGeneral: kernel_init, bias_init, dtype, param_dtype.
        rngs: of the initial weights.
    """

    def __init__(self, in_features, out_features, num_pieces, options, *, rngs):
        self.pieces = nnx.LinearGeneral(
            in_features, (out_features, num_pieces), **options, rngs=rngs
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs [..., in_features] -> [..., out_features]."""
        return jnp.max(self.pieces(x), -1)


class MaxoutMLP(nnx.Module):
    """The network of `maxout_mlp`."""

    def __init__(self, sizes, num_pieces, dropout_rate, options, *, rngs):
        self.hidden = nnx.List(
            Maxout(inputs, units, num_pieces, options, rngs=rngs)
            for inputs, units in zip(sizes[:-2], sizes[1:-1], strict=True)
        )
        self.head = nnx.Linear(*sizes[-2:], **options, rngs=rngs)
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Inputs [..., sizes[0]] -> logits [..., sizes[-1]]."""
        for layer in self.hidden:
            x = layer(self.dropout(x, rngs=rngs))
        return self.head(self.dropout(x, rngs=rngs))
