"""VGG: 3x3 convolutions alone, and twice the maps wherever the size is halved.

    image [B, 224, 224, 3]
      -> stage of   64 maps [B, 224, 224, 64]   -> max pool 2
      -> stage of  128      [B, 112, 112, 128]  -> max pool 2
      -> stage of  256      [B, 56, 56, 256]    -> max pool 2
      -> stage of  512      [B, 28, 28, 512]    -> max pool 2
      -> stage of  512      [B, 14, 14, 512]    -> max pool 2   [B, 7, 7, 512]
      -> 4096 -> 4096 -> classes

Two layers of 3x3 see 5x5 and three see 7x7, with fewer weights than one such kernel has and a
rectifier after each. A convolution has stride 1 and keeps the size.

    name      kernel sizes of the stages                            parameters     with norms
    vgg11     3 | 3 | 3 3 | 3 3 | 3 3                 (A)           132,863,336    132,868,840
    vgg13     3 3 | 3 3 | 3 3 | 3 3 | 3 3             (B)           133,047,848    133,053,736
    vgg16_c   3 3 | 3 3 | 3 3 1 | 3 3 1 | 3 3 1       (C)           133,638,952
    vgg16     3 3 | 3 3 | 3 3 3 | 3 3 3 | 3 3 3       (D)           138,357,544    138,365,992
    vgg19     3 3 | 3 3 | 3 x 4 | 3 x 4 | 3 x 4       (E)           143,667,240    143,678,248

Source: Simonyan, Zisserman 2014, table 1; its networks have no norms, torchvision's `vgg16_bn` and
others do. Departs: kernels start as He's by the fan out (as torchvision's), where the paper starts
deep networks from trained shallow ones; maps of other sizes are averaged to 7 x 7, as torchvision
does, where the paper turns the dense layers into convolutions. Its images have the mean of each
channel of the training set subtracted. 004's 143 M of VGG-19 is 143.7.

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
from jdl.nn.inception import ConvUnit
from jdl.nn.pooling import max_pool
from jdl.nn.residual import BATCH_NORM


def vgg(
    kernel_sizes: Sequence[Sequence[int]] = ((3,) * 2, (3,) * 2, (3,) * 3, (3,) * 3, (3,) * 3),
    features: Sequence[int] = (64, 128, 256, 512, 512),
    *,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    hidden_dim: int = 4096,
    grid: int = 7,
    dropout_rate: float = 0.5,
    norm: Callable | None = None,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A VGG network, VGG-16 unless the table says otherwise.

    Args:
        kernel_sizes: of the convolutions of each stage.
        features: maps of each stage.
        num_classes: K; None for no dense layers, so that the outputs are means over space.
        in_channels: C of the images.
        hidden_dim: of the two dense layers.
        grid: G; the dense layers see G x G places.
        dropout_rate: of their units.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...) after each convolution, whose
            biases stay, as torchvision has it. None for none, as published.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K], or means [B, features[-1]]. Its method
        `features` gives the maps before each pooling and the last pooled ones, which `classify`
        takes.

    Raises:
        ValueError: from `apply`, images of other channels, or smaller than 2 to the stages.

    Example:
        >>> model = vgg(num_classes=10)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 64, 64, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    made = {"norm": norm, "dtype": dtype, "param_dtype": param_dtype}
    head = {"hidden_dim": hidden_dim, "dropout_rate": dropout_rate}
    return functional(
        lambda rngs: VGG(
            kernel_sizes, features, in_channels, grid, num_classes, head, **made, rngs=rngs
        )
    )


class VGG(nnx.Module):
    """The network of `vgg`."""

    def __init__(
        self,
        kernel_sizes,
        features,
        in_channels,
        grid,
        num_classes,
        head,
        *,
        norm,
        dtype,
        param_dtype,
        rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.in_channels, channels = in_channels, in_channels
        self.stages = nnx.List()
        for sizes, maps in zip(kernel_sizes, features, strict=True):
            stage = nnx.List()
            for size in sizes:
                stage.append(ConvUnit(channels, maps, size, norm=norm, use_bias=True, **made))
                channels = maps
            self.stages.append(stage)
        self.head = DenseHead(channels, grid, num_classes, **head, **made)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images)[-1], rngs=rngs)

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> maps of each stage before its pooling, and the last pooled."""
        check_images(images, self.in_channels, 2 ** len(self.stages))
        found, x = [], images
        for stage in self.stages:
            for unit in stage:
                x = unit(x)
            found.append(x)
            x = max_pool(x, 2)
        return (*found, x)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K], or means [B, D] without classes."""
        return self.head(maps, rngs=rngs)


vgg11 = functools.partial(vgg, ((3,), (3,), (3,) * 2, (3,) * 2, (3,) * 2))
vgg13 = functools.partial(vgg, ((3,) * 2,) * 5)
vgg16_c = functools.partial(vgg, ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)))
vgg16 = functools.partial(vgg)
vgg19 = functools.partial(vgg, ((3,) * 2, (3,) * 2, (3,) * 4, (3,) * 4, (3,) * 4))
vgg11_bn = functools.partial(vgg11, norm=BATCH_NORM)
vgg13_bn = functools.partial(vgg13, norm=BATCH_NORM)
vgg16_bn = functools.partial(vgg16, norm=BATCH_NORM)
vgg19_bn = functools.partial(vgg19, norm=BATCH_NORM)
VGGS = {
    "vgg11": vgg11,
    "vgg11_bn": vgg11_bn,
    "vgg13": vgg13,
    "vgg13_bn": vgg13_bn,
    "vgg16": vgg16,
    "vgg16_bn": vgg16_bn,
    "vgg16_c": vgg16_c,
    "vgg19": vgg19,
    "vgg19_bn": vgg19_bn,
}
