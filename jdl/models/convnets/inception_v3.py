"""Inception-v3: large kernels factored into small and flat ones, and a norm after each convolution.

    image [B, 299, 299, 3]
      -> 3x3 stride 2, 32 -> 3x3, 32 -> 3x3, 64      [B, 147, 147, 64]
      -> max pool -> 1x1, 80 -> 3x3, 192             [B, 71, 71, 192]
      -> max pool -> 3 blocks A                      [B, 35, 35, 288]     a 5x5, or two 3x3
      -> reduction B -> 4 blocks C                   [B, 17, 17, 768]     1x7 and 7x1
      -> reduction D -> 2 blocks E                   [B, 8, 8, 2048]      1x3 beside 3x1
      -> mean -> dropout -> classes

Where no padding is, the sizes shrink: the stem, the max pools and the reductions pad nothing.
23,834,568 parameters, 27,161,264 with the auxiliary head on the last block C. Keras's norms do not
scale, norm=functools.partial(nnx.BatchNorm, epsilon=1e-3, use_scale=False): 23,817,352; its means
(and TensorFlow's) are those of the places inside of the maps, count_padding=False.

Source: Szegedy et al. 2015, "Rethinking the Inception architecture", table 1, figures 5 to 7 and
10; widths and the stem's padding are those of the published code (TF-Slim), which torchvision
repeats, eps 1e-3. Departs: kernels start as He's by the fan out. 004's 42 layers and error of
3.58 % are the paper's; the error is that of four networks and many crops.

Axes: B images, H rows, W columns, C channels.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.pooled_head import PooledHead
from jdl.models.convnets.staged_inception import INCEPTION_NORM, StagedInception
from jdl.nn.inception import Chain, scaled_maps
from jdl.nn.pooling import avg_pool, max_pool

LEAST = 75  # rows and columns that leave one place after the last reduction
halved = functools.partial(max_pool, window=3, strides=2)


def inception_v3(
    pooled: Sequence[int] = (32, 64, 64),
    sevens: Sequence[int] = (128, 160, 160, 192),
    num_last: int = 2,
    *,
    width: float = 1.0,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    auxiliary: bool = False,
    count_padding: bool = True,
    norm: Callable | None = INCEPTION_NORM,
    dropout_rate: float = 0.5,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """Inception-v3.

    Args:
        pooled: of each block A the maps after its pooling.
        sevens: of each block C the maps within its branches of 1x7 and 7x1.
        num_last: blocks E.
        width: factor of the maps of all convolutions.
        num_classes: K; None for no linear layer, so that the outputs are the means.
        in_channels: C of the images.
        auxiliary: whether training has a head on the last block C; its loss is
            `auxiliary_classification`.
        count_padding: whether the means within blocks count zeros at the borders, as torchvision's
            weights want it; False for TensorFlow's and Keras's.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...) of each convolution; None has
            biases instead.
        dropout_rate: of the means; 0.2 as published, 0.5 in torchvision.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K], or with the head in training
        `AuxiliaryLogits`. Its method `features` gives the maps at the end of each of five stages,
        and `classify` takes the last.

    Raises:
        ValueError: heads without classes; from `apply`, images of other channels or smaller than
            75, or too small for the head, which needs 17 x 17 places: images of 299.

    Example:
        >>> model = inception_v3((32,), (128,), 0, num_classes=10)  # one block A, one block C
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 96, 96, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    if auxiliary and num_classes is None:
        raise ValueError("auxiliary heads have classes; got num_classes=None. Drop auxiliary=True")
    stages = inception_v3_table(pooled, sevens, num_last, count_padding)
    stages = [scaled_maps(stage, width) for stage in stages]
    sizes = [max(1, round(width * maps)) for maps in (128, 768)]
    head = functools.partial(DeepAuxiliaryHead, sizes=sizes, num_classes=num_classes, norm=norm)
    options = {"norm": norm, "dropout_rate": dropout_rate, "auxiliary": head if auxiliary else None}
    options |= {"dtype": dtype, "param_dtype": param_dtype}
    return functional(
        lambda rngs: StagedInception(stages, in_channels, LEAST, num_classes, **options, rngs=rngs)
    )


def inception_v3_table(
    pooled: Sequence[int], sevens: Sequence[int], num_last: int, count_padding: bool
) -> list[list]:
    """The five stages as `jdl.nn.inception.Chain` takes them: (maps, size, strides, padding)."""
    mean = functools.partial(avg_pool, window=3, strides=1, padding=1, count_padding=count_padding)

    def a(maps):
        five, threes = [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)]
        return [[(64, 1)], five, threes, [mean, (maps, 1)]]

    b = [[(384, 3, 2, 0)], [(64, 1), (96, 3), (96, 3, 2, 0)], [halved]]

    def c(n):
        seven = [(n, 1), (n, (1, 7)), (192, (7, 1))]
        twice = [(n, 1), (n, (7, 1)), (n, (1, 7)), (n, (7, 1)), (192, (1, 7))]
        return [[(192, 1)], seven, twice, [mean, (192, 1)]]

    seven = [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0)]
    d = [[(192, 1), (320, 3, 2, 0)], seven, [halved]]
    fork = [[(384, (1, 3))], [(384, (3, 1))]]
    e = [[(320, 1)], [(384, 1), fork], [(448, 1), (384, 3), fork], [mean, (192, 1)]]
    return [
        [(32, 3, 2, 0), (32, 3, 1, 0), (64, 3)],
        [halved, (80, 1), (192, 3, 1, 0)],
        [halved, *map(a, pooled)],
        [b, *map(c, sevens)],
        [d, *[e] * num_last],
    ]


class DeepAuxiliaryHead(nnx.Module):
    """Mean pool 5, stride 3 -> 1x1 -> 5x5, no padding -> mean -> classes; normed convolutions."""

    def __init__(self, in_features, *, sizes, num_classes, norm, dtype, param_dtype, rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        layers = [(sizes[0], 1), (sizes[1], 5, 1, 0)]
        self.convs = Chain(in_features, layers, norm=norm, **made)
        self.head = PooledHead(sizes[1], num_classes, **made)

    def __call__(self, maps: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] of at least 17 x 17 -> logits [B, K]."""
        if min(maps.shape[1:3]) < 17:
            raise ValueError(
                f"the auxiliary head sees 17 x 17 places at the least; got {list(maps.shape)}. "
                "Train with images of 299, or build the model without auxiliary=True"
            )
        return self.head(self.convs(avg_pool(maps, 5, 3)))
