"""Wide residual networks, WRN-d-k: few blocks with k times the maps, in place of many thin ones.

    image [B, 32, 32, 3] -> conv1 3x3, 16 maps
      -> n = (d - 4) / 6 blocks of 16 k maps   [B, 32, 32, 16 k]
      -> n blocks of 32 k maps                 [B, 16, 16, 32 k]
      -> n blocks of 64 k maps                 [B, 8, 8, 64 k]
      -> norm -> relu -> mean over space -> classes
    block    norm relu 3x3, norm relu dropout 3x3, pre-activation

    d-k      parameters    published (table 5)
    40-1     563,930       0.6 M
    40-2     2,243,546     2.2 M
    40-4     8,949,210     8.9 M
    40-8     35,748,314    35.7 M
    28-10    36,479,194    36.5 M
    28-12    52,517,850    52.5 M
    22-8     17,158,106    17.2 M
    22-10    26,797,914    26.8 M
    16-8     10,961,370    11.0 M
    16-10    17,116,634    17.1 M

Depth d counts the layers of the blocks, conv1 and the three projections. Wide ResNet-50-2 of
ImageNet is `jdl.models.convnets.resnet.wide_resnet50_2`.

Source: Zagoruyko, Komodakis 2016, table 1, section 2.4 (dropout) and their code.

Axes: B images, H rows, W columns, C channels, K classes.
"""

import functools
from collections.abc import Sequence

from jdl.core import Model
from jdl.models.convnets.cifar_resnet import WIDTHS, cifar_preact_resnet


def wide_resnet(
    depth: int = 28,
    width: int = 10,
    *,
    widths: Sequence[int] = WIDTHS,
    num_classes: int | None = 10,
    block_dropout_rate: float = 0.0,
    **options,
) -> Model:
    """A wide residual network for small images.

    Args:
        depth: d, 6 n + 4 for three stages.
        width: k.
        widths: maps of each stage where k is 1.
        num_classes: K; None for no head.
        block_dropout_rate: of dropping a place of a map between the layers of a block while
            training; published 0.3 for CIFAR, 0.4 for SVHN.
        options: of `cifar_preact_resnet`, such as `in_channels`, `zero_init`, `norm` or `dtype`.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]; four maps, of strides 1, 1, 2, 4.

    Raises:
        ValueError: another depth, or, from `apply`, images of other channels.

    Example:
        >>> import jax
        >>> variables = jax.eval_shape(wide_resnet(10, 2).init, jax.random.key(0))
        >>> sum(x.size for x in jax.tree.leaves(variables.params))
        303706
    """
    layers, outside = 2 * len(widths), len(widths) + 1
    if depth <= outside or (depth - outside) % layers:
        raise ValueError(f"depth is {layers} n + {outside}, such as 16, 28 or 40; got {depth}")
    options |= {"bottleneck": False, "block_dropout_rate": block_dropout_rate}
    return cifar_preact_resnet(
        depth - outside + 2,  # its depth has no projections
        widths=[width * features for features in widths],
        num_classes=num_classes,
        **options,
    )


wrn_16_8 = functools.partial(wide_resnet, 16, 8)
wrn_28_10 = functools.partial(wide_resnet, 28, 10)
wrn_40_2 = functools.partial(wide_resnet, 40, 2)
wrn_40_4 = functools.partial(wide_resnet, 40, 4)
WIDE_RESNETS = {
    "wrn_16_8": wrn_16_8,
    "wrn_28_10": wrn_28_10,
    "wrn_40_2": wrn_40_2,
    "wrn_40_4": wrn_40_4,
}
