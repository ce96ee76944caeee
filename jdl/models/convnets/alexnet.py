"""AlexNet: five convolutions, overlapping pooling, rectifiers and dropout, on two GPUs or one.

    image [B, 224, 224, 3]
      -> 11x11, stride 4   [B, 55, 55, C1]   -> [response norm] -> max pool 3, stride 2
      -> 5x5               [B, 27, 27, C2]   -> [response norm] -> max pool 3, stride 2
      -> 3x3               [B, 13, 13, C3]
      -> 3x3               [B, 13, 13, C4]
      -> 3x3               [B, 13, 13, C5]   -> max pool 3, stride 2   [B, 6, 6, C5]
      -> 4096 -> 4096 -> classes

    name           maps C1 .. C5              groups       response norm   parameters
    alexnet_2012   96, 256, 384, 384, 256     1 2 1 2 2    yes             60,965,224
    alexnet        64, 192, 384, 256, 256     1 1 1 1 1    no              61,100,840

The groups are the two GPUs of 2012, which saw each other's maps in the third convolution and in the
dense layers. The single tower is the form of 2014, and torchvision's.

Source: Krizhevsky, Sutskever, Hinton 2012, section 3 and figure 2, section 5 (kernels of standard
deviation 0.01; biases of 1 in the second, fourth and fifth convolution and the hidden layers);
Krizhevsky 2014 (one tower, dropout of the inputs of the hidden layers as torchvision has it). The
figure's images of 224 give 55 places only with padding: two on each side here, as torchvision has
it, three in all in 004. Departs: the norm sees the maps of both groups, as the formula has it. 004
leaves the norm out, and its "increase the training time" should be reduce.

Axes: B images, H rows, W columns, C channels.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.dense_head import DenseHead
from jdl.models.convnets.image_shape import check_images
from jdl.nn.normalization import local_response_norm
from jdl.nn.pooling import max_pool

SIZES, STRIDES, PADDINGS = (11, 5, 3, 3, 3), (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)
FIRST_BIASES = (0.0, 1.0, 0.0, 1.0, 1.0)
POOLED = (0, 1, 4)  # the convolutions that a pooling follows
LEAST = 63  # rows and columns that leave one place after the last pooling


def alexnet(
    features: Sequence[int] = (64, 192, 384, 256, 256),
    groups: Sequence[int] = (1, 1, 1, 1, 1),
    *,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    response_norm: Callable | None = None,
    hidden_dim: int = 4096,
    grid: int = 6,
    dropout_rate: float = 0.5,
    drop_inputs: bool = True,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """AlexNet, one tower unless the groups say otherwise.

    Args:
        features: maps of the five convolutions.
        groups: parts of each that see nothing of each other.
        num_classes: K; None for no dense layers, so that the outputs are means over space.
        in_channels: C of the images.
        response_norm: maps -> maps, after the first and the second rectifier; None for none.
        hidden_dim: of the two dense layers.
        grid: G; the dense layers see G x G places.
        dropout_rate: of the units of both dense layers.
        drop_inputs: drop the inputs of the dense layers in place of their outputs.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K], or means [B, features[-1]]. Its method
        `features` gives the maps before each pooling and the last pooled ones, which `classify`
        takes.

    Raises:
        ValueError: from `apply`, images of other channels, or smaller than 63.

    Example:
        >>> model = alexnet(num_classes=10)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 224, 224, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    made = {"dtype": dtype, "param_dtype": param_dtype}
    head = {"hidden_dim": hidden_dim, "dropout_rate": dropout_rate, "drop_inputs": drop_inputs}
    return functional(
        lambda rngs: AlexNet(
            features, groups, in_channels, response_norm, grid, num_classes, head, made, rngs=rngs
        )
    )


class AlexNet(nnx.Module):
    """The network of `alexnet`."""

    def __init__(
        self, features, groups, in_channels, response_norm, grid, num_classes, head, dtypes, *, rngs
    ):
        made = {"kernel_init": nnx.initializers.normal(0.01), **dtypes, "rngs": rngs}
        self.in_channels, channels = in_channels, in_channels
        self.response_norm = jax.nn.identity if response_norm is None else response_norm
        self.convs = nnx.List()
        layers = zip(features, groups, SIZES, STRIDES, PADDINGS, FIRST_BIASES, strict=True)
        for maps, parts, size, strides, padding, bias in layers:
            conv = nnx.Conv(
                channels,
                maps,
                (size, size),
                strides,
                padding=padding,
                feature_group_count=parts,
                bias_init=nnx.initializers.constant(bias),
                **made,
            )
            self.convs.append(conv)
            channels = maps
        ones = nnx.initializers.ones_init()
        self.head = DenseHead(channels, grid, num_classes, bias_init=ones, **head, **made)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images)[-1], rngs=rngs)

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> maps before each of three poolings, and the last pooled."""
        check_images(images, self.in_channels, LEAST)
        found, x = [], images
        for layer, conv in enumerate(self.convs):
            x = jax.nn.relu(conv(x))
            if layer < 2:
                x = self.response_norm(x)
            if layer in POOLED:
                found.append(x)
                x = max_pool(x, 3, 2)
        return (*found, x)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K], or means [B, D] without classes."""
        return self.head(maps, rngs=rngs)


alexnet_2012 = functools.partial(
    alexnet,
    features=(96, 256, 384, 384, 256),
    groups=(1, 2, 1, 2, 2),
    response_norm=local_response_norm,
    drop_inputs=False,
)
ALEXNETS = {"alexnet": alexnet, "alexnet_2012": alexnet_2012}
