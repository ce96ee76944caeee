"""ResNet: stages of residual blocks, each of half the size and twice the maps of the one before.

    image [B, H, W, 3]
      -> conv1 7x7, 64 maps, stride 2   [B, H/2, W/2, 64]     -> norm -> relu
      -> max pool 3x3, stride 2
      -> stage 1                        [B, H/4, W/4, D]      -> stage 2    [B, H/8, W/8, 2 D]
      -> stage 3                        [B, H/16, W/16, 4 D]  -> stage 4    [B, H/32, W/32, 8 D]
      -> mean over space -> classes

                     block        blocks a stage   D     parameters    published as
    resnet18         basic        2, 2, 2, 2       64    11,689,512
    resnet34         basic        3, 4, 6, 3       64    21,797,672
    resnet50         bottleneck   3, 4, 6, 3       256   25,557,032
    resnet101        bottleneck   3, 4, 23, 3      256   44,549,160
    resnet152        bottleneck   3, 8, 36, 3      256   60,192,808
    wide_resnet50_2  bottleneck   3, 4, 6, 3       256   68,883,240    WRN-50-2-bottleneck
    wide_resnet101_2 bottleneck   3, 4, 23, 3      256   126,886,696

In the wide ones the 3x3 of a bottleneck has twice the maps, its outputs are as many. Small images
(32 x 32) lose all size in this stem; with `small_images=True` conv1 is 3x3 of stride 1 and nothing
is pooled, so that stage 4 sees H/8.

Published weights differ in what no count shows:

    torchvision, timm, HF   the defaults: a bottleneck strides in its 3x3 ("v1.5", Goyal et al.)
    Keras, and the paper    stride_first=True; Keras's has conv=functools.partial(nnx.Conv,
                            use_bias=True) and norm=functools.partial(nnx.BatchNorm, momentum=0.99,
                            epsilon=1.001e-5): 25,583,592 in resnet50

Source: He, Zhang, Ren, Sun 2015, table 1 and section 3.4 (first weights); Zagoruyko, Komodakis
2016, section 3.3 (wide bottlenecks); Goyal et al. 2017, section 5.1 (zero_init).

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
from jdl.nn.pooling import max_pool
from jdl.nn.residual import BATCH_NORM, HE_CONV, ResidualBlock, dilated_in_place_of_strides, stacked

WIDTHS = (64, 128, 256, 512)  # of the 3x3; a bottleneck has four times as many outputs


def resnet(
    depths: Sequence[int] = (3, 4, 6, 3),
    *,
    bottleneck: bool = True,
    widths: Sequence[int] = WIDTHS,
    inner_factor: int = 1,
    stride_first: bool = False,
    shortcut: str = "projection",
    small_images: bool = False,
    output_stride: int | None = None,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    dropout_rate: float = 0.0,
    zero_init: bool = False,
    head_init: Callable = nnx.initializers.lecun_normal(),
    activation: Callable = jax.nn.relu,
    norm: Callable = BATCH_NORM,
    conv: Callable = HE_CONV,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A residual network for images of any size.

    Args:
        depths: blocks of each stage; (3, 4, 6, 3) bottlenecks are ResNet-50.
        bottleneck: blocks of three layers, 1x1, 3x3, 1x1, in place of two of 3x3.
        widths: maps of the 3x3 layers of each stage; the first are also those of the stem.
        inner_factor: of the layers of a block before its last, which have this many times the
            maps; 2 is wide.
        stride_first: a bottleneck strides in its first 1x1, as published; False: in its 3x3.
        shortcut: "projection" (B), "zeros" (A) or "projections" (C of the paper).
        small_images: conv1 is 3x3 of stride 1, and nothing is pooled.
        output_stride: the most rows of the image that a row of the last maps may stand for; 16 and
            8 dilate the last stages in place of their strides, as networks of dense outputs have
            it. None strides in each stage, 32 in all. Params stay.
        num_classes: K; None for no head, so that outputs are the means over space.
        in_channels: C.
        dropout_rate: probability of dropping a mean while training.
        zero_init: the last normalisation of each block scales by 0 at first.
        head_init: of the head's kernel; nnx.initializers.zeros_init() for logits of 0 at first.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        conv: as nnx.Conv; without biases, since a normalisation follows.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. `method="features"` gives five maps, of
        strides 2, 4, 8, 16, 32 (small images: 1, 1, 2, 4, 8), the first that of conv1.

    Raises:
        ValueError: from `apply`, images of other channels.

    Example:
        >>> model = resnet18()
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jnp.zeros([1, 224, 224, 3])
        >>> features = lambda v: model.apply(v, images, method="features")[0]
        >>> [maps.shape[1:] for maps in jax.eval_shape(features, variables)]
        [(112, 112, 64), (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]
    """
    made = {"dtype": dtype, "param_dtype": param_dtype}
    options = {
        "bottleneck": bottleneck,
        "stride_first": stride_first,
        "shortcut": shortcut,
        "zero_init": zero_init,
        "activation": activation,
    }
    head = {"dropout_rate": dropout_rate, "kernel_init": head_init}

    def build(rngs):
        block = functools.partial(_block, inner_factor, norm=norm, conv=conv, **options)
        return ResNet(
            (in_channels, widths, depths, small_images, output_stride),
            (activation, norm, conv, block),
            lambda channels: PooledHead(channels, num_classes, **head, **made, rngs=rngs),
            made | {"rngs": rngs},
        )

    return functional(build)


class ResNet(nnx.Module):
    """The network of `resnet`."""

    def __init__(self, sizes, parts, head, made):
        in_channels, widths, depths, small_images, output_stride = sizes
        self.activation, norm, conv, block = parts
        self.in_channels, self.small_images = in_channels, small_images
        size, stride = (3, 1) if small_images else (7, 2)
        self.conv1 = conv(in_channels, widths[0], (size, size), stride, padding=size // 2, **made)
        self.norm1 = norm(widths[0], **made)
        strides = [1] + [2] * (len(depths) - 1)
        stages = [strides]
        if output_stride is not None:
            most = output_stride // (1 if small_images else 4)
            stages = dilated_in_place_of_strides(strides, most)
        block = functools.partial(block, **made)
        self.stages = stacked(block, widths[0], widths, depths, *stages)
        self.head = head(self.stages[-1][-1].out_features)

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> the maps of conv1 and of each stage."""
        check_images(images, self.in_channels)
        x = self.activation(self.norm1(self.conv1(images)))
        maps = [x]
        x = x if self.small_images else max_pool(x, 3, 2, 1)
        for blocks in self.stages:
            for block in blocks:
                x = block(x)
            maps.append(x)
        return tuple(maps)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K]."""
        return self.head(maps, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images)[-1], rngs=rngs)


def _block(inner_factor, in_features, features, strides, **options):
    inner = {"inner_features": inner_factor * features}
    return ResidualBlock(in_features, features, strides, **inner, **options)


resnet18 = functools.partial(resnet, (2, 2, 2, 2), bottleneck=False)
resnet34 = functools.partial(resnet, (3, 4, 6, 3), bottleneck=False)
resnet50 = functools.partial(resnet, (3, 4, 6, 3))
resnet101 = functools.partial(resnet, (3, 4, 23, 3))
resnet152 = functools.partial(resnet, (3, 8, 36, 3))
wide_resnet50_2 = functools.partial(resnet50, inner_factor=2)
wide_resnet101_2 = functools.partial(resnet101, inner_factor=2)
RESNETS = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "wide_resnet50_2": wide_resnet50_2,
    "wide_resnet101_2": wide_resnet101_2,
}
