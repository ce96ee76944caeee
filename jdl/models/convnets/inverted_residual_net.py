"""A network of stages of inverted residuals: the body of EfficientNet and of MobileNet-V2.

    image -> 3x3, stride 2, norm, act -> stages -> 1x1, norm, act -> mean over space -> classes

Axes: B images, H rows, W columns, C channels, K classes.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.models.convnets.image_shape import check_images
from jdl.models.convnets.pooled_head import PooledHead
from jdl.nn.inverted_residual import EFFICIENTNET_NORM, InvertedResidual, border
from jdl.nn.residual import HE_CONV


class InvertedResidualNet(nnx.Module):
    """The network; its defaults are EfficientNet's.

    Args:
        stages: (expansion, kernel size, stride of the first block, maps, blocks) of each.
        in_channels: C.
        stem: maps of the first convolution.
        top: maps of the last, which the head takes.
        num_classes: K; None for no head.
        se_ratio: of the blocks' gates; 0 for none.
        dropout_rate: of the pooled features.
        drop_path_rate: block i of n is left out with probability drop_path_rate * i / n.
        padding: "SAME" or "symmetric", as `jdl.nn.inverted_residual.border` has them.
        activation: elementwise function.
        kernel_init: of the head.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        stages: Sequence[tuple[int, int, int, int, int]],
        in_channels: int,
        stem: int,
        top: int,
        num_classes: int | None,
        *,
        se_ratio: float = 0.25,
        dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        padding: str = "SAME",
        activation: Callable = jax.nn.silu,
        kernel_init=nnx.initializers.variance_scaling(1 / 3, "fan_out", "uniform"),
        norm: Callable = EFFICIENTNET_NORM,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        block = {"se_ratio": se_ratio, "padding": padding, "activation": activation, "norm": norm}
        head = {"dropout_rate": dropout_rate, "kernel_init": kernel_init}
        self.in_channels, self.activation = in_channels, activation
        self.stem = HE_CONV(in_channels, stem, (3, 3), 2, padding=border(padding, 3), **made)
        self.stem_norm = norm(stem, **made)
        channels, position, total = stem, 0, sum(blocks for *_, blocks in stages)
        self.stages = nnx.List()
        for expansion, size, stride, maps, blocks in stages:
            stage = nnx.List()
            for strides in [stride] + [1] * (blocks - 1):
                kind = {"expansion": expansion, "drop_rate": drop_path_rate * position / total}
                shape = channels, maps, size, strides
                stage.append(InvertedResidual(*shape, **kind, **block, **made))
                channels, position = maps, position + 1
            self.stages.append(stage)
        self.top = HE_CONV(channels, top, (1, 1), **made)
        self.top_norm = norm(top, **made)
        self.head = PooledHead(top, num_classes, **head, **made)

    def features(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> maps of each stage, and of the last convolution."""
        check_images(images, self.in_channels)
        x, maps = self.activation(self.stem_norm(self.stem(images))), []
        for stage in self.stages:
            for block in stage:
                x = block(x, rngs=rngs)
            maps.append(x)
        return *maps, self.activation(self.top_norm(self.top(x)))

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps of `features` -> logits [B, K]."""
        return self.head(maps, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images, rngs=rngs)[-1], rngs=rngs)


def rounded(maps: float, divisor: int = 8) -> int:
    """The nearest multiple of the divisor, or the next if that is below 90 %.

    Example:
        >>> rounded(44), rounded(11.2), rounded(35.2)
        (48, 16, 32)
    """
    nearest = max(divisor, int(maps + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * maps else nearest + divisor
