"""A convolution as one product of matrices: of patches (im2col), and with a Toeplitz matrix.

    patches      P[b, p, (a, c)] = x[b, s p + d a - low, c],     z = P kernel.reshape(K C, D)
    matrix       M[(i, c), (p, o)] = kernel[a, c, o] where i = s p + d a - low, else 0,   z = x M

M is mostly zeros and repeats its few numbers along diagonals: a convolution is a dense layer whose
weights are tied and mostly absent. To be read, not run: M has (H W C)(H' W' D) entries.

Source: 004 eq. 4.9, where z = M^T h with h a column; eq. 4.12 drops its transposition. Its
"N - W + 1 + 7" of the text is 7 outputs of 8 inputs and 2 weights.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jdl.nn.convolution import Paddings, each_axis, paddings
from jdl.nn.convolution_sizes import output_size


def patches(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Paddings = "VALID",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """What the kernel sees at each place, in a row (im2col).

    `jax.lax.conv_general_dilated_patches` has the same in the order (c, a, b).

    Args:
        x: [B, T, C] or [B, H, W, C].
        kernel_size: taps, of all axes or of each.
        strides: of all axes or of each.
        padding: as `correlate` takes it; zeros.
        dilation: steps between taps.

    Returns:
        [B, T', K C] or [B, H', W', K L C], in the order (tap, channel) of kernel.reshape(-1, D).

    Example:
        >>> patches(jnp.arange(4.0)[None, :, None], 2)[0].tolist()
        [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]
    """
    space = x.ndim - 2
    window, strides, dilation = (each_axis(v, space) for v in (kernel_size, strides, dilation))
    pads = paddings(x.shape[1:-1], window, strides, padding, dilation)
    sizes = [
        output_size(*axis)
        for axis in zip(x.shape[1:-1], window, strides, pads, dilation, strict=True)
    ]
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    seen = []
    for taps in np.ndindex(*window):
        begins = [tap * step for tap, step in zip(taps, dilation, strict=True)]
        axes = zip(begins, sizes, strides, strict=True)
        space_index = tuple(slice(b, b + (n - 1) * s + 1, s) for b, n, s in axes)
        seen.append(x[(slice(None), *space_index)])
    return jnp.concatenate(seen, -1)


def correlate_by_patches(x: jax.Array, kernel: jax.Array, **options) -> jax.Array:
    """`correlate` as one product: the patches, and the kernel as a matrix [K L C, D].

    Args:
        x: [B, T, C] or [B, H, W, C].
        kernel: [K, C, D] or [K, L, C, D].
        options: of `patches`.
    """
    rows = patches(x, kernel.shape[:-2], **options)
    return rows @ kernel.reshape(-1, kernel.shape[-1])


def convolution_matrix(
    kernel: jax.Array,
    sizes: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Paddings = "VALID",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """The matrix of `correlate` for images of one size.

        correlate(x, kernel).reshape(B, -1) = x.reshape(B, -1) @ matrix

    The transposed matrix is the transposed convolution: `y.reshape(B, -1) @ matrix.T`.

    Args:
        kernel: [K, C, D] or [K, L, C, D].
        sizes: T, or (H, W), of the input.
        strides: of all axes or of each.
        padding: as `correlate` takes it.
        dilation: steps between taps.

    Returns:
        [T C, T' D] or [H W C, H' W' D].

    Example:
        >>> kernel = jnp.array([2.0, 3.0])[:, None, None]
        >>> matrix = convolution_matrix(kernel, 8, strides=2)
        >>> matrix.shape, int((matrix != 0).sum()), (matrix.T @ jnp.arange(8.0)).tolist()
        ((8, 4), 8, [3.0, 13.0, 23.0, 33.0])
    """
    space = kernel.ndim - 2
    sizes, strides, dilation = (each_axis(v, space) for v in (sizes, strides, dilation))
    window = kernel.shape[:-2]
    pads = paddings(sizes, window, strides, padding, dilation)
    axes = zip(sizes, window, strides, pads, dilation, strict=True)
    meets = [_meetings(*axis).astype(kernel.dtype) for axis in axes]
    formula = {1: "aip,aco->icpo", 2: "aip,bjq,abco->ijcpqo"}[space]
    exact = jax.lax.Precision.HIGHEST
    matrix = jnp.einsum(formula, *meets, kernel, precision=exact)
    inputs = np.prod(sizes) * kernel.shape[-2]
    return matrix.reshape(inputs, -1)


def _meetings(size, taps, stride, pads, dilation):
    """[K, T, T']: whether tap a of output p lies on input i."""
    outputs = output_size(size, taps, stride, pads, dilation)
    tap, place, output = np.ogrid[:taps, :size, :outputs]
    return place == stride * output + dilation * tap - pads[0]
