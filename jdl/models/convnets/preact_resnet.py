"""Pre-activation ResNet (ResNet V2): normalisation and activation come before each convolution.

    image [B, H, W, 3]
      -> conv1 7x7, 64 maps, stride 2   [B, H/2, W/2, 64]     -> max pool 3x3, stride 2
      -> four stages of `PreActivationBlock`, 256, 512, 1024, 2048 maps
      -> norm -> relu                   [B, H/32, W/32, 2048]
      -> mean over space -> classes

                  blocks a stage   parameters
    resnet50v2    3, 4, 6, 3       25,568,360     Keras
    resnet101v2   3, 4, 23, 3      44,577,896
    resnet152v2   3, 8, 36, 3      60,236,904
    resnetv2_50   3, 4, 6, 3       25,549,352     timm
    resnetv2_101  3, 4, 23, 3      44,541,480

The libraries differ. Keras: the last block of stages 1 to 3 strides (maps of stage 1 have H/8), its
shortcut takes every other place, and layers that no norm follows at once have biases. timm: the
first block of stages 2 to 4 strides, as published, and there are no biases. Both stride in the
3x3, the paper in the first 1x1. The maps are not rectified when they are pooled, so that the border
matters: Keras's is of zeros, timm's is never seen.

Source: He, Zhang, Ren, Sun 2016, figure 4e, table 5; Keras's and timm's code, as said.

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
from jdl.models.convnets.resnet import WIDTHS
from jdl.nn.pooling import max_pool
from jdl.nn.residual import BATCH_NORM, HE_CONV, PreActivationBlock, stacked

KERAS_NORM = functools.partial(nnx.BatchNorm, momentum=0.99, epsilon=1.001e-5)


def preact_resnet(
    depths: Sequence[int] = (3, 4, 6, 3),
    *,
    widths: Sequence[int] = WIDTHS,
    stride_last: bool = True,
    use_bias: bool = True,
    zero_border: bool = True,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    dropout_rate: float = 0.0,
    activation: Callable = jax.nn.relu,
    norm: Callable = KERAS_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A pre-activation ResNet of bottlenecks for images of any size; the defaults are Keras's.

    Args:
        depths: blocks of each stage.
        widths: maps of the 3x3 layers of each stage; the outputs are four times as many.
        stride_last: the last block of a stage halves the size, and stage 4 does not; False: the
            first block of each stage but stage 1.
        use_bias: of conv1, of the projections, and of the last layer of a block.
        zero_border: zeros around the maps that are pooled; False: nothing.
        num_classes: K; None for no head, so that outputs are the means over space.
        in_channels: C.
        dropout_rate: probability of dropping a mean while training.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. `method="features"` gives five maps, of conv1
        and of each stage, the last normalised and activated.

    Raises:
        ValueError: from `apply`, images of other channels.

    Example:
        >>> model = preact_resnet((1, 1, 1, 1))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> features = lambda v: model.apply(v, jnp.zeros([1, 64, 64, 3]), method="features")[0]
        >>> [maps.shape[1:] for maps in jax.eval_shape(features, variables)]
        [(32, 32, 64), (8, 8, 256), (4, 4, 512), (2, 2, 1024), (2, 2, 2048)]
    """

    def build(rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        block = functools.partial(_block, use_bias=use_bias, norm=norm, activation=activation)
        stages = _stages(functools.partial(block, **made), widths, depths, stride_last)
        channels = stages[-1][-1].out_features
        return PreActivationResNet(
            HE_CONV(in_channels, widths[0], (7, 7), 2, padding=3, use_bias=use_bias, **made),
            stages,
            norm(channels, **made),
            PooledHead(channels, num_classes, dropout_rate=dropout_rate, **made),
            in_channels,
            activation=activation,
            border=0.0 if zero_border else -jnp.inf,
        )

    return functional(build)


class PreActivationResNet(nnx.Module):
    """A convolution, stages of pre-activation blocks, a norm and a head, whatever they are.

    Args:
        conv1: images [B, H, W, C] -> maps.
        stages: lists of `PreActivationBlock`, as `stacked` makes them.
        norm: of the last maps.
        head: maps -> logits.
        in_channels: C.
        activation: elementwise function, after the norm.
        border: value around the maps of conv1 that are pooled, 3x3 of stride 2; None: no pooling.
    """

    def __init__(
        self,
        conv1: nnx.Module,
        stages: nnx.List,
        norm: nnx.Module,
        head: PooledHead,
        in_channels: int,
        *,
        activation: Callable = jax.nn.relu,
        border: float | None = None,
    ):
        self.conv1, self.stages, self.norm, self.head = conv1, stages, norm, head
        self.in_channels, self.activation, self.border = in_channels, activation, border

    def features(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> the maps of conv1 and of each stage, the last ones activated."""
        check_images(images, self.in_channels)
        x = self.conv1(images)
        maps = [x]
        if self.border is not None:
            around = ((0, 0), (1, 1), (1, 1), (0, 0))
            x = max_pool(jnp.pad(x, around, constant_values=self.border), 3, 2)
        for blocks in self.stages:
            for block in blocks:
                x = block(x, rngs=rngs)
            maps.append(x)
        return (*maps[:-1], self.activation(self.norm(x)))

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K]."""
        return self.head(maps, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images, rngs=rngs)[-1], rngs=rngs)


def _block(in_features, features, strides, **options):
    changes = in_features != 4 * features
    return PreActivationBlock(
        in_features,
        features,
        strides,
        bottleneck=True,
        stride_first=False,
        shortcut="projection" if changes else "zeros",  # a strided block may keep its channels
        **options,
    )


def _stages(block, widths, depths, stride_last):
    if not stride_last:
        return stacked(block, widths[0], widths, depths, [1] + [2] * (len(depths) - 1))
    stages, in_features = nnx.List(), widths[0]
    for stage, (features, depth) in enumerate(zip(widths, depths, strict=True)):
        blocks, strides = nnx.List(), 1 if stage == len(depths) - 1 else 2
        for index in range(depth):
            blocks.append(block(in_features, features, strides if index == depth - 1 else 1))
            in_features = blocks[-1].out_features
        stages.append(blocks)
    return stages


resnet50v2 = functools.partial(preact_resnet, (3, 4, 6, 3))
resnet101v2 = functools.partial(preact_resnet, (3, 4, 23, 3))
resnet152v2 = functools.partial(preact_resnet, (3, 8, 36, 3))
TIMM = {"stride_last": False, "use_bias": False, "zero_border": False, "norm": BATCH_NORM}
resnetv2_50 = functools.partial(resnet50v2, **TIMM)
resnetv2_101 = functools.partial(resnet101v2, **TIMM)
PREACT_RESNETS = {
    "resnet50v2": resnet50v2,
    "resnet101v2": resnet101v2,
    "resnet152v2": resnet152v2,
    "resnetv2_50": resnetv2_50,
    "resnetv2_101": resnetv2_101,
}
