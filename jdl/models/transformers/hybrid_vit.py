"""Hybrid ViT: the Transformer reads the maps of a ResNet, place by place.

    image [B, H, W, 3] -> conv1 7x7, 64 maps, stride 2 -> group norm -> relu -> max pool 3x3, 2
      -> stages of bottlenecks of 256, 512, 1024, (2048) maps   [B, H/16, W/16, 1024] (H/32, 2048)
      -> each place is a patch of one pixel                     [B, N, D]
      -> the Transformer of `vit`

                            blocks a stage   ViT   parameters of 1000 classes
    vit_base_r50_s16_224    3, 4, 9          B      98,659,112
    vit_base_r50_s16_384    3, 4, 9          B      98,950,952
    vit_large_r50_s32_224   3, 4, 6, 3       L     328,994,856

The ResNet is BiT's in its kernels, which are standardised, and in its group norms, but activates
after the sum, as the ResNet of 2015 does; all its borders are "SAME", so that where it strides over
an even size the padding is below and to the right alone.

Source: Dosovitskiy et al. 2021, section 3.1 ("hybrid architecture"), section 4.1; the names, counts
and the epsilon of the kernels are timm's.

Axes: B images, H rows, W columns, N places, D features, K classes.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.resnet import WIDTHS
from jdl.models.transformers.vit import ViT, ViTConfig
from jdl.nn.normalization import WeightStandardized
from jdl.nn.pooling import max_pool
from jdl.nn.residual import HE_CONV, ResidualBlock, stacked

GROUP_NORM = functools.partial(nnx.GroupNorm, num_groups=32, epsilon=1e-5)


def hybrid_vit(
    depths: Sequence[int] = (3, 4, 9),
    hidden_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    *,
    widths: Sequence[int] = WIDTHS,
    eps: float = 1e-8,
    norm: Callable = GROUP_NORM,
    dtype=None,
    param_dtype=jnp.float32,
    **options,
) -> Model:
    """A vision Transformer behind a ResNet.

    Args:
        depths: blocks of each stage; three stages stride by 16, four by 32.
        hidden_dim: D.
        num_layers: of the Transformer.
        num_heads: of attention.
        widths: maps of the 3x3 layers of each stage.
        eps: added to the variance of a kernel.
        norm: of the ResNet, norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.
        options: more of `vit`: image_size, num_classes, pooler, epsilon, dropout_rate ...

    Returns:
        A Model as `vit` is, of images whose sides the stride divides.

    Raises:
        ValueError: as `vit`.

    Example:
        >>> model = hybrid_vit((1, 1, 1), 8, 1, 2, image_size=64)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> tokens = lambda v: model.apply(v, jnp.zeros([2, 64, 64, 3]), method="encode")[0]
        >>> jax.eval_shape(tokens, variables).shape
        (2, 17, 8)
    """
    config = ViTConfig(
        patch_size=1,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        dtypes={"dtype": dtype, "param_dtype": param_dtype},
    )._replace(**options)
    maps = widths[: len(depths)]

    def build(rngs):
        made = {**config.dtypes, "rngs": rngs}
        stem = ResNetStem(depths, maps, config.in_channels, eps, norm, made)
        return ViT(config, stem, stem.out_features, 2 ** (1 + len(depths)), rngs=rngs)

    return functional(build, stacks=("blocks",))


class ResNetStem(nnx.Module):
    """The ResNet of `hybrid_vit`."""

    def __init__(self, depths, widths, in_channels, eps, norm, made):
        def conv(*sizes, **options):
            return WeightStandardized(HE_CONV(*sizes, **{**options, "padding": "SAME"}), eps)

        self.conv1 = conv(in_channels, widths[0], (7, 7), 2, **made)
        self.norm1 = norm(widths[0], **made)
        options = {"bottleneck": True, "stride_first": False, "norm": norm, "conv": conv}
        block = functools.partial(ResidualBlock, **options, **made)
        strides = [1] + [2] * (len(depths) - 1)
        self.stages = stacked(block, widths[0], widths, depths, strides)
        self.out_features = self.stages[-1][-1].out_features

    def __call__(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, C] -> maps [B, H', W', D']."""
        x = max_pool(jax.nn.relu(self.norm1(self.conv1(images))), 3, 2, "SAME")
        for blocks in self.stages:
            for block in blocks:
                x = block(x)
        return x


BASE = functools.partial(hybrid_vit, (3, 4, 9))
LARGE = functools.partial(hybrid_vit, (3, 4, 6, 3), 1024, 24, 16)
HYBRID_VITS = {
    "vit_base_r50_s16_224": BASE,
    "vit_base_r50_s16_384": functools.partial(BASE, image_size=384),
    "vit_large_r50_s32_224": LARGE,
    "vit_large_r50_s32_384": functools.partial(LARGE, image_size=384),
}
