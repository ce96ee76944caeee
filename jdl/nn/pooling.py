"""Pooling with a gradient fast on the CPU, pooling to a size, and pooling that erases in place.

    max_pool   y[p] = max_a x[s p + a]         avg_pool   y[p] = mean_a x[s p + a]
    overlapping      window 3, strides 2 (AlexNet)
    adaptive         maps of any size -> O x P means, of windows that may overlap
    global average   x.mean((1, 2)), maps of any size -> [B, C];   global maximum   x.max((1, 2))
    flatten          x.reshape(x.shape[0], -1)
    learned          nnx.Conv(C, C, (3, 3), strides=2, rngs=rngs), a strided convolution instead

Values and gradients are those of nnx.max_pool and nnx.avg_pool; a maximum that several places share
sends its gradient to the first. On the CPU small windows are read as strided slices, since XLA
spreads the gradient of its own windows back place by place there (measured: a maximum of stride 2
with its gradient 6 to 17 times slower, of stride 1 by a third). Elsewhere they are XLA's. Here
`strides` is the window unless given, as in the books; Flax's is 1.

Source: 000, 001, 002, 003; 004 ch. 4 and 7; Krizhevsky, Sutskever, Hinton 2012, section
3.4 (overlapping).

Axes: B images, H rows, W columns (or T times), C channels.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jdl.nn.convolution import Paddings, each_axis, paddings
from jdl.nn.convolution_sizes import output_size

MOST_SLICES = 16  # a slice is an operation of its own; global pooling has hundreds of places


def max_pool(
    x: jax.Array,
    window: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: Paddings = "VALID",
) -> jax.Array:
    """The largest value of each window.

    Args:
        x: [B, T, C] or [B, H, W, C], floats.
        window: places pooled, of all axes or of each.
        strides: steps between windows; as the window, if None.
        padding: as `correlate` takes it; places of minus infinity, never seen.

    Returns:
        [B, T', C] or [B, H', W', C], a not-a-number where a window has one.

    Example:
        >>> x = jnp.array([[1.0, 6, 2, 5], [3, 4, 0, 1], [7, 2, 9, 8], [8, 0, 3, 4]])
        >>> max_pool(x[None, :, :, None], 2)[0, :, :, 0].tolist()
        [[6.0, 5.0], [8.0, 9.0]]
    """
    return _pooled(x, window, strides, padding, _largest, jax.lax.max, -jnp.inf)


def avg_pool(
    x: jax.Array,
    window: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: Paddings = "VALID",
    *,
    count_padding: bool = True,
) -> jax.Array:
    """The mean of each window.

    Args:
        x: [B, T, C] or [B, H, W, C], floats.
        window: places pooled, of all axes or of each.
        strides: steps between windows; as the window, if None.
        padding: as `correlate` takes it; zeros.
        count_padding: divide by all places of the window, as Flax and PyTorch do; False divides by
            those inside the image, as TensorFlow does.

    Returns:
        [B, T', C] or [B, H', W', C].
    """
    total = functools.partial(_pooled, window=window, strides=strides, padding=padding, initial=0.0)
    total = functools.partial(total, slices=sum, combine=jax.lax.add)
    if count_padding:
        return total(x) / np.prod(each_axis(window, x.ndim - 2))
    return total(x) / total(jnp.ones((1, *x.shape[1:-1], 1), x.dtype))


def adaptive_avg_pool(x: jax.Array, size: int | Sequence[int]) -> jax.Array:
    """Means of as many windows as wanted, whatever the size of the maps.

        y[o] = mean of x[floor(o H / O)], ..., x[ceil((o + 1) H / O) - 1]      of each axis

    Windows overlap where O does not divide H; H = O changes nothing, and H < O repeats.

    Args:
        x: [B, T, C] or [B, H, W, C], floats.
        size: O, of all axes or of each.

    Returns:
        [B, O, C] or [B, O, P, C], PyTorch's AdaptiveAvgPool of it.

    Example:
        >>> adaptive_avg_pool(jnp.arange(5.0)[None, :, None], 2).ravel().tolist()
        [1.0, 3.0]
    """
    sizes = each_axis(size, x.ndim - 2)
    axes = list(zip(x.shape[1:-1], sizes, strict=True))
    if all(places % wanted == 0 for places, wanted in axes):
        return avg_pool(x, [places // wanted for places, wanted in axes])
    for axis, (places, wanted) in enumerate(axes, 1):
        means = jnp.asarray(_window_means(places, wanted), x.dtype)
        x = jnp.tensordot(x, means, (axis, 1), precision="highest")
        x = jnp.moveaxis(x, -1, axis)
    return x


def sparsified(
    x: jax.Array, window: int | Sequence[int], strides: int | Sequence[int] | None = None
) -> jax.Array:
    """Erases all but the largest value of each window, and leaves that where it is.

    The size stays, and one place of each window is kept, the first if several are largest: an
    activity as sparse as one wants without a penalty. Places that no window covers are erased. With
    windows that overlap a place is kept that is the largest of any.

    Source: 004 ch. 7; Makhzani, Frey 2015 (spatial sparsity), where the window is the image.

    Args:
        x: [B, T, C] or [B, H, W, C], floats.
        window: places of a region.
        strides: as the window, if None.

    Returns:
        The shape of x. Its gradient goes to the places kept alone.

    Example:
        >>> sparsified(jnp.array([1.0, 3.0, -2.0, -1.0])[None, :, None], 2).ravel().tolist()
        [0.0, 3.0, 0.0, -1.0]
    """
    _, pull = jax.vjp(lambda x: max_pool(x, window, strides), jax.lax.stop_gradient(x))
    shape = jax.eval_shape(lambda: max_pool(x, window, strides))
    (times_largest,) = pull(jnp.ones(shape.shape, shape.dtype))
    return jnp.where(times_largest > 0, x, 0)


def _window_means(places, wanted):
    """[wanted, places]: a row is the mean of its window."""
    first = np.arange(wanted)[:, None] * places // wanted
    end = -(-np.arange(1, wanted + 1)[:, None] * places // wanted)
    inside = (np.arange(places) >= first) & (np.arange(places) < end)
    return inside / inside.sum(1, keepdims=True)


def _pooled(x, window, strides, padding, slices, combine, initial):
    """Combines windows: as strided slices on the CPU, as XLA's windows elsewhere."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"a pooling takes floats; got {x.dtype}. Scale images first")
    space = x.ndim - 2
    window = each_axis(window, space)
    strides = window if strides is None else each_axis(strides, space)
    pads = paddings(x.shape[1:-1], window, strides, padding, (1,) * space)
    axes = zip(x.shape[1:-1], window, strides, pads, strict=True)
    sizes = [output_size(*axis) for axis in axes]
    initial = np.array(initial, x.dtype)
    around = ((0, 0), *pads, (0, 0))

    def by_slices(x):
        x = jax.lax.pad(x, initial, [(*pair, 0) for pair in around])
        return slices(_slices(x, window, strides, sizes))

    def by_windows(x):
        ones = (1, *window, 1), (1, *strides, 1)
        return jax.lax.reduce_window(x, initial, combine, *ones, around)

    if np.prod(window) > MOST_SLICES:
        return by_windows(x)
    return jax.lax.platform_dependent(x, cpu=by_slices, default=by_windows)


def _slices(x, window, strides, sizes):
    """The places of every window, one tap after the other: arrays [B, ..., C]."""
    for taps in np.ndindex(*window):
        axes = zip(taps, sizes, strides, strict=True)
        places = tuple(slice(tap, tap + (n - 1) * s + 1, s) for tap, n, s in axes)
        yield x[(slice(None), *places)]


def _largest(slices):
    """The maximum, the first of equals, or a not-a-number."""
    return functools.reduce(lambda best, x: jnp.where((x > best) | jnp.isnan(x), x, best), slices)
