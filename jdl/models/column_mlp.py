"""The multi-layer perceptron with one example a column, as 004 (Martinez-Ramon et al.) writes it.

    H_0 = X,   H_l = activation(W_l' H_{l-1} + b_l 1'),   outputs = W_L' H_{L-1} + b_L 1'

The same function of the same params as `mlp`. XLA on a CPU vectorises the last axis: with the
examples there a gradient of a network of five hidden units is three times faster than with the
features there, and so are Markov chains over it.

Axes: D features, B examples.
"""

from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp

from jdl.core import Model
from jdl.models.mlp import mlp


def column_mlp(
    sizes: Sequence[int], activation: Callable = jax.nn.relu, *, param_dtype=jnp.float32
) -> Model:
    """A multi-layer perceptron over columns.

    Args:
        sizes: features of the input, of each hidden layer, and of the output.
        activation: elementwise function after every layer but the last.
        param_dtype: of the params.

    Returns:
        A Model: inputs [sizes[0], B] -> outputs [sizes[-1], B]; its params are those of `mlp`.

    Raises:
        ValueError: fewer than two sizes, or inputs of another height.

    Example:
        >>> model = column_mlp([2, 8, 1], jnp.tanh)
        >>> outputs, _ = model.apply(model.init(jax.random.key(0)), jnp.zeros([2, 5]))
        >>> outputs.shape
        (1, 5)
    """
    model = mlp(sizes, activation, param_dtype=param_dtype)

    def apply(variables, x, *, key=None, train=False):
        chex.assert_axis_dimension(x, 0, sizes[0], exception_type=ValueError)
        for index in range(len(sizes) - 1):
            layer = variables.params["layers"][str(index)]
            x = layer["kernel"].T @ x + layer["bias"][:, None]
            if index < len(sizes) - 2:
                x = activation(x)
        return x, variables.buffers

    return Model(model.init, apply)
