"""Boxes: areas, overlaps, the losses made of these, and offsets of one box from another.

    IoU  = |A and B| / |A or B|
    GIoU = IoU - |H without (A or B)| / |H|,   H the smallest box around both

IoU is in [0, 1] and flat where the boxes do not meet; GIoU is in (-1, 1] and draws them together.
A detector predicts a box g as four offsets from a box p that it has, (x, y) centres, w x h sizes:

    t = a (g_x - p_x) / p_w,  a (g_y - p_y) / p_h,  b log(g_w / p_w),  b log(g_h / p_h)

Source: 001 (metrics), 000 ch. 4; Rezatofighi and others 2019, algorithm 1; Girshick and others
2014, appendix C (offsets). Boxes are (x_min, y_min, x_max, y_max), [..., 4]; what is not (a maximum
below its minimum) has no area. Of two sets, all pairs: `iou(a[:, None], b[None])`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

LARGEST_LOG_RATIO = math.log(1000 / 16)  # of a decoded side to that of the anchor; Detectron's


class Objects(NamedTuple):
    """The boxes that images truly have, padded to one number.

    Attributes:
        boxes: [..., G, 4], in pixels.
        labels: [..., G] int32, from 1; 0 is the background.
        valid: [..., G] bool, False for padding.
    """

    boxes: jax.Array
    labels: jax.Array
    valid: jax.Array


class Detections(NamedTuple):
    """The boxes that a detector found, padded to one number, by falling score.

    Attributes:
        boxes: [..., D, 4], in pixels.
        scores: [..., D].
        labels: [..., D] int32, from 1.
        valid: [..., D] bool, False for padding.
    """

    boxes: jax.Array
    scores: jax.Array
    labels: jax.Array
    valid: jax.Array


def area(boxes: jax.Array) -> jax.Array:
    """Areas [...] of boxes [..., 4]."""
    return _area(boxes[..., :2], boxes[..., 2:])


def intersection(first: jax.Array, second: jax.Array) -> jax.Array:
    """The area that boxes [..., 4] share with others."""
    return _overlap(first, second)[0]


def clipped(boxes: jax.Array, image_shape: Sequence[int]) -> jax.Array:
    """The part inside the image of boxes [..., 4].

    Args:
        boxes: [..., 4].
        image_shape: rows and columns of the image.

    Example:
        >>> clipped(jnp.array([-3.0, 2.0, 40.0, 9.0]), (8, 32)).tolist()
        [0.0, 2.0, 32.0, 8.0]
    """
    rows, columns = image_shape
    corner = jnp.array([columns, rows] * 2, boxes.dtype)
    return jnp.clip(boxes, 0, jnp.broadcast_to(corner, boxes.shape))


def encoded(
    boxes: jax.Array, anchors: jax.Array, weights: tuple[float, float] = (1.0, 1.0)
) -> jax.Array:
    """The offsets t of boxes from anchors.

    Args:
        boxes: [..., 4].
        anchors: [..., 4]; both must have areas.
        weights: a of the places, b of the sizes: (10, 5) in the second stage of Fast R-CNN's code.

    Returns:
        [..., 4].
    """
    (x, y, width, height), (x0, y0, width0, height0) = _centred(boxes), _centred(anchors)
    place, size = weights
    return jnp.stack(
        [
            place * (x - x0) / width0,
            place * (y - y0) / height0,
            size * jnp.log(width / width0),
            size * jnp.log(height / height0),
        ],
        axis=-1,
    )


def decoded(
    offsets: jax.Array, anchors: jax.Array, weights: tuple[float, float] = (1.0, 1.0)
) -> jax.Array:
    """The boxes at offsets from anchors, the inverse of `encoded`.

    Args:
        offsets: [..., 4]. A side grows at the most to 1000 / 16 of that of the anchor.
        anchors: [..., 4].
        weights: as those of `encoded`.

    Returns:
        Boxes [..., 4].

    Example:
        >>> anchor, box = jnp.array([0.0, 0, 4, 8]), jnp.array([1.0, 2, 5, 10])
        >>> encoded(box, anchor).tolist()
        [0.25, 0.25, 0.0, 0.0]
        >>> decoded(encoded(box, anchor), anchor).tolist()
        [1.0, 2.0, 5.0, 10.0]
    """
    x0, y0, width0, height0 = _centred(anchors)
    place, size = weights
    growth = jnp.exp(jnp.minimum(offsets[..., 2:] / size, LARGEST_LOG_RATIO))
    x, y = offsets[..., 0] / place * width0 + x0, offsets[..., 1] / place * height0 + y0
    halves = growth[..., 0] * width0 / 2, growth[..., 1] * height0 / 2
    return jnp.stack([x - halves[0], y - halves[1], x + halves[0], y + halves[1]], axis=-1)


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


def _centred(boxes):
    """The centre and the size: x, y, width, height."""
    low, high = boxes[..., :2], boxes[..., 2:]
    centre, size = (low + high) / 2, high - low
    return centre[..., 0], centre[..., 1], size[..., 0], size[..., 1]


def _area(low, high):
    return jnp.prod(jax.nn.relu(high - low), axis=-1)


def _ratio(part, whole):
    there = whole > 0
    return jnp.where(there, part / jnp.where(there, whole, 1.0), 0.0)
