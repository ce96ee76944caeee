"""The Mark 1 perceptron: a machine that learned to tell shapes apart.

    image [B, 20, 20, 1] of 0 and 1
      -> 400 photocells S
      -> 512 association units A: [sum of +-1 wires > threshold]     wired at random, for good
      -> responses R, linear                                         potentiometers, learned

A photocell is wired to 40 association units, each wire with a random sign. Only the last layer
learns, by `jdl.train.perceptron`; the wiring is a buffer. Sources: Rosenblatt 1958; Hay, Lynch and
Smith 1960, the operators' manual; 004 section 1.1, in words. Departs from the machine: its signals
were voltages, and its eight responses were binary: the sign of these.

Axes: B images. 512 parameters a response.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.neurons import binary_threshold

RETINA = (20, 20, 1)


def mark1(
    num_responses: int = 8,
    *,
    num_associations: int = 512,
    num_wires: int = 40,
    threshold: float = 0.0,
    kernel_init: Callable = nnx.initializers.zeros_init(),
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """The Mark 1 perceptron.

    Args:
        num_responses: response units; the perceptron rule trains one.
        num_associations: association units.
        num_wires: association units that a photocell is wired to.
        threshold: of the association units; they are on above it.
        kernel_init: (key, shape, dtype) -> the potentiometers to start with.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params and the wiring.

    Returns:
        A Model: images [B, 20, 20, 1] -> responses [B, num_responses]; the answer is their sign.

    Raises:
        ValueError: more wires than association units, or images of another size.

    Example:
        >>> variables = mark1().init(jax.random.key(0))
        >>> variables.params["responses"]["kernel"].shape, variables.buffers["wiring"].shape
        ((512, 8), (400, 512))
    """
    if not 0 < num_wires <= num_associations:
        raise ValueError(f"a photocell has 1 to {num_associations} wires; got {num_wires=}")
    options = {"kernel_init": kernel_init, "dtype": dtype, "param_dtype": param_dtype}
    return functional(
        lambda rngs: Mark1(
            (num_associations, num_responses), num_wires, threshold, options, rngs=rngs
        )
    )


class Mark1(nnx.Module):
    """The network of `mark1`."""

    def __init__(self, sizes, num_wires, threshold, options, *, rngs):
        self.threshold, self.dtype = threshold, options["dtype"]
        self.wiring = nnx.Variable(
            _wired(rngs.wiring(), 400, sizes[0], num_wires).astype(options["param_dtype"])
        )
        self.responses = nnx.Linear(*sizes, use_bias=False, **options, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Images [B, 20, 20, 1] -> responses [B, num_responses]."""
        chex.assert_shape(
            images,
            (None, *RETINA),
            exception_type=ValueError,
            custom_message="the retina has 20 x 20 photocells",
        )
        cells = images.reshape(images.shape[0], 400)
        return self.responses(binary_threshold(cells @ self.wiring[...], self.threshold))


def _wired(key, cells, units, count):
    """[cells, units] of -1, 0 and 1; each row has `count` entries that are not 0."""
    places, signs = jax.random.split(key)
    ranks = jnp.argsort(jnp.argsort(jax.random.uniform(places, [cells, units]), -1), -1)
    return jnp.where(ranks < count, jax.random.rademacher(signs, [cells, units]), 0)
