"""MobileNets: a filter for each channel, then a mix of the channels, at an eighth of the cost.

    cost of K x K, C -> D maps, a place    K^2 C D full;   K^2 C + C D separable
                                           ratio 1 / D + 1 / K^2

    V1   image -> 3x3, 32 maps, stride 2 -> 13 x [depthwise 3x3, norm, act, 1x1, norm, act]
           -> mean over space -> dropout -> classes
    V2   image -> 3x3, 32 maps, stride 2 -> 17 x `InvertedResidual` -> 1x1, 1280 maps -> the same

Two multipliers make smaller networks. That of width, `width` (alpha), thins every layer: params
and cost go with about its square. That of resolution (rho; 224, 192, 160, 128) is the size of the
images, which any network here takes: cost goes with its square and params stay.

    V1   1.0  4,231,976    0.75  2,585,560    0.5  1,331,592    0.25    470,072
    V2   1.4  6,108,776    1.0   3,504,872    0.75 2,636,424    0.5   1,968,680    0.35  1,677,128

V2's last convolution keeps 1280 maps below width 1. Published weights differ in what no count
shows: TensorFlow, Keras and HF have the defaults, torchvision and timm padding="symmetric" and
norm=jdl.nn.residual.BATCH_NORM.

Source: Howard et al. 2017, table 1 and eqs. 3-7; Sandler et al. 2018, table 2; 004 ch. 4. Departs
from V1's table 1 where its last depthwise layer has stride 2, which its own sizes (7 to 7) forbid,
and rectifies at 6 as the authors' code does.

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
from jdl.models.convnets.inverted_residual_net import InvertedResidualNet, rounded
from jdl.models.convnets.pooled_head import PooledHead
from jdl.nn.inverted_residual import DEPTHWISE_CONV, EFFICIENTNET_NORM, border
from jdl.nn.residual import HE_CONV

STEM, TOP, LEAST_MAPS = 32, 1280, 8
V1_STAGES = ((1, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 6), (2, 1024, 2))  # stride, maps, units
V2_STAGES = (  # expansion, stride, maps, blocks
    (1, 1, 16, 1),
    (6, 2, 24, 2),
    (6, 2, 32, 3),
    (6, 2, 64, 4),
    (6, 1, 96, 3),
    (6, 2, 160, 3),
    (6, 1, 320, 1),
)


def mobilenet_v1(
    width: float = 1.0,
    *,
    stages: Sequence[tuple[int, int, int]] = V1_STAGES,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    dropout_rate: float = 0.001,
    padding: str = "SAME",
    activation: Callable = jax.nn.relu6,
    norm: Callable = EFFICIENTNET_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A MobileNet-V1.

    Args:
        width: alpha, factor of the maps.
        stages: (stride of the first unit, maps, units) of each, at width 1.
        num_classes: K; None for no head: the outputs are the pooled features.
        in_channels: C.
        dropout_rate: of the pooled features.
        padding: "SAME", TensorFlow's, as published; or "symmetric".
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. method="features" gives the maps of each
        stage, the last of which `classify` takes.

    Raises:
        ValueError: from `apply`, images of other channels.

    Example:
        >>> model = mobilenet_v1(0.25, num_classes=10)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 32, 32, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    return functional(
        lambda rngs: MobileNetV1(
            [(stride, _thinned(maps, width), units) for stride, maps, units in stages],
            in_channels,
            _thinned(STEM, width),
            num_classes,
            dropout_rate,
            {"padding": padding, "activation": activation, "norm": norm},
            {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs},
        )
    )


def mobilenet_v2(
    width: float = 1.0,
    *,
    stages: Sequence[tuple[int, int, int, int]] = V2_STAGES,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    dropout_rate: float = 0.2,
    padding: str = "SAME",
    norm: Callable = EFFICIENTNET_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A MobileNet-V2.

    Args:
        width: alpha, factor of the maps, which are rounded to multiples of 8.
        stages: (expansion, stride of the first block, maps, blocks) of each, at width 1.
        num_classes: K; None for no head: the outputs are the pooled features.
        in_channels: C.
        dropout_rate: of the pooled features.
        padding: "SAME", TensorFlow's, as published; or "symmetric".
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. method="features" gives the maps of each
        stage and of the last convolution, which `classify` takes.

    Raises:
        ValueError: from `apply`, images of other channels.
    """
    return functional(
        lambda rngs: InvertedResidualNet(
            [(t, 3, stride, rounded(maps * width), n) for t, stride, maps, n in stages],
            in_channels,
            rounded(STEM * width),
            rounded(TOP * max(1.0, width)),
            num_classes,
            se_ratio=0,
            dropout_rate=dropout_rate,
            padding=padding,
            activation=jax.nn.relu6,
            kernel_init=nnx.initializers.normal(0.01),
            norm=norm,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
    )


class MobileNetV1(nnx.Module):
    """The network of `mobilenet_v1`."""

    def __init__(self, stages, in_channels, stem, num_classes, dropout_rate, form, made):
        self.in_channels, self.activation = in_channels, form["activation"]
        pad = border(form["padding"], 3)
        self.stem = HE_CONV(in_channels, stem, (3, 3), 2, padding=pad, **made)
        self.stem_norm = form["norm"](stem, **made)
        self.stages, channels = nnx.List(), stem
        for stride, maps, units in stages:
            stage = nnx.List()
            for strides in [stride] + [1] * (units - 1):
                stage.append(SeparableUnit(channels, maps, strides, **form, **made))
                channels = maps
            self.stages.append(stage)
        self.head = PooledHead(channels, num_classes, dropout_rate=dropout_rate, **made)

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> maps of each stage."""
        check_images(images, self.in_channels)
        x, maps = self.activation(self.stem_norm(self.stem(images))), []
        for stage in self.stages:
            for unit in stage:
                x = unit(x)
            maps.append(x)
        return tuple(maps)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps of `features` -> logits [B, K]."""
        return self.head(maps, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images)[-1], rngs=rngs)


class SeparableUnit(nnx.Module):
    """Depthwise 3x3, norm, activation, 1x1, norm, activation."""

    def __init__(
        self, in_features, features, strides, *, padding, activation, norm, dtype, param_dtype, rngs
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.activation = activation
        self.depthwise = DEPTHWISE_CONV(
            in_features,
            in_features,
            (3, 3),
            strides,
            padding=border(padding, 3),
            feature_group_count=in_features,
            **made,
        )
        self.depthwise_norm = norm(in_features, **made)
        self.pointwise = HE_CONV(in_features, features, (1, 1), **made)
        self.pointwise_norm = norm(features, **made)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H', W', features]."""
        x = self.activation(self.depthwise_norm(self.depthwise(x)))
        return self.activation(self.pointwise_norm(self.pointwise(x)))


def _thinned(maps, width):
    return max(LEAST_MAPS, int(maps * width))


mobilenet_v1_100 = functools.partial(mobilenet_v1, 1.0)
mobilenet_v1_075 = functools.partial(mobilenet_v1, 0.75)
mobilenet_v1_050 = functools.partial(mobilenet_v1, 0.5)
mobilenet_v1_025 = functools.partial(mobilenet_v1, 0.25)
mobilenet_v2_140 = functools.partial(mobilenet_v2, 1.4)
mobilenet_v2_100 = functools.partial(mobilenet_v2, 1.0)
mobilenet_v2_075 = functools.partial(mobilenet_v2, 0.75)
mobilenet_v2_050 = functools.partial(mobilenet_v2, 0.5)
mobilenet_v2_035 = functools.partial(mobilenet_v2, 0.35)
MOBILENETS = {
    "mobilenet_v1_100": mobilenet_v1_100,
    "mobilenet_v1_075": mobilenet_v1_075,
    "mobilenet_v1_050": mobilenet_v1_050,
    "mobilenet_v1_025": mobilenet_v1_025,
    "mobilenet_v2_140": mobilenet_v2_140,
    "mobilenet_v2_100": mobilenet_v2_100,
    "mobilenet_v2_075": mobilenet_v2_075,
    "mobilenet_v2_050": mobilenet_v2_050,
    "mobilenet_v2_035": mobilenet_v2_035,
}
