"""The Inception module: convolutions of several sizes side by side, their maps concatenated.

    naive      1x1 | 3x3 | 5x5 | max pool 3x3                                   of the same input
    reduced    1x1 | 1x1 -> 3x3 | 1x1 -> 5x5 | max pool 3x3 -> 1x1

The pooling has stride 1 and keeps the size, or the maps could not be joined (002 says that it helps
to downsample: poolings between the modules do). Multiplications of a 5x5 with 32 maps of 28 x 28 x
64: 28 * 28 * 32 * 25 * 64 = 40,140,800; through 16 maps first 28 * 28 * (64 * 16 + 25 * 16 * 32) =
10,838,016 (004 prints 1x1x32 for 1x1x64, and calls them parameters). All is rectified.

Later networks have other branches in each stage: `Branches` makes them of a table, and `Chain` one
after the other. Biases are there where no norm is; kernels start as He's, by the fan out.

Source: Szegedy et al. 2014, figure 2 and section 5, table 1; 001, 002, 004 ch. 4. Losses of
the auxiliary heads are added at 0.3 while training, and the heads left out after.

Axes: B images, H rows, W columns, C channels.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.convolution import each_axis
from jdl.nn.pooling import adaptive_avg_pool, avg_pool, max_pool
from jdl.nn.residual import HE_CONV

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
        large_size: of the 5x5; torchvision's GoogLeNet has 3 there.
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
        large_size: int = 5,
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
        self.five = branch((widths.reduce_five, 1), (widths.five, large_size))
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
    """A convolution, a norm if there is one, an activation.

    Args:
        in_features: C.
        features: maps.
        size: of the kernel, of both axes or of each.
        strides: of both axes.
        padding: zeros on each side; None keeps the size where the stride is 1.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...), or None.
        use_bias: of the convolution; None has biases where no norm is.
        activation: elementwise function.
        conv: as nnx.Conv.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        size: int | Sequence[int],
        strides: int = 1,
        padding: int | None = None,
        *,
        norm: Callable | None = None,
        use_bias: bool | None = None,
        activation: Callable = jax.nn.relu,
        conv: Callable = HE_CONV,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        size = each_axis(size, 2)
        sides = [(taps // 2 if padding is None else padding,) * 2 for taps in size]
        use_bias = norm is None if use_bias is None else use_bias
        shape = {"strides": strides, "padding": sides, "use_bias": use_bias}
        self.conv = conv(in_features, features, size, **shape, **made)
        self.norm = jax.nn.identity if norm is None else norm(features, **made)
        self.activation, self.out_features = activation, features

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H', W', features]."""
        return self.activation(self.norm(self.conv(x)))


class Chain(nnx.Module):
    """Layers of a table, one after the other.

    Args:
        in_features: C.
        layers: of each a tuple (maps, size, strides, padding), the last two at will, for a
            `ConvUnit`; a list of such sequences for `Branches`; or a function that leaves the
            channels as they are, such as a pooling.
        options: of `ConvUnit`: norm, activation, conv, dtype, param_dtype, rngs.

    Example:
        >>> branches = [[(2, 1)], [(3, 1), (4, 3)]]
        >>> nnx.eval_shape(lambda: Chain(3, [(8, 3, 2), branches], rngs=nnx.Rngs(0))).out_features
        6
    """

    def __init__(self, in_features: int, layers: Sequence, **options):
        made = []
        for layer in layers:
            if isinstance(layer, tuple):
                layer = ConvUnit(in_features, *layer, **options)
            elif isinstance(layer, list):
                layer = Branches(in_features, layer, **options)
            in_features = getattr(layer, "out_features", in_features)
            made.append(layer)
        self.layers, self.out_features = nnx.List(made), in_features

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H', W', out_features]."""
        for layer in self.layers:
            x = layer(x)
        return x


class Branches(nnx.Module):
    """Chains side by side, their maps concatenated.

    Args:
        in_features: C.
        branches: the layers of each, as `Chain` has them.
        options: of `ConvUnit`.
    """

    def __init__(self, in_features: int, branches: Sequence[Sequence], **options):
        chains = [Chain(in_features, layers, **options) for layers in branches]
        self.branches, self.out_features = nnx.List(chains), sum(c.out_features for c in chains)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H', W', out_features]."""
        parts = [branch(x) for branch in self.branches]
        return jnp.concatenate([part.astype(parts[0].dtype) for part in parts], -1)


def scaled_maps(layers: Sequence, width: float) -> list:
    """A table of `Chain` with width times as many maps in each convolution, at least one."""

    def scaled(layer):
        if isinstance(layer, tuple):
            return (max(1, round(width * layer[0])), *layer[1:])
        if isinstance(layer, list):
            return [scaled_maps(branch, width) for branch in layer]
        return layer

    return [scaled(layer) for layer in layers]


class AuxiliaryHead(nnx.Module):
    """A small classifier of the maps halfway, whose loss is added while training.

        average pool 5x5, stride 3   [B, 4, 4, C] for 14 x 14
        -> 1x1, 128 maps -> activation -> flatten -> 1024 -> activation -> dropout -> classes

    Args:
        in_features: C.
        num_classes: of the logits.
        size: H = W of the maps; None pools any size to 4x4 by `adaptive_avg_pool`, as torchvision
            does, whose windows at 14 are of 4 places, not of 5.
        norm: of the 1x1, as `Inception` has it.
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
        size: int | None = 14,
        norm: Callable | None = None,
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
        pooled = 4 if size is None else (size - 5) // 3 + 1
        self.conv = ConvUnit(in_features, features, 1, norm=norm, activation=activation, **made)
        self.dense = nnx.Linear(pooled**2 * features, hidden_dim, **made)
        self.head = nnx.Linear(hidden_dim, num_classes, **made)
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, size, size, C] -> logits [B, num_classes]."""
        if self.size is None:
            x = adaptive_avg_pool(x, 4)
        else:
            chex.assert_shape(x, (None, self.size, self.size, None), exception_type=ValueError)
            x = avg_pool(x, 5, 3)
        x = self.conv(x)
        x = self.activation(self.dense(x.reshape(x.shape[0], -1)))
        return self.head(self.dropout(x, rngs=rngs))
