"""The books' small convolutional networks: 3x3 convolutions without padding, pooled by 2.

    image [B, H, W, C]
      -> (convolution 3x3 -> rectifier -> max pool 2) for each number of maps
      -> flatten -> (dense -> rectifier) for each number of units -> classes

    name        images      maps           sizes                       units   parameters
    mnist_cnn   28 x 28     32, 64         26, 13, 11, 5   -> 1600     128     225,034
    cifar_cnn   32 x 32     32, 64, 128    30, 15, 13, 6, 4, 2 -> 512  128     160,202

004 says "three dense layers" after the flattening; if 512 -> 512 is the first of them, that is
cifar_cnn(hidden_dims=(512, 128)), of 422,858.

Source: 000 (its listings in Keras and PyTorch); 004 example 4.3.1. Departs from 000's Keras
listing, which ends in a softmax: the outputs are logits. Kernels start as He's by the fan out;
neither book names a start of its own. The flattened order is rows, columns, maps, as in Keras;
PyTorch's is maps first.

Axes: B images, H rows, W columns, C channels.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.pooling import max_pool
from jdl.nn.residual import HE_CONV


def small_cnn(
    features: Sequence[int] = (32, 64),
    hidden_dims: Sequence[int] = (128,),
    *,
    image_size: int = 28,
    in_channels: int = 1,
    num_classes: int | None = 10,
    dropout_rate: float = 0.0,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A small convolutional network, 000's for MNIST unless the sizes say otherwise.

    Args:
        features: maps of each convolution.
        hidden_dims: units of each dense layer before the last.
        image_size: H = W, which flattening fixes.
        in_channels: C.
        num_classes: K; None for no dense layers, so that the outputs are the flattened maps.
        dropout_rate: of the hidden units; the books drop none.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. Its method `features` gives the pooled maps
        of each convolution, and `classify` takes the last.

    Raises:
        ValueError: images too small for so many convolutions; from `apply`, of another shape.

    Example:
        >>> model = cifar_cnn()
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.zeros([2, 32, 32, 3]))[0].shape
        (2, 10)
    """
    size = image_size
    for _ in features:
        size = (size - 2) // 2
    if size < 1:
        raise ValueError(
            f"{len(features)} convolutions leave nothing of {image_size} rows; take fewer, or "
            "larger images"
        )
    shape = image_size, image_size, in_channels
    options = {"dropout_rate": dropout_rate, "dtype": dtype, "param_dtype": param_dtype}
    return functional(
        lambda rngs: SmallCNN(
            shape, features, size**2, hidden_dims, num_classes, **options, rngs=rngs
        )
    )


class SmallCNN(nnx.Module):
    """The network of `small_cnn`."""

    def __init__(
        self,
        shape,
        features,
        places,
        hidden_dims,
        num_classes,
        *,
        dropout_rate,
        dtype,
        param_dtype,
        rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.shape = shape
        pairs = zip((shape[-1], *features[:-1]), features, strict=True)
        self.convs = nnx.List(
            [HE_CONV(c, d, (3, 3), padding=0, use_bias=True, **made) for c, d in pairs]
        )
        units = [places * features[-1], *hidden_dims, num_classes]
        layers = [] if num_classes is None else list(zip(units[:-1], units[1:], strict=True))
        self.layers = nnx.List([nnx.Linear(inputs, outputs, **made) for inputs, outputs in layers])
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images)[-1], rngs=rngs)

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> pooled maps of each convolution."""
        if images.ndim != 4 or images.shape[1:] != self.shape:
            raise ValueError(
                f"images are {['B', *self.shape]}; got {list(images.shape)}. Resize them, or name "
                "image_size and in_channels"
            )
        found, x = [], images
        for conv in self.convs:
            x = max_pool(jax.nn.relu(conv(x)), 2)
            found.append(x)
        return tuple(found)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K], or flattened maps without classes."""
        x = maps.reshape(maps.shape[0], -1)
        for layer in self.layers[:-1]:
            x = self.dropout(jax.nn.relu(layer(x)), rngs=rngs)
        return self.layers[-1](x) if len(self.layers) else x


mnist_cnn = functools.partial(small_cnn)
cifar_cnn = functools.partial(small_cnn, (32, 64, 128), image_size=32, in_channels=3)
SMALL_CNNS = {"cifar_cnn": cifar_cnn, "mnist_cnn": mnist_cnn}
