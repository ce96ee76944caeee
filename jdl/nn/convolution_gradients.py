"""The derivatives of convolution and pooling, by hand.

With z = correlate(x, kernel) + bias, and delta = d loss / d z:

    d loss / d kernel[a, c, o] = sum_{b, p} x[b, s p + d a - low, c] delta[b, p, o]
                               x correlated with delta, whose places lie s apart
    d loss / d x[b, i, c]      = sum_{p, a, o: s p + d a - low = i} delta[b, p, o] kernel[a, c, o]
                               delta, spread s apart, correlated with the reversed kernel
    d loss / d bias            = sum_b delta for an untied bias, sum over places too for a tied one

    maximum   delta goes to the first maximum of its window, in the order of rows; 0 elsewhere
    average   every place of the window gets delta / (places of the window)

A demonstration that the tests hold to autodiff; `jax.grad` is for work.

Departs from 004 eqs. 4.13-4.17: the error goes back through the *reversed* kernel over the full
range, or the sizes do not fit; its "H Delta^T" is a correlation; and the average divides by the
window, which 004 leaves out.

Axes: B images, T or (H, W) space, C channels in, D maps out.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jdl.nn.convolution import (
    Paddings,
    correlate,
    each_axis,
    paddings,
    reversed_in_space,
)
from jdl.nn.convolution_matrices import patches


def kernel_gradient(
    x: jax.Array,
    delta: jax.Array,
    kernel_size: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Paddings = "VALID",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """The derivative by the kernel: the input correlated with the error.

    Args:
        x: inputs of the layer, [B, ..., C].
        delta: derivative of the loss by its outputs, [B, ..., D].
        kernel_size: taps of each axis.
        strides: of the layer.
        padding: of the layer.
        dilation: of the layer.

    Returns:
        [*kernel_size, C, D].
    """
    strides, dilation, pads = _resolved(x.shape, kernel_size, strides, padding, dilation)
    images = x.swapaxes(0, -1)  # [C, ..., B]: channels are examples, and examples channels
    error = jnp.moveaxis(delta, 0, -2)  # [..., B, D]
    found = correlate(images, error, strides=dilation, padding=pads, dilation=strides)
    taps = tuple(slice(0, size) for size in kernel_size)  # a stride may leave inputs unseen
    return jnp.moveaxis(found[(slice(None), *taps)], 0, -2)


def input_gradient(
    delta: jax.Array,
    kernel: jax.Array,
    sizes: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Paddings = "VALID",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """The derivative by the input: the spread error correlated with the reversed kernel.

    Args:
        delta: derivative of the loss by the outputs, [B, ..., D].
        kernel: of the layer, [..., C, D].
        sizes: T or (H, W) of its inputs.
        strides: of the layer.
        padding: of the layer.
        dilation: of the layer.

    Returns:
        [B, *sizes, C].
    """
    taps = kernel.shape[:-2]
    strides, dilation, pads = _resolved((0, *sizes, 0), taps, strides, padding, dilation)
    spread = [(0, 0, stride - 1) for stride in strides]
    delta = jax.lax.pad(delta, jnp.zeros([], delta.dtype), [(0, 0, 0), *spread, (0, 0, 0)])
    around = []
    axes = zip(sizes, taps, dilation, pads, delta.shape[1:-1], strict=True)
    for size, count, step, (low, _), given in axes:
        before = step * (count - 1) - low
        around.append((before, size + step * (count - 1) - before - given))
    turned = reversed_in_space(kernel).swapaxes(-1, -2)
    return correlate(delta, turned, padding=around, dilation=dilation)


def bias_gradient(delta: jax.Array, *, tied: bool = True) -> jax.Array:
    """The derivative by the bias: [D], or [..., D] if each place has its own.

    Args:
        delta: derivative of the loss by the outputs, [B, ..., D].
        tied: one bias for all places of a map.
    """
    return delta.sum(tuple(range(delta.ndim - 1)) if tied else 0)


def max_pool_gradient(
    x: jax.Array,
    delta: jax.Array,
    window: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
) -> jax.Array:
    """Un-pooling of a maximum: the error at the first maximum of its window, added up.

    Args:
        x: inputs of the pooling, [B, ..., C].
        delta: derivative of the loss by its outputs.
        window: places pooled.
        strides: as the window, if None.

    Returns:
        The shape of x.
    """
    strides = window if strides is None else strides
    places = each_axis(window, x.ndim - 2)
    seen = patches(x, places, strides=strides)
    seen = seen.reshape(*seen.shape[:-1], -1, x.shape[-1])  # [B, ..., places, C]
    first = jax.nn.one_hot(seen.argmax(-2), seen.shape[-2], axis=-2, dtype=delta.dtype)
    return _laid_back(first * delta[..., None, :], x.shape, places, strides)


def avg_pool_gradient(
    shape: Sequence[int],
    delta: jax.Array,
    window: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
) -> jax.Array:
    """Un-pooling of a mean: the error divided among the places of its window.

    Args:
        shape: of the inputs of the pooling, [B, ..., C].
        delta: derivative of the loss by its outputs.
        window: places pooled.
        strides: as the window, if None.

    Returns:
        [B, ..., C].
    """
    strides = window if strides is None else strides
    places = each_axis(window, len(shape) - 2)
    count = math.prod(places)
    shares = jnp.repeat((delta / count)[..., None, :], count, -2)
    return _laid_back(shares, shape, places, strides)


def _laid_back(errors, shape, window, strides):
    """Sums [B, ..., places, C] into the images that `patches` took them from."""
    identity = jnp.eye(errors.shape[-2], dtype=errors.dtype)
    kernel = identity.reshape(*window, 1, -1)  # tap t alone, for map t
    each = jnp.moveaxis(errors, -1, 1)  # channels are examples
    each = each.reshape(-1, *each.shape[2:])
    found = input_gradient(each, kernel, shape[1:-1], strides=strides)
    found = found.reshape(shape[0], shape[-1], *shape[1:-1])
    return jnp.moveaxis(found, 1, -1)


def _resolved(shape, window, strides, padding, dilation):
    space = len(shape) - 2
    strides, dilation = each_axis(strides, space), each_axis(dilation, space)
    return strides, dilation, paddings(shape[1:-1], window, strides, padding, dilation)
