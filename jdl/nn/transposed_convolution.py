"""Transposed (fractionally strided) convolution, with a kernel gradient that is fast on the CPU.

    conv_transpose(x, kernel)   correlates x, its places spread `strides` apart, with the kernel
    <correlate(u, k), x> = <u, conv_transpose(x, adjoint(k))>       the adjoint of a convolution

Values and gradients are those of jax.lax.conv_transpose and nnx.ConvTranspose. XLA's own form of
the gradient by the kernel is slow on the CPU, so that it is taken there as the kernel gradient of
the convolution whose adjoint this is (measured on DCGAN's layers: the whole gradient 6 to 17 times
faster). A custom derivative has no forward mode: `jax.jvp` and `jax.jacfwd` want nnx.ConvTranspose.

    sizes          "SAME" size * s;   "VALID" (size - 1) s + max(k, s);   `transposed_size`
    Flax           nnx.ConvTranspose(C, D, (k, k), strides=(s, s)): `ConvTranspose`, same params
    PyTorch        ConvTranspose2d(C, D, k, s, padding=p, output_padding=e), weight [C, D, k, k]:
                   conv_transpose(x, kernel, s, torch_padding(k, p, extra=e)),
                   kernel = adjoint(relaid(weight, "OIHW"))
    Keras          Conv2DTranspose(D, k, strides=s, padding="same"), kernel [k, k, D, C]:
                   conv_transpose(x, adjoint(kernel), s, "SAME"), the same for "VALID"

Flax pads the spread input, PyTorch and Keras name the padding of the convolution that is undone.

Source: Dumoulin and Visin 2016, chapter 4; 004 ch. 7 and 8 (decoders, DCGAN).

Axes: B images, H rows, W columns (or T times), C channels in, D maps out.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.convolution import each_axis, layout, reversed_in_space


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "SAME",
    *,
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Transposed convolution over one or two axes.

        y[b, n, d] = sum_{i, a, c: s i + lo = n + dilation a} x[b, i, c] kernel[a, c, d]

    Args:
        x: [B, T, C] or [B, H, W, C].
        kernel: [K, C, D] or [K, L, C, D]; `adjoint` makes it of that of a convolution.
        strides: how far apart the inputs are spread.
        padding: "SAME", "VALID", or pairs (lo, hi) of zeros around the spread input.
        dilation: steps between taps.

    Returns:
        [B, T', D] or [B, H', W', D].

    Raises:
        ValueError: ranks or channels that do not fit, another word.

    Example:
        >>> x = jnp.array([1.0, 2.0])[None, :, None]
        >>> kernel = jnp.array([1.0, 10.0])[:, None, None]
        >>> conv_transpose(x, kernel, 2).ravel().tolist()
        [10.0, 1.0, 20.0, 2.0]
    """
    space = x.ndim - 2
    if x.ndim not in (3, 4) or kernel.ndim != x.ndim or kernel.shape[-2] != x.shape[-1]:
        raise ValueError(
            "inputs [B, T, C] go with kernels [K, C, D] and [B, H, W, C] with [K, L, C, D]; got "
            f"{x.shape} and {kernel.shape}. `adjoint` swaps C and D"
        )
    strides, dilation = each_axis(strides, space), each_axis(dilation, space)
    axes = zip(kernel.shape[:-2], strides, dilation, strict=True)
    pads = [_around(*axis, padding) for axis in axes] if isinstance(padding, str) else padding
    return _transposed(strides, tuple(map(tuple, pads)), dilation)(x, kernel)


def adjoint(kernel: jax.Array) -> jax.Array:
    """The kernel of the adjoint: reversed in space, with its channels exchanged. Its own inverse.

    Args:
        kernel: [..., C, D].

    Returns:
        [..., D, C].
    """
    return reversed_in_space(kernel).swapaxes(-1, -2)


def torch_padding(
    kernel: int | Sequence[int],
    padding: int | Sequence[int] = 0,
    *,
    dilation: int = 1,
    extra: int = 0,
    space: int = 2,
) -> list[tuple[int, int]]:
    """PyTorch's padding of a transposed convolution, as `conv_transpose` takes it.

        lo = dilation (k - 1) - padding,   hi = lo + extra

    Args:
        kernel: taps, of all axes or of each.
        padding: zeros on each side of the *outputs* that the convolution would see.
        dilation: steps between taps.
        extra: PyTorch's `output_padding`.
        space: number of axes.

    Example:
        >>> torch_padding(4, 1)
        [(2, 2), (2, 2)]
    """
    axes = zip(each_axis(kernel, space), each_axis(padding, space), strict=True)
    lows = [dilation * (taps - 1) - zeros for taps, zeros in axes]
    return [(low, low + extra) for low in lows]


class ConvTranspose(nnx.Module):
    """The layer of `conv_transpose`, with the params of nnx.ConvTranspose: `kernel`, `bias`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        *,
        padding: str | Sequence[tuple[int, int]] = "SAME",
        dilation: int | Sequence[int] = 1,
        use_bias: bool = True,
        kernel_init=nnx.initializers.lecun_normal(),
        bias_init=nnx.initializers.zeros_init(),
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.strides, self.padding, self.dilation = strides, padding, dilation
        self.dtype, self.use_bias = dtype, use_bias
        shape = (*each_axis(kernel_size, 2), in_features, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))
        if use_bias:
            self.bias = nnx.Param(bias_init(rngs.params(), (out_features,), param_dtype))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images [B, H, W, C] -> [B, H', W', D]."""
        dtype = self.dtype or jnp.result_type(x, self.kernel[...])
        x, kernel = x.astype(dtype), self.kernel[...].astype(dtype)
        y = conv_transpose(x, kernel, self.strides, self.padding, dilation=self.dilation)
        if not self.use_bias:
            return y
        return y + self.bias[...].astype(dtype).reshape((1,) * (y.ndim - 1) + (-1,))


def _around(kernel, stride, dilation, padding):
    """The zeros around the spread input that JAX's words stand for."""
    extent = dilation * (kernel - 1) + 1
    if padding == "SAME":
        total = extent + stride - 2
        low = extent - 1 if stride > extent - 1 else -(-total // 2)
        return low, total - low
    if padding == "VALID":
        total = extent + stride - 2 + max(extent - stride, 0)
        return extent - 1, total - extent + 1
    raise ValueError(f"padding is SAME, VALID or a pair for each axis; got {padding!r}")


def _transposed(strides, pads, dilation):
    """The function of x and kernel whose kernel gradient depends on the platform."""
    numbers = layout(len(strides))

    def plain(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (1,) * len(strides),
            pads,
            lhs_dilation=strides,
            rhs_dilation=dilation,
            dimension_numbers=numbers,
        )

    def undone(y, kernel):
        extents = [step * (taps - 1) for step, taps in zip(dilation, kernel.shape, strict=False)]
        around = [(e - low, e - high) for e, (low, high) in zip(extents, pads, strict=True)]
        return jax.lax.conv_general_dilated(
            y, adjoint(kernel), strides, around, rhs_dilation=dilation, dimension_numbers=numbers
        )

    def by_the_adjoint(x, kernel, slope):
        # <undone(slope, kernel), x> = <slope, plain(x, kernel)>, so both have one derivative.
        return jax.vjp(lambda kernel: undone(slope, kernel), kernel)[1](x)[0]

    def as_it_stands(x, kernel, slope):
        return jax.vjp(lambda kernel: plain(x, kernel), kernel)[1](slope)[0]

    @jax.custom_vjp
    def function(x, kernel):
        return plain(x, kernel)

    def backward(saved, slope):
        x, kernel = saved
        by_kernel = jax.lax.platform_dependent(
            x, kernel, slope, cpu=by_the_adjoint, default=as_it_stands
        )
        return undone(slope, kernel), by_kernel

    function.defvjp(lambda x, kernel: (plain(x, kernel), (x, kernel)), backward)
    return function
