"""The multi-layer perceptron whose layers are arrays: nothing is flattened.

    z_ij = sum_mn h_mn W_mnij + b_ij,   h = activation(z)        (two axes a layer)

A layer with axes [M, N] and the next with [I, J] have a kernel [M, N, I, J] and a bias [I, J]; one
axis each is the `mlp`. It computes what flatten, dense and reshape compute, with the axes named.
Source: 004 eqs. 1.50 and 1.51, whose figure gives a kernel five axes, 3 x 3 x 3 x 9 x 9: it has
four, 3 x 3 x 9 x 9. The layer is flax.nnx.LinearGeneral.
"""

import math
from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional


def array_mlp(
    shapes: Sequence[Sequence[int]],
    activation: Callable = jax.nn.relu,
    *,
    kernel_init: Callable = nnx.initializers.lecun_normal(),
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A multi-layer perceptron with an array of units in every layer.

    Args:
        shapes: of the input, of each hidden layer, and of the output: [(28, 28), (9, 9), (10,)].
        activation: elementwise function after every layer but the last.
        kernel_init: (key, [inputs, outputs], dtype) -> initial weights, before they are reshaped.
        dtype: of the computation; None takes that of the params and the inputs together.
        param_dtype: of the params.

    Returns:
        A Model: inputs [B, *shapes[0]] -> logits [B, *shapes[-1]].

    Raises:
        ValueError: fewer than two shapes, or inputs of another shape.

    Example:
        >>> params = array_mlp([(3, 3), (9, 9)]).init(jax.random.key(0)).params
        >>> params["layers"]["0"]["kernel"].shape
        (3, 3, 9, 9)
    """
    if len(shapes) < 2:
        raise ValueError(f"needs at least the shapes of input and output; got {shapes}")
    options = {"kernel_init": kernel_init, "dtype": dtype, "param_dtype": param_dtype}
    return functional(lambda rngs: ArrayMLP(shapes, activation, options, rngs=rngs))


def flattened(params: dict) -> dict:
    """The params of the `mlp` that computes the same on flattened inputs and outputs.

    Args:
        params: of an `array_mlp`.

    Returns:
        Params of `mlp([prod(shape) for shape in shapes])`.
    """

    def flat(layer):
        outputs = math.prod(layer["bias"].shape)
        return {
            "kernel": layer["kernel"].reshape(-1, outputs),
            "bias": layer["bias"].reshape(outputs),
        }

    return {"layers": {name: flat(layer) for name, layer in params["layers"].items()}}


class ArrayMLP(nnx.Module):
    """The network of `array_mlp`."""

    def __init__(self, shapes, activation, options, *, rngs):
        self.shape, self.activation = tuple(shapes[0]), activation
        self.layers = nnx.List(
            nnx.LinearGeneral(
                tuple(inputs),
                tuple(outputs),
                axis=tuple(range(-len(inputs), 0)),
                **options,
                rngs=rngs,
            )
            for inputs, outputs in zip(shapes[:-1], shapes[1:], strict=True)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs [B, *shapes[0]] -> logits [B, *shapes[-1]]."""
        chex.assert_shape(x, (None, *self.shape), exception_type=ValueError)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)
