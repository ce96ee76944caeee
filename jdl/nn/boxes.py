"""Overlap of boxes, and the losses made of it.

    IoU  = |A and B| / |A or B|
    GIoU = IoU - |H without (A or B)| / |H|,   H the smallest box around both

IoU is in [0, 1] and flat where the boxes do not meet; GIoU is in (-1, 1] and draws them together.
Source: 001 (metrics), 000 ch. 4; Rezatofighi and others 2019, algorithm 1. Boxes are
(x_min, y_min, x_max, y_max), [..., 4]; what is not (a maximum below its minimum) has no area. Of
two sets, all pairs: `iou(a[:, None], b[None])`.
"""

import jax
import jax.numpy as jnp


def iou(first: jax.Array, second: jax.Array) -> jax.Array:
    """Intersection over union; 0 for two boxes without area.

    Args:
        first: boxes [..., 4].
        second: boxes [..., 4].

    Returns:
        [...], in [0, 1].

    Raises:
        ValueError: the last axis is not 4 long.

    Example:
        >>> a, b = jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 1.0, 3.0, 3.0])
        >>> round(iou(a, b).item(), 6)  # 1/7
        0.142857
    """
    intersection, union = _overlap(first, second)
    return _ratio(intersection, union)


def giou(first: jax.Array, second: jax.Array) -> jax.Array:
    """Generalized intersection over union; arguments of `iou`, in (-1, 1]."""
    intersection, union = _overlap(first, second)
    hull = _area(
        jnp.minimum(first[..., :2], second[..., :2]), jnp.maximum(first[..., 2:], second[..., 2:])
    )
    return _ratio(intersection, union) - _ratio(hull - union, hull)


def iou_loss(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """1 - IoU, in [0, 1]; no gradient for boxes that do not meet."""
    return 1 - iou(predictions, targets)


def giou_loss(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """1 - GIoU, in [0, 2)."""
    return 1 - giou(predictions, targets)


def _overlap(first, second):
    """The areas of the intersection and of the union."""
    for boxes in (first, second):
        if boxes.shape[-1:] != (4,):
            raise ValueError(
                f"boxes are [..., 4]: x_min, y_min, x_max, y_max; got an array {list(boxes.shape)}"
            )
    intersection = _area(
        jnp.maximum(first[..., :2], second[..., :2]), jnp.minimum(first[..., 2:], second[..., 2:])
    )
    areas = (_area(boxes[..., :2], boxes[..., 2:]) for boxes in (first, second))
    return intersection, sum(areas) - intersection


def _area(low, high):
    return jnp.prod(jax.nn.relu(high - low), axis=-1)


def _ratio(part, whole):
    there = whole > 0
    return jnp.where(there, part / jnp.where(there, whole, 1.0), 0.0)
