"""The form of a convolution that is fast on the CPU, behind the signature of JAX's own.

    few channels   strips of K rows and V columns [B, H', n, K * V * C] times a banded matrix
                   [K * V * C, W' / n * D] whose entry (a, v, c; q, d) is kernel[a, v - q, c, d]:
                   one product of matrices; n parts of the width, each as wide as the kernel or more
    pointwise      a 1x1 kernel of stride s: x[:, ::s, ::s] times a matrix
    many places    part of the batch after part, of about 4096 places each

XLA's CPU convolution is made for many channels, and its kernel gradient sums over all places of the
batch at once, for which no cache is large enough: over 32 images of 32 x 32 x 64, 3x3 to 64 maps,
it ran at 35 GFLOP/s where the forward pass ran at 151, and in eight parts at 126 (two cores, jax
0.10.2). `benchmarks/convnets.py` measures what that gains. Elsewhere, and for every other shape, it
is `jax.lax.conv_general_dilated` itself. Values and gradients are the same up to rounding, in
forward mode too.

Parts are cut from the batch axis: where that is sharded over CPU devices, XLA moves examples
between them. `pmap` and `shard_map` see a device's own batch.

`Conv` is nnx.Conv with it: the same arguments and params.

Axes: B images, H rows, W columns, C channels in, D maps out, K x L taps.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.nn.convolution import layout

FEW_CHANNELS = 16  # in and out
WIDEST = 8  # columns a tap; of a width without divisors the band has W / L times the products
PLACES, MOST_PARTS = 4096, 8  # measured: more places a part are slower, more parts compile longer


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides,
    padding,
    lhs_dilation=None,
    rhs_dilation=None,
    dimension_numbers=None,
    feature_group_count: int = 1,
    **options,
) -> jax.Array:
    """`jax.lax.conv_general_dilated`, in the form that suits the platform and the shapes.

    Args:
        lhs: x [B, H, W, C], or of any layout, in JAX's own form.
        rhs: kernel [K, L, C, D].
        window_strides: as JAX has them, like all that follow.
        padding: a word, or a pair for each axis.
        lhs_dilation: of x.
        rhs_dilation: of the kernel.
        dimension_numbers: the layout; None is NCHW.
        feature_group_count: groups of channels.
        options: of `jax.lax.conv_general_dilated`.

    Returns:
        Maps [B, H', W', D].
    """
    plain = functools.partial(
        jax.lax.conv_general_dilated,
        window_strides=window_strides,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers,
        feature_group_count=feature_group_count,
        **options,
    )
    if lhs.ndim != 4 or dimension_numbers is None or feature_group_count != 1:
        return plain(lhs, rhs)
    shapes = lhs.shape, rhs.shape
    numbers = jax.lax.conv_dimension_numbers(*shapes, dimension_numbers)
    channels_last = numbers == jax.lax.conv_dimension_numbers(*shapes, layout(2))
    dilations = (*(lhs_dilation or ()), *(rhs_dilation or ()))
    unset = all(value is None for value in options.values())
    if not (channels_last and unset and all(step == 1 for step in dilations)):
        return plain(lhs, rhs)
    taps, strides = rhs.shape[:2], tuple(window_strides)
    pads = padding
    if isinstance(padding, str):
        pads = jax.lax.padtype_to_pads(lhs.shape[1:3], taps, strides, padding)
    if taps == (1, 1) and not np.any(pads):
        form = functools.partial(_pointwise, strides=strides)
    elif strides == (1, 1) and _is_few(lhs.shape[2] + sum(pads[1]), rhs.shape):
        form = functools.partial(_banded, pads=pads)
    else:
        form = functools.partial(_in_parts, plain, _parts(lhs.shape))
    return jax.lax.platform_dependent(lhs, rhs, cpu=form, default=plain)


Conv = functools.partial(nnx.Conv, conv_general_dilated=conv_general_dilated)


def _is_few(width, kernel_shape):
    _, columns, channels, maps = kernel_shape
    return max(channels, maps) <= FEW_CHANNELS and width <= WIDEST * columns and columns > 1


def _parts(shape):
    """A power of two that divides the batch, 1 for few places."""
    parts, places = 1, np.prod(shape[:3])
    while parts < MOST_PARTS and parts * PLACES < places and shape[0] % (2 * parts) == 0:
        parts *= 2
    return parts


def _in_parts(function, parts, x, kernel):
    if parts == 1:
        return function(x, kernel)
    return jnp.concatenate([function(part, kernel) for part in jnp.split(x, parts)])


def _pointwise(x, kernel, strides):
    return x[:, :: strides[0], :: strides[1]] @ kernel[0, 0][None, None]


def _banded(x, kernel, pads):
    rows, columns, channels, maps = kernel.shape
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    parts = max(
        n for n in range(1, width + 1) if width % n == 0 and (n == 1 or width >= n * columns)
    )
    made = width // parts
    seen = made + columns - 1
    strips = [
        x[:, row : row + height, first : first + seen].reshape(len(x), height, -1)
        for first in range(0, width, made)
        for row in range(rows)
    ]
    strips = jnp.concatenate(strips, -1).reshape(len(x), height, parts, -1)
    tap, column, place = np.ogrid[:columns, :seen, :made]
    meets = jnp.asarray(column == place + tap, kernel.dtype)
    band = jnp.einsum("lwq,klcd->kwcqd", meets, kernel).reshape(-1, made * maps)
    return (strips.reshape(-1, strips.shape[-1]) @ band).reshape(len(x), height, width, maps)
