"""What the later Inception networks have in common: stages of a table, and the mean's head.

    images [B, H, W, C] -> stage -> ... -> stage -> mean over space -> dropout -> classes

Axes: B images, H rows, W columns, C channels, D maps, K classes.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.models.convnets.auxiliary import AuxiliaryLogits
from jdl.models.convnets.image_shape import check_images
from jdl.models.convnets.pooled_head import PooledHead
from jdl.nn.inception import Chain

INCEPTION_NORM = functools.partial(nnx.BatchNorm, momentum=0.9, epsilon=1e-3)


class StagedInception(nnx.Module):
    """Stages, and a linear layer of the mean of the last.

    Args:
        stages: of each the layers, as `jdl.nn.inception.Chain` takes them.
        in_channels: C of the images.
        least: rows and columns of the images.
        num_classes: K; None for no linear layer, so that the outputs are the means.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...) of each convolution, or None.
        use_bias: of the convolutions; None has biases where no norm is.
        dropout_rate: of the means.
        auxiliary: auxiliary(features, rngs=..., dtype=..., param_dtype=...) makes a head that sees
            the last stage but one while training; None for none.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        stages: Sequence[Sequence],
        in_channels: int,
        least: int,
        num_classes: int | None,
        *,
        norm: Callable | None,
        use_bias: bool | None = None,
        dropout_rate: float = 0.0,
        auxiliary: Callable | None = None,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.in_channels, self.least, self.deterministic = in_channels, least, False
        self.stages, channels = nnx.List(), [in_channels]
        for layers in stages:
            self.stages.append(Chain(channels[-1], layers, norm=norm, use_bias=use_bias, **made))
            channels.append(self.stages[-1].out_features)
        self.has_auxiliary = auxiliary is not None
        if self.has_auxiliary:
            self.auxiliary = auxiliary(channels[-2], **made)
        self.head = PooledHead(channels[-1], num_classes, dropout_rate=dropout_rate, **made)

    def __call__(
        self, images: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array | AuxiliaryLogits:
        """Images [B, H, W, C] -> logits [B, K], or with a head in training `AuxiliaryLogits`."""
        *_, seen, last = self.features(images)
        logits = self.classify(last, rngs=rngs)
        if self.deterministic or not self.has_auxiliary:
            return logits
        return AuxiliaryLogits(logits, (self.auxiliary(seen),))

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> maps at the end of each stage."""
        check_images(images, self.in_channels, self.least)
        found, x = [], images
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return tuple(found)

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K], or means [B, D] without classes."""
        return self.head(maps, rngs=rngs)
