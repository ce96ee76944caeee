"""The residual networks of CIFAR: three stages of n blocks, 6 n + 2 or 9 n + 2 layers deep.

    image [B, 32, 32, 3] -> conv1 3x3, 16 maps
      -> n blocks, 16 maps       [B, 32, 32, D]
      -> n blocks, 32 maps       [B, 16, 16, 2 D]
      -> n blocks, 64 maps       [B, 8, 8, 4 D]
      -> mean over space -> classes

    cifar_resnet          2015: basic blocks, D = 16, zero maps added by the shortcuts
    cifar_preact_resnet   2016: pre-activation bottlenecks, D = 64, projections; norm, relu at last
                          (of basic blocks: bottleneck=False)

    depth        n     parameters      depth          n     parameters
    20           3     269,722         164, 2016      18    1,703,258
    32           5     464,154         1001, 2016     111   10,327,706
    44           7     658,586
    56           9     853,018
    110          18    1,727,962

10.2 M are published for 1001 layers, which is what there is without scales and biases of norms.

Source: He, Zhang, Ren, Sun 2015, section 4.2 and table 6; 2016, section 4 and the code, which
strides in the first 1x1.

Axes: B images, H rows, W columns, C channels, K classes.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.pooled_head import PooledHead
from jdl.models.convnets.preact_resnet import PreActivationResNet
from jdl.models.convnets.resnet import resnet
from jdl.nn.residual import BATCH_NORM, HE_CONV, PreActivationBlock, stacked

WIDTHS = (16, 32, 64)


def cifar_resnet(
    depth: int = 20, *, widths: Sequence[int] = WIDTHS, num_classes: int | None = 10, **options
) -> Model:
    """The ResNet of 2015 for small images: basic blocks and shortcuts without parameters.

    Args:
        depth: layers with weights, 6 n + 2.
        widths: maps of each stage.
        num_classes: K; None for no head.
        options: of `resnet`, such as `zero_init` or `norm`.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]; four maps, of strides 1, 1, 2, 4.

    Raises:
        ValueError: another depth.

    Example:
        >>> model = cifar_resnet(8)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> sum(x.size for x in jax.tree.leaves(variables.params))
        75290
    """
    count = _blocks(depth, 2 * len(widths), "20, 32, 44, 56 or 110")
    form = {"bottleneck": False, "shortcut": "zeros", "small_images": True}
    depths = [count] * len(widths)
    return resnet(depths, widths=widths, num_classes=num_classes, **(form | options))


def cifar_preact_resnet(
    depth: int = 164,
    *,
    widths: Sequence[int] = WIDTHS,
    stem_features: int = 16,
    bottleneck: bool = True,
    num_classes: int | None = 10,
    in_channels: int = 3,
    dropout_rate: float = 0.0,
    block_dropout_rate: float = 0.0,
    zero_init: bool = False,
    activation: Callable = jax.nn.relu,
    norm: Callable = BATCH_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """The ResNet of 2016 for small images: pre-activation blocks, up to 1001 layers.

    Args:
        depth: layers with weights, 9 n + 2, of basic blocks 6 n + 2.
        widths: maps of the 3x3 layers of each stage; a bottleneck has four times as many outputs.
        stem_features: maps of conv1.
        bottleneck: blocks of three layers, 1x1, 3x3, 1x1, in place of two of 3x3.
        num_classes: K; None for no head.
        in_channels: C.
        dropout_rate: probability of dropping a mean while training.
        block_dropout_rate: of dropping a place of a map before the last layer of each block.
        zero_init: blocks are the identity at first.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]; four maps, of strides 1, 1, 2, 4.

    Raises:
        ValueError: another depth, or, from `apply`, images of other channels.
    """
    layers, published = (3, "164 or 1001") if bottleneck else (2, "110")
    depths = [_blocks(depth, layers * len(widths), published)] * len(widths)

    def build(rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"bottleneck": bottleneck, "zero_init": zero_init, "activation": activation}
        options |= {"dropout_rate": block_dropout_rate, "norm": norm}
        block = functools.partial(PreActivationBlock, **options, **made)
        strides = [1] + [2] * (len(depths) - 1)
        stages = stacked(block, stem_features, widths, depths, strides)
        channels = stages[-1][-1].out_features
        return PreActivationResNet(
            HE_CONV(in_channels, stem_features, (3, 3), padding=1, **made),
            stages,
            norm(channels, **made),
            PooledHead(channels, num_classes, dropout_rate=dropout_rate, **made),
            in_channels,
            activation=activation,
        )

    return functional(build)


def _blocks(depth, layers, published):
    """Blocks of a stage, of `layers` in all stages; two layers are no blocks'."""
    count, rest = divmod(depth - 2, layers)
    if rest or count < 1:
        raise ValueError(f"depth is {layers} n + 2, such as {published}; got {depth}")
    return count


cifar_resnet20 = functools.partial(cifar_resnet, 20)
cifar_resnet32 = functools.partial(cifar_resnet, 32)
cifar_resnet44 = functools.partial(cifar_resnet, 44)
cifar_resnet56 = functools.partial(cifar_resnet, 56)
cifar_resnet110 = functools.partial(cifar_resnet, 110)
cifar_preact_resnet164 = functools.partial(cifar_preact_resnet, 164)
cifar_preact_resnet1001 = functools.partial(cifar_preact_resnet, 1001)
CIFAR_RESNETS = {
    "cifar_resnet20": cifar_resnet20,
    "cifar_resnet32": cifar_resnet32,
    "cifar_resnet44": cifar_resnet44,
    "cifar_resnet56": cifar_resnet56,
    "cifar_resnet110": cifar_resnet110,
    "cifar_preact_resnet164": cifar_preact_resnet164,
    "cifar_preact_resnet1001": cifar_preact_resnet1001,
}
