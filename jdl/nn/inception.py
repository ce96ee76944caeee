"""The Inception module: convolutions of several sizes side by side, their maps concatenated.

    naive      1x1 | 3x3 | 5x5 | max pool 3x3                                   of the same input
    reduced    1x1 | 1x1 -> 3x3 | 1x1 -> 5x5 | max pool 3x3 -> 1x1

The pooling has stride 1 and keeps the size, or the maps could not be joined (002 says that it helps
to downsample: poolings between the modules do). Multiplications of a 5x5 with 32 maps of 28 x 28 x
64: 28 * 28 * 32 * 25 * 64 = 40,140,800; through 16 maps first 28 * 28 * (64 * 16 + 25 * 16 * 32) =
10,838,016 (004 prints 1x1x32 for 1x1x64, and calls them parameters). All is rectified.

Source: Szegedy et al. 2014, figure 2 and section 5, table 1; 001, 002, 004 ch. 4. Losses of
the auxiliary heads are added at 0.3 while training, and the heads left out after.

Axes: B images, H rows, W columns, C channels.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.pooling import avg_pool, max_pool

AUXILIARY_WEIGHT = 0.3


class InceptionWidths(NamedTuple):
    """Maps of the branches; those of module 3a are InceptionWidths(64, 96, 128, 16, 32, 32).

    Attributes:
        one: of the 1x1.
        reduce_three: of the 1x1 before the 3x3; None leaves it out.
        three: of the 3x3.
        reduce_five: of the 1x1 before the 5x5; None leaves it out.
        five: of the 5x5.
        pool: of the 1x1 after the pooling; None passes the pooled channels on.
    """

    one: int
    reduce_three: int | None
    three: int
    reduce_five: int | None
    five: int
    pool: int | None


def naive_widths(one: int, three: int, five: int) -> InceptionWidths:
    """The module without its 1x1 reductions; its outputs have all channels of the input too."""
    return InceptionWidths(one, None, three, None, five, None)


class Inception(nnx.Module):
    """The module.

    Args:
        in_features: C.
        widths: of its branches.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...) before each activation, as
            torchvision has it; None, as published, has biases instead.
        activation: elementwise function.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        in_features: int,
        widths: InceptionWidths,
        *,
        norm: Callable | None = None,
        activation: Callable = jax.nn.relu,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        options = {"norm": norm, "activation": activation, **made}
        pooled = in_features if widths.pool is None else widths.pool
        self.out_features = widths.one + widths.three + widths.five + pooled

        def branch(*layers):
            layers = [layer for layer in layers if layer[0] is not None]
            inputs = [in_features, *(maps for maps, _ in layers)]
            return nnx.Sequential(
                *(ConvUnit(c, *layer, **options) for c, layer in zip(inputs, layers, strict=False))
            )

        self.one = branch((widths.one, 1))
        self.three = branch((widths.reduce_three, 1), (widths.three, 3))
        self.five = branch((widths.reduce_five, 1), (widths.five, 5))
        self.projects = widths.pool is not None
        if self.projects:
            self.pool = branch((widths.pool, 1))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H, W, out_features]."""
        one, three, five = self.one(x), self.three(x), self.five(x)
        pooled = max_pool(x, 3, 1, "SAME").astype(one.dtype)
        pooled = self.pool(pooled) if self.projects else pooled
        return jnp.concatenate([one, three, five, pooled], -1)


class ConvUnit(nnx.Module):
    """A convolution that keeps the size, a norm if there is one, an activation."""

    def __init__(self, in_features, features, size, *, norm, activation, dtype, param_dtype, rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.conv = nnx.Conv(in_features, features, (size, size), use_bias=norm is None, **made)
        self.norm = jax.nn.identity if norm is None else norm(features, **made)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H, W, features]."""
        return self.activation(self.norm(self.conv(x)))


class AuxiliaryHead(nnx.Module):
    """A small classifier of the maps halfway, whose loss is added while training.

        average pool 5x5, stride 3   [B, 4, 4, C] for 14 x 14
        -> 1x1, 128 maps -> activation -> flatten -> 1024 -> activation -> dropout -> classes

    Args:
        in_features: C.
        num_classes: of the logits.
        size: H = W of the maps.
        features: of the 1x1.
        hidden_dim: of the dense layer.
        dropout_rate: of its units, 0.7 as published.
        activation: elementwise function.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int = 1000,
        *,
        size: int = 14,
        features: int = 128,
        hidden_dim: int = 1024,
        dropout_rate: float = 0.7,
        activation: Callable = jax.nn.relu,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.size, self.activation = size, activation
        pooled = (size - 5) // 3 + 1
        self.conv = nnx.Conv(in_features, features, (1, 1), **made)
        self.dense = nnx.Linear(pooled**2 * features, hidden_dim, **made)
        self.head = nnx.Linear(hidden_dim, num_classes, **made)
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, size, size, C] -> logits [B, num_classes]."""
        chex.assert_shape(x, (None, self.size, self.size, None), exception_type=ValueError)
        x = self.activation(self.conv(avg_pool(x, 5, 3)))
        x = self.activation(self.dense(x.reshape(x.shape[0], -1)))
        return self.head(self.dropout(x, rngs=rngs))
