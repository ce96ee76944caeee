"""What networks can represent, by construction: width, depth, and nothing without an activation.

    width    one hidden layer of ReLUs joins any knots by straight lines; for |f''| <= M and knots
             h apart the error is at most M h^2 / 8: universal approximation in one dimension
    depth    m(x) = 2 relu(x) - 4 relu(x - 1/2) folds [0, 1] in two; L times folded it has 2^L
             linear pieces from 2 L units, where one hidden layer of w units has w + 1 at most
    none     a stack of linear layers is one linear layer

Sources: Cybenko 1989, Hornik 1991; Telgarsky 2016, lemma 3.10 and section 3; 000, 001 and 003 in
words. 001 speaks of an exponential gain of depth with linear layers: it takes an activation.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jdl.core import Variables


def interpolant(knots: jax.Array, values: jax.Array) -> Variables:
    """A network with one hidden layer that goes through given points.

        f(x) = y_0 + sum_i (s_i - s_{i-1}) relu(x - t_i),   s_i = (y_{i+1} - y_i) / (t_{i+1} - t_i)

    Args:
        knots: [N], increasing.
        values: [N].

    Returns:
        Variables of `mlp([1, N - 1, 1])`: constant left of the knots, straight right of them.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> variables = interpolant(jnp.array([0.0, 1.0, 3.0]), jnp.array([0.0, 2.0, 0.0]))
        >>> mlp([1, 2, 1]).apply(variables, jnp.array([[0.5], [2.0]]))[0].tolist()
        [[1.0], [1.0]]
    """
    slopes = jnp.diff(values) / jnp.diff(knots)
    changes = jnp.diff(slopes, prepend=0)
    return _network((jnp.ones([1, len(changes)]), -knots[:-1]), (changes[:, None], values[:1]))


def sawtooth(depth: int) -> Variables:
    """A network of two units a layer with 2^depth linear pieces on [0, 1].

    It goes from 0 to 1 and back 2^(depth - 1) times: at k / 2^depth it is 0 for even and 1 for odd
    k.

    Args:
        depth: number of hidden layers, at least 1.

    Returns:
        Variables of `mlp([1, *[2] * depth, 1])`.

    Raises:
        ValueError: a depth below 1.
    """
    if depth < 1:
        raise ValueError(f"depth is at least 1; got {depth}")
    shifts, fold = jnp.array([0.0, -0.5]), jnp.array([[2.0], [-4.0]])
    middle = [(jnp.tile(fold, (1, 2)), shifts)] * (depth - 1)
    return _network((jnp.ones([1, 2]), shifts), *middle, (fold, jnp.zeros(1)))


def collapsed(layers: Sequence[tuple[jax.Array, jax.Array]]) -> tuple[jax.Array, jax.Array]:
    """The one linear layer that computes what a stack of linear layers computes.

        W = W_1 ... W_L,   b = (..(b_1 W_2 + b_2) W_3 ..) + b_L

    Args:
        layers: of each layer the kernel [inputs, outputs] and the bias [outputs].

    Returns:
        The kernel [first inputs, last outputs] and the bias [last outputs].
    """
    kernel, bias = layers[0]
    for following, shift in layers[1:]:
        kernel, bias = kernel @ following, bias @ following + shift
    return kernel, bias


def _network(*layers):
    named = {str(i): {"kernel": kernel, "bias": bias} for i, (kernel, bias) in enumerate(layers)}
    return Variables({"layers": named}, {})
