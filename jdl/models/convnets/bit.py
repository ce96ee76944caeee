"""BiT, the ResNet of Big Transfer: group norm and standardised weights in place of batch norm.

    image [B, H, W, 3]
      -> conv1 7x7, 64 w maps, stride 2   [B, H/2, W/2, 64 w]
      -> zeros around, max pool 3x3, stride 2
      -> four stages of pre-activation bottlenecks, 256 w, 512 w, 1024 w, 2048 w maps
      -> group norm -> relu               [B, H/32, W/32, 2048 w]
      -> mean over space -> classes
    every convolution standardises its kernel; every norm has 32 groups

                        blocks a stage   w    parameters     of 1000 classes
    resnetv2_50x1_bit   3, 4, 6, 3       1    25,549,352
    resnetv2_50x3_bit   3, 4, 6, 3       3    217,319,080
    resnetv2_101x1_bit  3, 4, 23, 3      1    44,541,480
    resnetv2_101x3_bit  3, 4, 23, 3      3    387,934,888
    resnetv2_152x2_bit  3, 8, 36, 3      2    236,335,208
    resnetv2_152x4_bit  3, 8, 36, 3      4    936,533,224

A group norm sees one image at a time, so that small batches and other data do not move what the
network computes, which is why it transfers (004 ch. 6; Kolesnikov et al., section 4.3). The head is
of zeros at first, as in fine-tuning there. eps of the kernels is timm's and HF's; the paper's code
has 1e-10. A bottleneck strides in its 3x3.

Source: Kolesnikov, Beyer, Zhai, Puigcerver, Yung, Gelly, Houlsby 2020, section 3.1; Qiao et al.
2019 (weight standardisation); Wu, He 2018 (group norm); the names and counts are timm's.

Axes: B images, H rows, W columns, C channels, K classes. Pixels lie in [-1, 1].
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.pooled_head import PooledHead
from jdl.models.convnets.preact_resnet import PreActivationResNet
from jdl.models.convnets.resnet import WIDTHS
from jdl.nn.normalization import WeightStandardized
from jdl.nn.residual import HE_CONV, PreActivationBlock, stacked

GROUP_NORM = functools.partial(nnx.GroupNorm, num_groups=32, epsilon=1e-5)


def bit(
    depths: Sequence[int] = (3, 4, 6, 3),
    width: int = 1,
    *,
    widths: Sequence[int] = WIDTHS,
    eps: float = 1e-8,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    dropout_rate: float = 0.0,
    head_init: Callable = nnx.initializers.zeros_init(),
    activation: Callable = jax.nn.relu,
    norm: Callable = GROUP_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A ResNet of Big Transfer for images of any size.

    Args:
        depths: blocks of each stage.
        width: w, the factor of all maps.
        widths: maps of the 3x3 layers of each stage where w is 1; the outputs are four times as
            many.
        eps: added to the variance of a kernel.
        num_classes: K, 21,843 of ImageNet-21k; None for no head, so that outputs are the means.
        in_channels: C.
        dropout_rate: probability of dropping a mean while training.
        head_init: of the head's kernel.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. `method="features"` gives five maps, of
        strides 2, 4, 8, 16, 32, the last normalised and activated.

    Raises:
        ValueError: from `apply`, images of other channels.

    Example:
        >>> model = bit((1, 1, 1, 1), num_classes=None)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> means = lambda v: model.apply(v, jnp.zeros([2, 64, 64, 3]))[0]
        >>> jax.eval_shape(means, variables).shape
        (2, 2048)
    """

    def conv(*sizes, **options):
        return WeightStandardized(HE_CONV(*sizes, **options), eps)

    def build(rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        maps = [width * features for features in widths]
        options = {"activation": activation, "norm": norm, "conv": conv}
        block = functools.partial(
            PreActivationBlock, bottleneck=True, stride_first=False, **options, **made
        )
        stages = stacked(block, maps[0], maps, depths, [1] + [2] * (len(depths) - 1))
        channels = stages[-1][-1].out_features
        head = {"dropout_rate": dropout_rate, "kernel_init": head_init}
        return PreActivationResNet(
            conv(in_channels, maps[0], (7, 7), 2, padding=3, **made),
            stages,
            norm(channels, **made),
            PooledHead(channels, num_classes, **head, **made),
            in_channels,
            activation=activation,
            border=0.0,
        )

    return functional(build)


resnetv2_50x1_bit = functools.partial(bit, (3, 4, 6, 3), 1)
resnetv2_50x3_bit = functools.partial(bit, (3, 4, 6, 3), 3)
resnetv2_101x1_bit = functools.partial(bit, (3, 4, 23, 3), 1)
resnetv2_101x3_bit = functools.partial(bit, (3, 4, 23, 3), 3)
resnetv2_152x2_bit = functools.partial(bit, (3, 8, 36, 3), 2)
resnetv2_152x4_bit = functools.partial(bit, (3, 8, 36, 3), 4)
BITS = {
    "resnetv2_50x1_bit": resnetv2_50x1_bit,
    "resnetv2_50x3_bit": resnetv2_50x3_bit,
    "resnetv2_101x1_bit": resnetv2_101x1_bit,
    "resnetv2_101x3_bit": resnetv2_101x3_bit,
    "resnetv2_152x2_bit": resnetv2_152x2_bit,
    "resnetv2_152x4_bit": resnetv2_152x4_bit,
}
