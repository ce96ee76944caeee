"""Inception-v4: more blocks of more maps, and a stem that branches too.

    image [B, 299, 299, 3]
      -> 3x3 stride 2, 32 -> 3x3, 32 -> 3x3, 64           [B, 147, 147, 64]
      -> max pool beside 3x3 stride 2 -> two branches     [B, 71, 71, 192]
      -> 3x3 stride 2 beside max pool -> 4 blocks A       [B, 35, 35, 384]
      -> reduction A -> 7 blocks B                        [B, 17, 17, 1024]
      -> reduction B -> 3 blocks C                        [B, 8, 8, 1536]
      -> mean -> dropout -> classes

42,679,816 parameters. Means within blocks are those of the places inside of the maps, as in
TensorFlow; eps is 1e-3. The order of the maps is that of the published code (TF-Slim) and of timm.

Source: Szegedy, Ioffe, Vanhoucke, Alemi 2016, figures 3 to 9 and table 1 (k, l, m, n = 192, 224,
256, 384); 0.2 of the means dropped, section 3. Departs: kernels start as He's by the fan out.

Axes: B images, H rows, W columns, C channels.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.staged_inception import INCEPTION_NORM, StagedInception
from jdl.nn.inception import scaled_maps
from jdl.nn.pooling import avg_pool, max_pool

LEAST = 75  # rows and columns that leave one place after the last reduction
halved = functools.partial(max_pool, window=3, strides=2)
mean = functools.partial(avg_pool, window=3, strides=1, padding=1, count_padding=False)


def inception_v4(
    num_a: int = 4,
    num_b: int = 7,
    num_c: int = 3,
    *,
    width: float = 1.0,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    norm: Callable | None = INCEPTION_NORM,
    dropout_rate: float = 0.2,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """Inception-v4.

    Args:
        num_a: blocks A.
        num_b: blocks B.
        num_c: blocks C.
        width: factor of the maps of all convolutions.
        num_classes: K; None for no linear layer, so that the outputs are the means.
        in_channels: C of the images.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...) of each convolution; None has
            biases instead.
        dropout_rate: of the means.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. Its method `features` gives the maps at the
        end of each of five stages, and `classify` takes the last.

    Raises:
        ValueError: from `apply`, images of other channels or smaller than 75.

    Example:
        >>> import jax
        >>> model = inception_v4(1, 0, 0, num_classes=10)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 96, 96, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    stages = [scaled_maps(stage, width) for stage in inception_v4_table(num_a, num_b, num_c)]
    options = {"norm": norm, "dropout_rate": dropout_rate}
    options |= {"dtype": dtype, "param_dtype": param_dtype}
    return functional(
        lambda rngs: StagedInception(stages, in_channels, LEAST, num_classes, **options, rngs=rngs)
    )


def inception_v4_table(num_a: int, num_b: int, num_c: int) -> list[list]:
    """The five stages as `jdl.nn.inception.Chain` takes them: (maps, size, strides, padding)."""
    flat = [(64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1, 0)]
    stem = [[(64, 1), (96, 3, 1, 0)], flat]

    a = [[(96, 1)], [(64, 1), (96, 3)], [(64, 1), (96, 3), (96, 3)], [mean, (96, 1)]]
    reduction_a = [[(384, 3, 2, 0)], [(192, 1), (224, 3), (256, 3, 2, 0)], [halved]]

    seven = [(192, 1), (224, (1, 7)), (256, (7, 1))]
    twice = [(192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))]
    b = [[(384, 1)], seven, twice, [mean, (128, 1)]]
    seven = [(256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2, 0)]
    reduction_b = [[(192, 1), (192, 3, 2, 0)], seven, [halved]]

    fork = [[(256, (1, 3))], [(256, (3, 1))]]
    deep = [(384, 1), (448, (3, 1)), (512, (1, 3)), fork]
    c = [[(256, 1)], [(384, 1), fork], deep, [mean, (256, 1)]]
    return [
        [(32, 3, 2, 0), (32, 3, 1, 0), (64, 3)],
        [[[halved], [(96, 3, 2, 0)]], stem],
        [[[(192, 3, 2, 0)], [halved]], *[a] * num_a],
        [reduction_a, *[b] * num_b],
        [reduction_b, *[c] * num_c],
    ]
