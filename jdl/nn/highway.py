"""The highway layer: a gate between a transform of the input and the input itself.

    H = activation(x W_H + b_H),   T = sigmoid(x W_T + b_T),   y = T * H + (1 - T) * x

T = 0 passes the input on, T = 1 is a plain layer. The bias of the gate starts below 0, at -1 or -3,
so that a new layer passes its input on (section 2.2). Inputs and outputs have one width; another is
reached by a plain layer before. 001 writes T = sigmoid(W_T x), without the bias: gate_bias=None.
Parameters: 2 D (D + 1).

Source: Srivastava, Greff, Schmidhuber 2015, eqs. 2 and 3; 001; 003.

Axes: B examples, D features; or [B, H, W, D] with convolutions.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import nnx


class Highway(nnx.Module):
    """The layer; with `layer=conv_3x3` a highway of maps.

    Args:
        features: D, of inputs and outputs.
        activation: elementwise function of the transform.
        gate_bias: initial bias of the gate; None for no bias.
        layer: layer(D, D, use_bias=..., rngs=...), nnx.Linear or a convolution that keeps the size,
            `functools.partial(nnx.Conv, kernel_size=(3, 3))`.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Example:
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: Highway(3, gate_bias=-30.0, rngs=rngs))
        >>> outputs, _ = model.apply(model.init(jax.random.key(0)), jnp.array([[1.0, 2.0, 3.0]]))
        >>> outputs.tolist()
        [[1.0, 2.0, 3.0]]
    """

    def __init__(
        self,
        features: int,
        activation: Callable = jnp.tanh,
        *,
        gate_bias: float | None = -1.0,
        layer: Callable = nnx.Linear,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.features, self.activation = features, activation
        self.transform = layer(features, features, **made)
        bias_init = nnx.initializers.constant(gate_bias or 0.0)
        self.gate = layer(
            features, features, use_bias=gate_bias is not None, bias_init=bias_init, **made
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs [..., D] -> the same shape."""
        chex.assert_axis_dimension(x, -1, self.features, exception_type=ValueError)
        gate = jax.nn.sigmoid(self.gate(x))
        return gate * self.activation(self.transform(x)) + (1 - gate) * x.astype(gate.dtype)
