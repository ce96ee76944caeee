"""The multi-layer perceptron.

    h_0 = x,   h_l = activation(h_{l-1} W_l + b_l),   logits = h_{L-1} W_L + b_L

Source: Rumelhart, Hinton, Williams 1986; 000 ch. 2, 004 ch. 1. Rows are examples, so W_l is
[inputs, outputs]; 004 writes the transpose. Parameters: sum over layers of (inputs + 1) * outputs.

Axes: B examples, D features.
"""

from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.variational_layers import called


def mlp(
    sizes: Sequence[int],
    activation: Callable = jax.nn.relu,
    *,
    linear: Callable = nnx.Linear,
    dropout_rate: float = 0.0,
    kernel_init: Callable = nnx.initializers.lecun_normal(),
    bias_init: Callable = nnx.initializers.zeros_init(),
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A multi-layer perceptron.

    Args:
        sizes: features of the input, of each hidden layer, and of the output: [784, 512, 10].
        activation: elementwise function after every layer but the last.
        linear: class of the layers; those of `jdl.nn.variational_layers`, such as
            `FlipoutLinear`, make a Bayesian network.
        dropout_rate: probability of dropping a hidden unit while training.
        kernel_init: (key, shape, dtype) -> initial weights.
        bias_init: (key, shape, dtype) -> initial biases.
        dtype: of the computation; None takes that of the params and the inputs together.
        param_dtype: of the params.

    Returns:
        A Model: inputs [..., sizes[0]] -> logits [..., sizes[-1]].

    Raises:
        ValueError: fewer than two sizes, or inputs of another width.

    Example:
        >>> model = mlp([2, 8, 1], jnp.tanh)
        >>> logits, _ = model.apply(model.init(jax.random.key(0)), jnp.zeros([5, 2]))
        >>> logits.shape
        (5, 1)
    """
    if len(sizes) < 2:
        raise ValueError(f"an MLP has at least the sizes of its input and output; got {sizes}")
    options = {
        "kernel_init": kernel_init,
        "bias_init": bias_init,
        "dtype": dtype,
        "param_dtype": param_dtype,
    }
    return functional(lambda rngs: MLP(sizes, activation, linear, dropout_rate, options, rngs=rngs))


class MLP(nnx.Module):
    """The network of `mlp`."""

    def __init__(self, sizes, activation, linear, dropout_rate, options, *, rngs):
        self.features, self.activation = sizes[0], activation
        self.layers = nnx.List(
            linear(inputs, outputs, **options, rngs=rngs)
            for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Inputs [..., sizes[0]] -> logits [..., sizes[-1]]."""
        chex.assert_axis_dimension(x, -1, self.features, exception_type=ValueError)
        for layer in self.layers[:-1]:
            x = self.dropout(self.activation(called(layer, x, rngs)), rngs=rngs)
        return called(self.layers[-1], x, rngs)
