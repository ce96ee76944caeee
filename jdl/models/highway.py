"""The highway network: a plain layer to the width of the highway, gated layers, a linear head.

    x [B, in] -> activation(x W + b) [B, D] -> highway layers [B, D] -> logits [B, classes]

With gates shut the layers pass the first one's outputs on, so that a network of a hundred layers
trains like a shallow one from the start.

Source: Srivastava, Greff, Schmidhuber 2015, section 3; 001. Parameters: in D + D + 2 L D (D + 1) +
(D + 1) classes.

Axes: B examples, D features.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.highway import Highway


def highway_network(
    in_features: int,
    features: int = 50,
    num_layers: int = 9,
    num_classes: int = 10,
    activation: Callable = jax.nn.relu,
    *,
    gate_bias: float | None = -1.0,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A classifier of gated layers.

    Args:
        in_features: of the inputs.
        features: D, of every hidden layer.
        num_layers: L, gated layers.
        num_classes: of the logits.
        activation: elementwise function of the first layer and of the transforms.
        gate_bias: initial bias of the gates, more negative the deeper; None for no bias, as 001.
        dtype: of the computation; None takes that of the params and the inputs together.
        param_dtype: of the params.

    Returns:
        A Model: inputs [B, in_features] -> logits [B, num_classes].

    Example:
        >>> model = highway_network(4, features=3, num_layers=2, num_classes=2)
        >>> logits, _ = model.apply(model.init(jax.random.key(0)), jnp.zeros([5, 4]))
        >>> logits.shape
        (5, 2)
    """
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}
    sizes = in_features, features, num_layers, num_classes
    return functional(lambda rngs: HighwayNetwork(sizes, activation, gate_bias, dtypes, rngs=rngs))


class HighwayNetwork(nnx.Module):
    """The network of `highway_network`."""

    def __init__(self, sizes, activation, gate_bias, dtypes, *, rngs):
        in_features, features, num_layers, num_classes = sizes
        self.activation = activation
        self.plain = nnx.Linear(in_features, features, **dtypes, rngs=rngs)
        self.layers = nnx.List(
            [
                Highway(features, activation, gate_bias=gate_bias, **dtypes, rngs=rngs)
                for _ in range(num_layers)
            ]
        )
        self.head = nnx.Linear(features, num_classes, **dtypes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs [B, in_features] -> logits [B, num_classes]."""
        x = self.activation(self.plain(x))
        for layer in self.layers:
            x = layer(x)
        return self.head(x)
