"""The inverted residual block (MBConv), and squeeze-and-excitation.

    x -> 1x1, t C maps, norm, act -> depthwise KxK, norm, act -> [gate] -> 1x1, D maps, norm -> + x

Wide inside and narrow outside, the other way round than a bottleneck; nothing is activated after
the last layer, and x is added where the shape stays. The first 1x1 is left out for t = 1.

    gate    s = sigmoid(W_2 act(W_1 m + b_1) + b_2), m the mean of x over space;   y = s * x

    MobileNet-V2    activation=jax.nn.relu6, se_ratio=0, norm of eps 1e-5, t = 6
    EfficientNet    activation=jax.nn.silu, se_ratio=0.25 of C, not of t C; eps 1e-3, momentum 0.99

Source: Sandler et al. 2018, table 1; Hu, Shen, Sun 2018, eqs. 2-4; Tan, Le 2019; Tan et al. 2019;
Huang et al. 2016 (stochastic depth). 004 ch. 4 has the words.

Axes: B images, H rows, W columns, C channels in, D maps out.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.residual import HE_CONV

EFFICIENTNET_NORM = functools.partial(nnx.BatchNorm, momentum=0.99, epsilon=1e-3)
# He's rule, where K^2 weights feed an output and as many take its error back, as the published code
# and timm have it; torchvision's fan out counts those of all channels.
DEPTHWISE_CONV = functools.partial(
    nnx.Conv,
    use_bias=False,
    kernel_init=nnx.initializers.variance_scaling(2.0, "fan_in", "normal"),
)


class SqueezeExcite(nnx.Module):
    """Channels scaled by what all of them say on the mean over space.

    Args:
        features: C.
        hidden_dim: units between, C / 16 as published.
        activation: of them; the rectifier as published.
        gate: of the factors; the sigmoid.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        features: int,
        hidden_dim: int,
        *,
        activation: Callable = jax.nn.relu,
        gate: Callable = jax.nn.sigmoid,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.squeeze = nnx.Linear(features, hidden_dim, **made)
        self.excite = nnx.Linear(hidden_dim, features, **made)
        self.activation, self.gate = activation, gate

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> the same shape."""
        factors = self.gate(self.excite(self.activation(self.squeeze(x.mean((1, 2))))))
        return x * factors[:, None, None]


class InvertedResidual(nnx.Module):
    """The block; its defaults are EfficientNet's.

    Args:
        in_features: C.
        features: D.
        kernel_size: K of the depthwise layer.
        strides: of it.
        expansion: t.
        se_ratio: the gate's units as a part of C, at least 1; 0 for no gate.
        drop_rate: probability that training leaves the branch of an image out (stochastic depth);
            what is kept is divided by 1 - drop_rate. Its passes take `rngs`.
        padding: of the depthwise layer, "SAME" as published, or "symmetric" (`border`), or zeros.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        kernel_size: int = 3,
        strides: int = 1,
        *,
        expansion: int = 6,
        se_ratio: float = 0.25,
        drop_rate: float = 0.0,
        padding: str | int = "SAME",
        activation: Callable = jax.nn.silu,
        norm: Callable = EFFICIENTNET_NORM,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        hidden, self.activation = in_features * expansion, activation
        self.expands, self.gates = expansion != 1, se_ratio > 0
        self.adds = strides == 1 and in_features == features
        if self.expands:
            self.expand = HE_CONV(in_features, hidden, (1, 1), **made)
            self.expand_norm = norm(hidden, **made)
        self.depthwise = DEPTHWISE_CONV(
            hidden,
            hidden,
            (kernel_size, kernel_size),
            strides,
            padding=border(padding, kernel_size),
            feature_group_count=hidden,
            **made,
        )
        self.depthwise_norm = norm(hidden, **made)
        if self.gates:
            units = max(1, int(in_features * se_ratio))
            self.gate = SqueezeExcite(hidden, units, activation=activation, **made)
        self.project = HE_CONV(hidden, features, (1, 1), **made)
        self.project_norm = norm(features, **made)
        self.dropout = nnx.Dropout(drop_rate, broadcast_dims=(1, 2, 3))

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H', W', D]."""
        y = x
        if self.expands:
            y = self.activation(self.expand_norm(self.expand(y)))
        y = self.activation(self.depthwise_norm(self.depthwise(y)))
        y = self.gate(y) if self.gates else y
        y = self.project_norm(self.project(y))
        return x.astype(y.dtype) + self.dropout(y, rngs=rngs) if self.adds else y


def border(padding: str | int, kernel_size: int) -> str | int:
    """The padding that keeps the size, by the convention named, as nnx.Conv takes it.

    They differ where the stride is 2: of an even number of rows TensorFlow pads the end alone.

    Args:
        padding: "symmetric", of as many zeros on each side (torchvision, timm); "SAME"
            (TensorFlow, Keras), and numbers, stay as they are.
        kernel_size: taps.

    Example:
        >>> border("symmetric", 5), border("SAME", 5)
        (2, 'SAME')
    """
    return kernel_size // 2 if padding == "symmetric" else padding
