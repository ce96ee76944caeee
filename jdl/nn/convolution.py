"""Convolution and cross-correlation, and the layers around them that Flax lacks.

    correlate   z[p, o] = sum_{a, c} x[s p + d a - low, c] kernel[a, c, o]    what networks do
    convolve    the same with the kernel reversed along space                 what signals have

p and a run over one axis (1-D) or two (2-D); s is the stride, d the dilation. Layers are Flax's:

    dilated        nnx.Conv(C, D, (3, 3), kernel_dilation=2, rngs=rngs)
    grouped        nnx.Conv(C, D, (3, 3), feature_group_count=G, rngs=rngs)
                   kernel [3, 3, C / G, D]
    pointwise      nnx.Conv(C, D, (1, 1), rngs=rngs)            a nnx.Linear of the channels
    depthwise      nnx.Conv(C, C * M, (3, 3), feature_group_count=C, rngs=rngs)
                   kernel [3, 3, 1, C * M]; map c * M + m sees channel c alone
    strided        nnx.Conv(C, D, (3, 3), strides=2, rngs=rngs)                in place of a pooling
    separable      `SeparableConv`: depthwise, then pointwise
    tied bias      one number a map: nnx.Conv has it;   untied: one a place too, `UntiedBias`

Weights: k^2 C D for a full kernel, k^2 C D / G grouped, k^2 C M + C M D separable. The books call
both sums convolution: 004 eq. 4.1 is the reversed one and its eq. 4.3 is not; 000's prose is a
sliding product and its listing, scipy.signal.convolve2d, reverses.

Axes: B images, H rows, W columns (or T times), C channels in, D maps out.
"""

from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.nn.convolution_sizes import Padding, padded

Paddings = Padding | Sequence[tuple[int, int]]


def correlate(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: int | Sequence[int] = 1,
    padding: Paddings = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Cross-correlation over one or two axes, all channels: the kernel is not reversed.

        z[b, p, q, o] = sum_{i, j, c} x[b, s p + d i - low, s q + d j - low, c] kernel[i, j, c, o]

    Args:
        x: [B, T, C] or [B, H, W, C].
        kernel: [K, C / groups, D] or [K, L, C / groups, D]; `relaid` makes it of other layouts.
        strides: of all axes or of each.
        padding: zeros on each side, "VALID", "SAME", "FULL", or a pair (low, high) for each axis.
        dilation: steps between taps, of all axes or of each.
        groups: how many parts the channels fall into that see nothing of each other.

    Returns:
        Maps [B, T', D] or [B, H', W', D]; `output_size` has T'.

    Raises:
        ValueError: ranks or channels that do not fit.

    Example:
        >>> x = jnp.array([1.0, 2.0, 4.0])[None, :, None]
        >>> kernel = jnp.array([1.0, -1.0])[:, None, None]
        >>> correlate(x, kernel).ravel().tolist(), convolve(x, kernel).ravel().tolist()
        ([-1.0, -2.0], [1.0, 2.0])
    """
    _check(x, kernel, groups)
    space = x.ndim - 2
    strides, dilation = each_axis(strides, space), each_axis(dilation, space)
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        paddings(x.shape[1:-1], kernel.shape[:-2], strides, padding, dilation),
        rhs_dilation=dilation,
        dimension_numbers=layout(space),
        feature_group_count=groups,
    )


def convolve(x: jax.Array, kernel: jax.Array, **options) -> jax.Array:
    """True convolution over one or two axes: `correlate` with the kernel reversed along space.

        z[b, p, q, o] = sum_{i, j, c} x[b, p + K-1-i, q + L-1-j, c] kernel[i, j, c, o]

    Args:
        x: [B, T, C] or [B, H, W, C].
        kernel: [K, C, D] or [K, L, C, D].
        options: of `correlate`. padding="FULL" with one channel is numpy.convolve.

    Returns:
        Maps [B, T', D] or [B, H', W', D].
    """
    return correlate(x, reversed_in_space(kernel), **options)


def reversed_in_space(kernel: jax.Array) -> jax.Array:
    """A kernel [..., C, D] read backwards along all axes but the last two."""
    return jnp.flip(kernel, tuple(range(kernel.ndim - 2)))


def relaid(kernel: jax.Array, source: str, target: str = "HWIO") -> jax.Array:
    """A kernel with its axes in another order.

        "IOHW"    004 [C_in, C_out, M_W, N_W]; weights of PyTorch's transposed convolutions
        "OIHW"    weights of PyTorch's convolutions
        "HWIO"    jdl, Flax, Keras
        "HWOI"    Keras's transposed convolutions

    Args:
        kernel: of as many axes as letters.
        source: a letter for each axis that it has.
        target: the same letters in the order that it gets.

    Raises:
        ValueError: other letters, or another number of axes.

    Example:
        >>> relaid(jnp.zeros([3, 64, 5, 7]), "IOHW").shape
        (5, 7, 3, 64)
    """
    kernel = jnp.asarray(kernel)
    if sorted(source) != sorted(target) or len(source) != kernel.ndim:
        raise ValueError(f"{source!r} -> {target!r} names no order of the {kernel.ndim} axes")
    return kernel.transpose([source.index(letter) for letter in target])


def layout(space: int) -> tuple[str, str, str]:
    """The dimension numbers of JAX for channels last, over one axis or two."""
    return ("NTC", "TIO", "NTC") if space == 1 else ("NHWC", "HWIO", "NHWC")


def each_axis(value: int | Sequence[int], space: int) -> tuple[int, ...]:
    """A number for each axis of space."""
    return (value,) * space if isinstance(value, int) else tuple(value)


def paddings(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Paddings,
    dilation: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """The pair (low, high) of zeros of each axis.

    Args:
        sizes: of the input.
        window: taps.
        strides: of each axis.
        padding: as `correlate` takes it.
        dilation: of each axis.
    """
    if isinstance(padding, int | str):
        padding = [padding] * len(sizes)
    elif [np.size(pair) for pair in padding] != [2] * len(sizes):
        raise ValueError(f"padding is a number, a word or a pair for each axis; got {padding!r}")
    axes = zip(sizes, window, strides, padding, dilation, strict=True)
    return tuple(padded(*axis) for axis in axes)


class UntiedBias(nnx.Module):
    """A bias for each map and place, 004's B of eq. 4.7: after nnx.Conv(..., use_bias=False).

    Its gradient is the error summed over the batch; that of a tied bias is summed over space too.
    H W D parameters in place of D, and the size of the images is fixed.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        bias_init=nnx.initializers.zeros_init(),
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.bias = nnx.Param(bias_init(rngs.params(), tuple(shape), param_dtype))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, *shape] -> the same shape, in the dtype of the maps."""
        shape = self.bias[...].shape
        chex.assert_shape(
            x,
            (None, *shape),
            exception_type=ValueError,
            custom_message=f"these biases are of maps {shape}; a bias of any size is tied",
        )
        return x + self.bias[...].astype(x.dtype)[None]


class SeparableConv(nnx.Module):
    """A filter for each channel, then a mix of the channels.

        x -> depthwise K x K, C M maps, no bias -> between -> pointwise 1 x 1, D maps

    With nothing between it is kernel[i, j, c, o] = sum_m depth[i, j, c M + m] point[c M + m, o], of
    K^2 C M + C M D weights. MobileNet has a normalisation and a rectifier between (Howard et al.
    2017), Xception has nothing (Chollet 2017).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int] = 3,
        strides: int | Sequence[int] = 1,
        *,
        multiplier: int = 1,
        between: Callable = jax.nn.identity,
        padding: Paddings = "SAME",
        dilation: int | Sequence[int] = 1,
        use_bias: bool = True,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        dtypes = {"dtype": dtype, "param_dtype": param_dtype}
        hidden = in_features * multiplier
        self.depthwise = nnx.Conv(
            in_features,
            hidden,
            each_axis(kernel_size, 2),
            strides,
            padding=padding,
            kernel_dilation=dilation,
            feature_group_count=in_features,
            use_bias=False,
            **dtypes,
            rngs=rngs,
        )
        self.between = between
        self.pointwise = nnx.Conv(
            hidden, out_features, (1, 1), use_bias=use_bias, **dtypes, rngs=rngs
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images [B, H, W, C] -> maps [B, H', W', D]."""
        return self.pointwise(self.between(self.depthwise(x)))


class NetworkInNetwork(nnx.Module):
    """A convolution and a small MLP of the channels at every place, shared by all places.

        x -> K x K, features[0] maps -> activation -> 1 x 1, features[1] -> activation -> ...

    Source: Lin, Chen, Yan 2013, section 3.1 (mlpconv); its head is the mean over space of as many
    maps as classes, `x.mean((1, 2))`.
    """

    def __init__(
        self,
        in_features: int,
        features: Sequence[int],
        kernel_size: int | Sequence[int] = 3,
        strides: int | Sequence[int] = 1,
        *,
        padding: Paddings = "SAME",
        activation: Callable = jax.nn.relu,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        dtypes = {"dtype": dtype, "param_dtype": param_dtype}
        size = each_axis(kernel_size, 2)
        first = nnx.Conv(
            in_features, features[0], size, strides, padding=padding, **dtypes, rngs=rngs
        )
        pairs = zip(features[:-1], features[1:], strict=True)
        mixes = [
            nnx.Conv(inputs, outputs, (1, 1), **dtypes, rngs=rngs) for inputs, outputs in pairs
        ]
        self.layers, self.activation = nnx.List([first, *mixes]), activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images [B, H, W, C] -> maps [B, H', W', features[-1]]."""
        for layer in self.layers:
            x = self.activation(layer(x))
        return x


def _check(x, kernel, groups):
    if x.ndim not in (3, 4) or kernel.ndim != x.ndim:
        raise ValueError(
            "inputs [B, T, C] go with kernels [K, C, D] and [B, H, W, C] with [K, L, C, D]; got "
            f"{x.shape} and {kernel.shape}"
        )
    if x.shape[-1] != groups * kernel.shape[-2]:
        raise ValueError(
            f"a kernel of {kernel.shape[-2]} channels in {groups} groups sees "
            f"{groups * kernel.shape[-2]}; the inputs have {x.shape[-1]}. `relaid` changes layouts"
        )
