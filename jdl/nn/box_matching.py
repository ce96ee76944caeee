"""Which box that a detector has is to become which object, and which of them a step trains on.

    a box of IoU >= high with its best object    is that object
    a box of IoU < low with all objects          is background
    between                                      is ignored

With `low_quality=True` the boxes of the largest IoU with an object, ties included, are an object
too, however small that IoU is, so that none goes without; they are the object they overlap best.
Departs from torchvision where an object overlaps no box at all: there all boxes of IoU 0 become
objects, here none does.

Source: Ren, He, Girshick, Sun 2015, section 3.1.2; Girshick 2015, section 2.3 (sampling).

Axes: G objects, N boxes, S sampled.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

BACKGROUND, BETWEEN = -1, -2


class Sample(NamedTuple):
    """Boxes drawn for a step.

    Attributes:
        indices: [S] int32; positives first, then negatives, then padding.
        valid: [S] bool, False for padding.
    """

    indices: jax.Array
    valid: jax.Array


def matched(
    overlaps: jax.Array,
    valid: jax.Array,
    high: float,
    low: float,
    *,
    low_quality: bool = False,
) -> jax.Array:
    """The object of each box.

    Args:
        overlaps: IoU [G, N] of objects and boxes.
        valid: [G] bool, False for objects that are padding.
        high: the least IoU of an object.
        low: the IoU below which a box is background.
        low_quality: each object gets its best boxes.

    Returns:
        [N] int32: an object, or BACKGROUND (-1), or BETWEEN (-2).

    Example:
        >>> overlaps = jnp.array([[0.8, 0.4, 0.1], [0.2, 0.1, 0.25]])
        >>> there = jnp.array([True, True])
        >>> matched(overlaps, there, 0.7, 0.3).tolist()
        [0, -2, -1]
        >>> matched(overlaps, there, 0.7, 0.3, low_quality=True).tolist()
        [0, -2, 1]
    """
    overlaps = jnp.where(valid[:, None], overlaps, -1.0)
    best, objects = overlaps.max(0), overlaps.argmax(0).astype(jnp.int32)
    matches = jnp.where(best < high, BETWEEN, objects)
    matches = jnp.where(best < low, BACKGROUND, matches)
    if low_quality:
        largest = overlaps.max(1, keepdims=True)
        wanted = ((overlaps == largest) & (largest > 0)).any(0)
        matches = jnp.where(wanted, objects, matches)
    return matches


def balanced_sample(
    key: jax.Array, labels: jax.Array, size: int, positive_fraction: float
) -> Sample:
    """Positives and negatives at random, so many of each, without replacement.

    Where positives are lacking negatives fill up; where negatives are lacking nothing does.

    Args:
        key: of the draw.
        labels: [N] integers: positive above 0, negative 0, ignored below.
        size: S.
        positive_fraction: of S, that positives have at the most.

    Returns:
        A Sample.
    """
    most = min(int(size * positive_fraction), len(labels))
    order = jax.random.uniform(key, labels.shape)
    found, positives = jax.lax.top_k(jnp.where(labels > 0, order, -1.0), max(most, 1))
    num_positives = (found[:most] >= 0).sum()
    found, negatives = jax.lax.top_k(jnp.where(labels == 0, order, -1.0), min(size, len(labels)))
    slots = jnp.arange(size)
    later = slots - num_positives
    indices = jnp.where(
        later < 0,
        positives[jnp.minimum(slots, len(positives) - 1)],
        negatives[jnp.clip(later, 0, len(negatives) - 1)],
    )
    return Sample(indices.astype(jnp.int32), later < (found >= 0).sum())
