"""FCN: a classifier of images, dilated, that gives each pixel a class.

    image [B, H, W, 3]
      -> backbone of stride 8   [B, H/8, W/8, 2048], and [B, H/8, W/8, 1024] of the stage before
      -> 3x3, 512 maps, norm, relu, dropout -> 1x1, K maps
      -> bilinear, to the size of the image   [B, H, W, K]

In training `auxiliary=True` gives a second head of this form on the stage before, whose loss is
added at 0.5 (`auxiliary_classification(model, 0.5, objective=pixel_classification)`).

Source: Long, Shelhamer, Darrell 2015, sections 3 and 4. Departs from it, as torchvision's
fcn_resnet50 does: VGG-16 of stride 32 is a ResNet-50 of stride 8, by dilation (Yu, Koltun,
Funkhouser 2017), so that no skips are needed, and the bilinear filter is fixed. 21 classes:
32,957,013 parameters, 35,322,218 with the auxiliary head.

Axes: B images, H rows, W columns, C channels, K classes.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.auxiliary import AuxiliaryLogits
from jdl.models.convnets.backbone import with_head
from jdl.models.convnets.resnet import resnet50
from jdl.nn.inception import ConvUnit
from jdl.nn.residual import BATCH_NORM

NARROWED = 4  # channels of the backbone over those of the 3x3


def fcn(
    num_classes: int = 21,
    *,
    backbone: Callable[..., Model] = functools.partial(resnet50, output_stride=8),
    in_channels: int = 3,
    auxiliary: bool = False,
    dropout_rate: float = 0.1,
    norm: Callable = BATCH_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A fully convolutional network.

    Args:
        num_classes: K, the background among them.
        backbone: backbone(num_classes=None, in_channels=..., dtype=..., param_dtype=...), a factory
            of convolutional networks.
        in_channels: C.
        auxiliary: whether training has a second head, on the last maps but one.
        dropout_rate: of the maps before the last layer.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...), of the heads.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, H, W, K], or while training with an auxiliary
        head `AuxiliaryLogits`. method="features" gives the maps of the backbone.

    Raises:
        ValueError: from `apply`, images that the backbone does not take.

    Example:
        >>> from jdl.models.convnets.resnet import resnet
        >>> tiny = functools.partial(resnet, (1, 1), widths=(4, 8), output_stride=4)
        >>> model = fcn(3, backbone=tiny)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.zeros([2, 21, 18, 3]))[0].shape
        (2, 21, 18, 3)
    """
    made = {"dtype": dtype, "param_dtype": param_dtype}
    body = backbone(num_classes=None, in_channels=in_channels, **made)
    image = jax.ShapeDtypeStruct([1, 64, 64, in_channels], jnp.float32)
    variables = jax.eval_shape(body.init, jax.random.key(0))
    features = functools.partial(body.apply, method="features")
    channels = [maps.shape[-1] for maps in jax.eval_shape(features, variables, image)[0]]
    kind = auxiliary, dropout_rate, norm
    heads = functional(lambda rngs: FCNHeads(channels, num_classes, *kind, {**made, "rngs": rngs}))
    return with_head(
        body, heads, method="features", about=lambda images: {"shape": images.shape[1:3]}
    )


class FCNHeads(nnx.Module):
    """All of the network of `fcn` behind its backbone."""

    def __init__(self, channels, num_classes, auxiliary, dropout_rate, norm, made):
        self.deterministic, self.auxiliary = False, nnx.List()
        self.main = FCNHead(channels[-1], num_classes, dropout_rate, norm, made)
        if auxiliary:
            self.auxiliary.append(FCNHead(channels[-2], num_classes, dropout_rate, norm, made))

    def __call__(
        self, maps: tuple[jax.Array, ...], *, shape: tuple[int, int], rngs: nnx.Rngs | None = None
    ) -> jax.Array | AuxiliaryLogits:
        """Maps of the backbone -> logits [B, *shape, K], or `AuxiliaryLogits`."""
        logits = enlarged(self.main(maps[-1], rngs=rngs), shape)
        if self.deterministic or not self.auxiliary:
            return logits
        others = [enlarged(head(maps[-2], rngs=rngs), shape) for head in self.auxiliary]
        return AuxiliaryLogits(logits, tuple(others))


class FCNHead(nnx.Module):
    """3x3, norm, relu, dropout, 1x1."""

    def __init__(self, channels, num_classes, dropout_rate, norm, made):
        hidden = max(1, channels // NARROWED)
        self.unit = ConvUnit(channels, hidden, 3, norm=norm, **made)
        self.dropout = nnx.Dropout(dropout_rate)
        self.classifier = nnx.Conv(hidden, num_classes, (1, 1), **made)

    def __call__(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, H, W, C] -> logits [B, H, W, K]."""
        return self.classifier(self.dropout(self.unit(maps), rngs=rngs))


def enlarged(maps: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Maps [B, h, w, K] -> [B, H, W, K], bilinear; as PyTorch's with align_corners=False.

    Example:
        >>> enlarged(jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1), (1, 4)).ravel().tolist()
        [0.0, 1.0, 3.0, 4.0]
    """
    return jax.image.resize(maps, (maps.shape[0], *shape, maps.shape[-1]), "linear")
