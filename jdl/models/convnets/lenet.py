"""LeNet-5, a convolutional classifier of handwritten digits.

    image [B, 32, 32, 1]
      -> convolution 5x5, 6 maps    [B, 28, 28, 6]   -> tanh -> average pool 2
      -> convolution 5x5, 16 maps   [B, 10, 10, 16]  -> tanh -> average pool 2
      -> flatten [B, 400] -> 120 -> 84 -> classes

Source: LeCun, Bottou, Bengio, Haffner 1998, section II.B. Departs from it in two ways, as the
books do: C3 sees all six maps, and the output is a linear layer of logits in place of radial basis
functions. 61,706 parameters. The published form is `jdl.models.convnets.lenet_1998`.

Axes: B images, H rows, W columns, C channels. Pixels lie in [-1, 1].
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.convolution_forms import Conv
from jdl.nn.pooling import avg_pool
from jdl.nn.variational_layers import called


def lenet5(
    num_classes: int = 10,
    activation: Callable = jnp.tanh,
    dtype=None,
    param_dtype=jnp.float32,
    *,
    conv: Callable = Conv,
    linear: Callable = nnx.Linear,
    dropout_rate: float = 0.0,
) -> Model:
    """LeNet-5 for 32 x 32 grey images.

    Args:
        num_classes: number of classes.
        activation: elementwise function after every layer but the last.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.
        conv: class of the convolutions; those of `jdl.nn.variational_layers`, such as
            `FlipoutConv`, with their `linear` make a Bayesian network.
        linear: class of the layers after them.
        dropout_rate: probability of dropping a unit of the two hidden dense layers while training.

    Returns:
        A Model: images [B, 32, 32, 1] -> logits [B, num_classes]. Its method `features` gives the
        pooled maps of both convolutions, and `classify` takes the last.

    Raises:
        ValueError: from `apply`, images of another shape.

    Example:
        >>> model = lenet5()
        >>> variables = model.init(jax.random.key(0))
        >>> logits, _ = model.apply(variables, jnp.zeros([4, 32, 32, 1]))
        >>> logits.shape
        (4, 10)
    """
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}
    classes = conv, linear
    return functional(
        lambda rngs: LeNet5(num_classes, activation, classes, dropout_rate, dtypes, rngs=rngs)
    )


class LeNet5(nnx.Module):
    """The network of `lenet5`."""

    def __init__(self, num_classes, activation, classes, dropout_rate, dtypes, *, rngs):
        conv, linear = classes
        self.activation = activation
        self.conv1 = conv(1, 6, (5, 5), padding="VALID", **dtypes, rngs=rngs)
        self.conv2 = conv(6, 16, (5, 5), padding="VALID", **dtypes, rngs=rngs)
        self.dense1 = linear(400, 120, **dtypes, rngs=rngs)  # 400 = 16 * 5 * 5
        self.dense2 = linear(120, 84, **dtypes, rngs=rngs)
        self.head = linear(84, num_classes, **dtypes, rngs=rngs)
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, 32, 32, 1] -> logits [B, num_classes]."""
        return self.classify(self.features(images, rngs=rngs)[-1], rngs=rngs)

    def features(
        self, images: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Images [B, 32, 32, 1] -> the pooled maps of both convolutions."""
        check_digits(images)
        first = avg_pool(self.activation(called(self.conv1, images, rngs)), 2)
        return first, avg_pool(self.activation(called(self.conv2, first, rngs)), 2)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, 5, 5, 16] -> logits [B, num_classes]."""
        x = maps.reshape(maps.shape[0], 400)
        x = self.dropout(self.activation(called(self.dense1, x, rngs)), rngs=rngs)
        x = self.dropout(self.activation(called(self.dense2, x, rngs)), rngs=rngs)
        return called(self.head, x, rngs)


def check_digits(images: jax.Array) -> None:
    """Raises ValueError unless the images are [B, 32, 32, 1]."""
    chex.assert_shape(
        images,
        (None, 32, 32, 1),
        exception_type=ValueError,
        custom_message="LeNet-5 takes 32 x 32 grey images; pad 28 x 28 digits by 2 a side",
    )
