"""EfficientNet: one network found by search, scaled in depth, width and resolution at once.

    depth d = alpha^phi, width w = beta^phi, resolution r = gamma^phi
    alpha = 1.2, beta = 1.1, gamma = 1.15;   alpha beta^2 gamma^2 = 1.92, about twice the cost a phi

    image [B, H, W, 3] -> 3x3, 32 w maps, stride 2 -> seven stages of `InvertedResidual`
      -> 1x1, 1280 w maps -> mean over space -> dropout -> classes

    layers a stage      ceil(d layers of B0)
    maps                w maps of B0, rounded to a multiple of 8, never below 90 %
    branches left out   the i-th of n blocks with probability 0.2 i / n (stochastic depth)

          w    d    resolution  dropout  parameters
    B0    1.0  1.0  224         0.2        5,288,548
    B1    1.0  1.1  240         0.2        7,794,184
    B2    1.1  1.2  260         0.3        9,109,994
    B3    1.2  1.4  300         0.3       12,233,232
    B4    1.4  1.8  380         0.4       19,341,616
    B5    1.6  2.2  456         0.4       30,389,784
    B6    1.8  2.6  528         0.5       43,040,704
    B7    2.0  3.1  600         0.5       66,347,960
    L2    4.3  5.3  800         0.5      480,309,308     (Xie et al. 2020; trained on 475)

The resolution is that of the images: any goes in. torchvision's B2 is tested on 288. Published
weights differ in what no count shows:

    TensorFlow, Keras, HF, timm's tf_*     the defaults: padding="SAME", eps 1e-3
    torchvision B0-B4, timm's others       padding="symmetric", norm=jdl.nn.residual.BATCH_NORM
    torchvision B5-B7                      padding="symmetric"

Source: Tan, Le 2019, eq. 3, table 1 and section 5.2; their code (factors and first weights); Xie,
Luong, Hovy, Le 2020, table 7 (L2).

Axes: B images, H rows, W columns, C channels, K classes.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.inverted_residual_net import InvertedResidualNet, rounded
from jdl.nn.inverted_residual import EFFICIENTNET_NORM

STAGES = (  # expansion, kernel size, stride, maps, layers
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM, TOP = 32, 1280  # maps before and after the stages


def efficientnet(
    width: float = 1.0,
    depth: float = 1.0,
    *,
    stages: Sequence[tuple[int, int, int, int, int]] = STAGES,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    dropout_rate: float = 0.2,
    drop_path_rate: float = 0.2,
    padding: str = "SAME",
    norm: Callable = EFFICIENTNET_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """An EfficientNet.

    Args:
        width: w, factor of the maps.
        depth: d, factor of the layers.
        stages: (expansion, kernel size, stride, maps, layers) of each, at w = d = 1.
        num_classes: K; None for no head: the outputs are the pooled features [B, 1280 w].
        in_channels: C.
        dropout_rate: of the pooled features.
        drop_path_rate: probability that training would leave out the branch of a block after the
            last; it grows from 0 along the blocks.
        padding: "SAME", TensorFlow's, as published; or "symmetric".
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. method="features" gives the maps of the seven
        stages and of the last convolution, which `classify` takes.

    Raises:
        ValueError: from `apply`, images of other channels.

    Example:
        >>> import jax
        >>> model = efficientnet(stages=STAGES[:2], num_classes=10)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 32, 32, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    return functional(
        lambda rngs: InvertedResidualNet(
            scaled(stages, width, depth),
            in_channels,
            rounded(STEM * width),
            rounded(TOP * width),
            num_classes,
            dropout_rate=dropout_rate,
            drop_path_rate=drop_path_rate,
            padding=padding,
            norm=norm,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
    )


def scaled(
    stages: Sequence[tuple[int, int, int, int, int]], width: float, depth: float
) -> list[tuple[int, int, int, int, int]]:
    """The table of stages with maps times `width` and layers times `depth`, rounded as published.

    Example:
        >>> scaled([(6, 5, 2, 40, 2)], 1.1, 1.2)
        [(6, 5, 2, 48, 3)]
    """
    return [(*row, rounded(maps * width), math.ceil(depth * n)) for *row, maps, n in stages]


efficientnet_b0 = functools.partial(efficientnet, 1.0, 1.0, dropout_rate=0.2)
efficientnet_b1 = functools.partial(efficientnet, 1.0, 1.1, dropout_rate=0.2)
efficientnet_b2 = functools.partial(efficientnet, 1.1, 1.2, dropout_rate=0.3)
efficientnet_b3 = functools.partial(efficientnet, 1.2, 1.4, dropout_rate=0.3)
efficientnet_b4 = functools.partial(efficientnet, 1.4, 1.8, dropout_rate=0.4)
efficientnet_b5 = functools.partial(efficientnet, 1.6, 2.2, dropout_rate=0.4)
efficientnet_b6 = functools.partial(efficientnet, 1.8, 2.6, dropout_rate=0.5)
efficientnet_b7 = functools.partial(efficientnet, 2.0, 3.1, dropout_rate=0.5)
efficientnet_l2 = functools.partial(efficientnet, 4.3, 5.3, dropout_rate=0.5)
EFFICIENTNETS = {
    "efficientnet_b0": efficientnet_b0,
    "efficientnet_b1": efficientnet_b1,
    "efficientnet_b2": efficientnet_b2,
    "efficientnet_b3": efficientnet_b3,
    "efficientnet_b4": efficientnet_b4,
    "efficientnet_b5": efficientnet_b5,
    "efficientnet_b6": efficientnet_b6,
    "efficientnet_b7": efficientnet_b7,
    "efficientnet_l2": efficientnet_l2,
}
