"""DenseNet: within a block every layer sees the maps of all layers before it.

    image [B, 224, 224, 3] -> 7x7, C_0 maps, stride 2 -> norm, relu -> max pool 3, stride 2
      -> `DenseBlock` -> [`Transition` -> `DenseBlock`] ... -> norm, relu
      -> mean over space -> classes

    channels after a block of n layers   C + k n;   after a transition   floor(theta C)

                   layers          k    C_0   parameters
    DenseNet-121   6, 12, 24, 16   32   64     7,978,856
    DenseNet-169   6, 12, 32, 32   32   64    14,149,480
    DenseNet-201   6, 12, 48, 32   32   64    20,013,928
    DenseNet-264   6, 12, 64, 48   32   64    33,337,704
    DenseNet-161   6, 12, 36, 24   48   96    28,681,000

    CIFAR, 10 classes: 3x3 in place of the first rows, three blocks
    DenseNet       L = 40,  k = 12    C_0 = 16, no 1x1, theta = 1      1,019,722
    DenseNet-BC    L = 100, k = 12    C_0 = 2 k                          769,162
    DenseNet-BC    L = 250, k = 24                                    15,324,406
    DenseNet-BC    L = 190, k = 40                                    25,624,430

L counts the layers with weights: (L - 4) / 3 layers a block, or half as many pairs. Departs from
004, which gives k = 32 for all: the network of 250 layers and 15.3 M has 24, as published.

Source: Huang, Liu, van der Maaten, Weinberger 2017, table 1 and section 3 (4 k maps in the 1x1,
theta = 0.5); their code for 161. eps is PyTorch's 1e-5; Keras has
norm=functools.partial(nnx.BatchNorm, momentum=0.99, epsilon=1.001e-5).

Axes: B images, H rows, W columns, C channels, K classes.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.image_shape import check_images
from jdl.models.convnets.pooled_head import PooledHead
from jdl.nn.dense_block import DenseBlock, Transition
from jdl.nn.pooling import max_pool
from jdl.nn.residual import BATCH_NORM, HE_CONV


def densenet(
    block_sizes: Sequence[int] = (6, 12, 24, 16),
    growth_rate: int = 32,
    *,
    stem_features: int = 64,
    downsamples: bool = True,
    bottleneck: int | None = 4,
    compression: float = 0.5,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    dropout_rate: float = 0.0,
    norm: Callable = BATCH_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A DenseNet-BC, DenseNet-121 unless the table says otherwise.

    Args:
        block_sizes: layers of each dense block.
        growth_rate: k, maps that each layer adds.
        stem_features: C_0.
        downsamples: begin with 7x7 of stride 2 and a pooling; False for a 3x3 alone, as for CIFAR.
        bottleneck: the 1x1 of a layer has bottleneck * k maps; None leaves it out.
        compression: theta of the transitions.
        num_classes: K; None for no head: the outputs are the pooled features.
        in_channels: C.
        dropout_rate: of the maps that a layer adds; 0.2 as published without augmentation.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. method="features" gives the maps of each
        block, the last normalised and activated, which `classify` takes.

    Raises:
        ValueError: from `apply`, images of other channels, or too small to be halved so often.

    Example:
        >>> model = densenet([2, 2], 4, stem_features=8, downsamples=False, num_classes=10)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 32, 32, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    layer = {"bottleneck": bottleneck, "dropout_rate": dropout_rate}
    stem = in_channels, stem_features, downsamples
    made = {"norm": norm, "dtype": dtype, "param_dtype": param_dtype}
    return functional(
        lambda rngs: DenseNet(
            block_sizes, growth_rate, stem, layer, compression, num_classes, **made, rngs=rngs
        )
    )


def cifar_densenet(
    depth: int = 100,
    growth_rate: int = 12,
    *,
    bottleneck: int | None = 4,
    compression: float = 0.5,
    num_classes: int | None = 10,
    **options,
) -> Model:
    """A DenseNet for images of 32 x 32, with three blocks.

    Args:
        depth: L.
        growth_rate: k.
        bottleneck: 4, of DenseNet-BC, which begins with 2 k maps; None, of the plain form, which
            begins with 16.
        compression: theta; 1 in the plain form.
        num_classes: K.
        options: of `densenet`.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K].

    Raises:
        ValueError: a depth that three equal blocks do not have.
    """
    convolutions = 1 if bottleneck is None else 2
    layers, rest = divmod(depth - 4, 3 * convolutions)
    if rest or layers < 1:
        raise ValueError(f"depth is 4 + {3 * convolutions} layers of each block; got {depth}")
    return densenet(
        (layers,) * 3,
        growth_rate,
        stem_features=16 if bottleneck is None else 2 * growth_rate,
        downsamples=False,
        bottleneck=bottleneck,
        compression=compression,
        num_classes=num_classes,
        **options,
    )


class DenseNet(nnx.Module):
    """The network of `densenet`."""

    def __init__(
        self,
        block_sizes,
        growth_rate,
        stem,
        layer,
        compression,
        num_classes,
        *,
        norm,
        dtype,
        param_dtype,
        rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.in_channels, channels, self.downsamples = stem
        size, stride = (7, 2) if self.downsamples else (3, 1)
        self.stem = HE_CONV(
            self.in_channels, channels, (size, size), stride, padding=size // 2, **made
        )
        self.stem_norm = norm(channels, **made) if self.downsamples else None
        self.blocks, self.transitions = nnx.List(), nnx.List()
        for number, layers in enumerate(block_sizes):
            if number > 0:
                self.transitions.append(Transition(channels, compression, norm=norm, **made))
                channels = self.transitions[-1].out_features
            self.blocks.append(
                DenseBlock(channels, layers, growth_rate, norm=norm, **layer, **made)
            )
            channels = self.blocks[-1].out_features
        self.norm = norm(channels, **made)
        self.head = PooledHead(channels, num_classes, **made)

    def features(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> maps of each block, the last normalised and activated."""
        last = 2 ** len(self.transitions)  # rows that the first block hands on, at the least
        least = 4 * (last - 1) + 1 if self.downsamples else last
        check_images(images, self.in_channels, least)
        x = self.stem(images)
        if self.downsamples:
            x = max_pool(jax.nn.relu(self.stem_norm(x)), 3, 2, padding=1)
        maps = [self.blocks[0](x, rngs=rngs)]
        for transition, block in zip(self.transitions, self.blocks[1:], strict=True):
            maps.append(block(transition(maps[-1]), rngs=rngs))
        return *maps[:-1], jax.nn.relu(self.norm(maps[-1]))

    def classify(self, maps: jax.Array) -> jax.Array:
        """The last maps of `features` -> logits [B, K]."""
        return self.head(maps)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images, rngs=rngs)[-1])


densenet121 = functools.partial(densenet, (6, 12, 24, 16))
densenet169 = functools.partial(densenet, (6, 12, 32, 32))
densenet201 = functools.partial(densenet, (6, 12, 48, 32))
densenet264 = functools.partial(densenet, (6, 12, 64, 48))
densenet161 = functools.partial(densenet, (6, 12, 36, 24), 48, stem_features=96)
densenet_bc_100_12 = functools.partial(cifar_densenet, 100, 12)
densenet_bc_250_24 = functools.partial(cifar_densenet, 250, 24)
densenet_bc_190_40 = functools.partial(cifar_densenet, 190, 40)
densenet_40_12 = functools.partial(cifar_densenet, 40, 12, bottleneck=None, compression=1.0)
DENSENETS = {
    "densenet121": densenet121,
    "densenet169": densenet169,
    "densenet201": densenet201,
    "densenet264": densenet264,
    "densenet161": densenet161,
    "densenet_bc_100_12": densenet_bc_100_12,
    "densenet_bc_250_24": densenet_bc_250_24,
    "densenet_bc_190_40": densenet_bc_190_40,
    "densenet_40_12": densenet_40_12,
}
