"""The dense block, where each layer sees the maps of all before it, and the transition between.

    x_l = F_l([x_0, ..., x_{l-1}]),   k maps each;   layer l sees C + k (l - 1) channels
    F   = norm activation 1x1 (4 k maps) norm activation 3x3 (k maps)
    transition   norm activation 1x1 (floor(theta C) maps) average pool 2x2

Source: Huang, Liu, van der Maaten, Weinberger 2017, eq. 2 and section 3: growth rate k = 32, 4 k
maps in the bottleneck (DenseNet-B), theta = 0.5 (-C); 004 eq. 4.18. Departs from it where units
are dropped: those of the maps added alone, as torchvision does, not after the 1x1 too.

Axes: B images, H rows, W columns, C channels.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.pooling import avg_pool
from jdl.nn.residual import BATCH_NORM, HE_CONV


class DenseBlock(nnx.Module):
    """The block.

    Args:
        in_features: C.
        num_layers: layers; the outputs have C + num_layers * growth_rate channels.
        growth_rate: k, maps that each adds.
        bottleneck: the 1x1 has bottleneck * k maps; None leaves it out, the plain DenseNet.
        dropout_rate: of the maps added; its passes take `rngs`.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        in_features: int,
        num_layers: int,
        growth_rate: int = 32,
        *,
        bottleneck: int | None = 4,
        dropout_rate: float = 0.0,
        activation: Callable = jax.nn.relu,
        norm: Callable = BATCH_NORM,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        options = {
            "norm": norm,
            "activation": activation,
            "dtype": dtype,
            "param_dtype": param_dtype,
            "rngs": rngs,
        }
        self.out_features = in_features + num_layers * growth_rate
        self.dropout = nnx.Dropout(dropout_rate)
        hidden = None if bottleneck is None else bottleneck * growth_rate

        def layer(inputs):
            if hidden is None:
                return NormConv(inputs, growth_rate, 3, **options)
            reduction = NormConv(inputs, hidden, 1, **options)
            return nnx.Sequential(reduction, NormConv(hidden, growth_rate, 3, **options))

        widths = range(in_features, self.out_features, growth_rate)
        self.layers = nnx.List([layer(width) for width in widths])

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H, W, out_features]; the first C are the inputs."""
        for layer in self.layers:
            y = self.dropout(layer(x), rngs=rngs)
            x = jnp.concatenate([x.astype(y.dtype), y], -1)
        return x


class Transition(nnx.Module):
    """Fewer maps, of half the size.

    Args:
        in_features: C.
        compression: theta; the outputs have floor(theta C) channels.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Raises:
        ValueError: a theta outside of (0, 1].
    """

    def __init__(
        self,
        in_features: int,
        compression: float = 0.5,
        *,
        activation: Callable = jax.nn.relu,
        norm: Callable = BATCH_NORM,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if not 0 < compression <= 1:
            raise ValueError(f"compression lies in (0, 1]; got {compression}")
        self.out_features = int(compression * in_features)
        self.layer = NormConv(
            in_features,
            self.out_features,
            1,
            norm=norm,
            activation=activation,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H / 2, W / 2, out_features]."""
        return avg_pool(self.layer(x), 2)


class NormConv(nnx.Module):
    """Norm, activation, convolution without biases that keeps the size."""

    def __init__(self, in_features, features, size, *, norm, activation, dtype, param_dtype, rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.norm, self.activation = norm(in_features, **made), activation
        self.conv = HE_CONV(in_features, features, (size, size), **made)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H, W, features]."""
        return self.conv(self.activation(self.norm(x)))
