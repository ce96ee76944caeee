"""BN-Inception, the first to be called Inception-v2: GoogLeNet with batch norms and no 5x5.

    image [B, 224, 224, 3]
      -> 7x7, 64 maps, stride 2              [B, 112, 112, 64]
      -> max pool -> 1x1, 64 -> 3x3, 192     [B, 56, 56, 192]
      -> max pool -> modules 3a, 3b          [B, 28, 28, 320]
      -> modules 3c to 4d, 3c with stride 2  [B, 14, 14, 608]
      -> modules 4e to 5b, 4e with stride 2  [B, 7, 7, 1024]
      -> mean -> classes

    module    1x1 | 1x1 -> 3x3 | 1x1 -> 3x3 -> 3x3 | pool -> 1x1

A 5x5 has become two of 3x3. Modules of stride 2 have no 1x1 branch and pass all pooled channels on.
11,295,240 parameters, biases before the norms included, as the published weights have them.

Source: Ioffe, Szegedy 2015, section 4.2 and figure 5. The figure gives 4c and 4d 576 maps, but
their branches add up to 608, which the published weights have too. Szegedy et al. 2015, of
Inception-v3, call another network Inception-v2. Departs: kernels start as He's by the fan out;
images whose maps have an odd size before a stride are taken too, their pool padded on both sides.

Axes: B images, H rows, W columns, C channels.
"""

import functools
from collections.abc import Callable, Sequence

import jax.numpy as jnp

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.googlenet import halved
from jdl.models.convnets.staged_inception import StagedInception
from jdl.nn.pooling import avg_pool, max_pool
from jdl.nn.residual import BATCH_NORM

# 1x1, the 1x1 before the 3x3, 3x3, the 1x1 before the two 3x3, these, the pool, the 1x1 after it.
MODULES = (
    ((64, 64, 64, 64, 96, "mean", 32), (64, 64, 96, 64, 96, "mean", 64)),
    (
        (0, 128, 160, 64, 96, "stride", 0),
        (224, 64, 96, 96, 128, "mean", 128),
        (192, 96, 128, 96, 128, "mean", 128),
        (160, 128, 160, 128, 160, "mean", 128),
        (96, 128, 192, 160, 192, "mean", 128),
    ),
    (
        (0, 128, 192, 192, 256, "stride", 0),
        (352, 192, 320, 160, 224, "mean", 128),
        (352, 192, 320, 192, 224, "max", 128),
    ),
)
LEAST = 32  # rows and columns


def bn_inception(
    modules: Sequence[Sequence[tuple]] = MODULES,
    stem: Sequence[int] = (64, 64, 192),
    *,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    norm: Callable = BATCH_NORM,
    dropout_rate: float = 0.0,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """BN-Inception.

    Args:
        modules: of the three stages the row of figure 5 of each module; the pool is "mean", "max"
            or "stride", for a module of stride 2.
        stem: maps of the three convolutions before them.
        num_classes: K; None for no linear layer, so that the outputs are the means.
        in_channels: C of the images.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...) of each convolution.
        dropout_rate: of the means; the paper drops none.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. Its method `features` gives the maps at the
        end of each of five stages, and `classify` takes the last.

    Raises:
        ValueError: from `apply`, images of other channels or smaller than 32.

    Example:
        >>> import jax
        >>> model = bn_inception((MODULES[0], (), ()), num_classes=10)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 64, 64, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    first, second, third = stem
    stages = [[(first, 7, 2)], [halved, (second, 1), (third, 3)]]
    stages += [[_branches(*module) for module in stage] for stage in modules]
    stages[2].insert(0, halved)
    options = {"norm": norm, "use_bias": True, "dropout_rate": dropout_rate}
    options |= {"dtype": dtype, "param_dtype": param_dtype}
    return functional(
        lambda rngs: StagedInception(stages, in_channels, LEAST, num_classes, **options, rngs=rngs)
    )


def _branches(one, reduce_three, three, reduce_double, double, pool, projection):
    """A module as `jdl.nn.inception.Chain` takes it."""
    strides = 2 if pool == "stride" else 1
    branches = [
        [(reduce_three, 1), (three, 3, strides)],
        [(reduce_double, 1), (double, 3), (double, 3, strides)],
    ]
    if strides == 2:
        return [*branches, [_halved_beside_a_convolution]]
    pool = functools.partial({"mean": avg_pool, "max": max_pool}[pool], window=3, strides=1)
    return [[(one, 1)], *branches, [functools.partial(pool, padding=1), (projection, 1)]]


def _halved_beside_a_convolution(x):
    """As many windows as a 3x3 of stride 2 padded by 1 has, also at an odd size."""
    return max_pool(x, 3, 2, [(size % 2, 1) for size in x.shape[1:3]])
