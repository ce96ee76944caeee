"""Non-maximum suppression: of boxes that overlap much, the one of the largest score stays.

    repeat: the largest score of those left is kept; it and all of IoU > threshold with it are out

This is the greedy algorithm itself, not an approximation. As many boxes are picked as are asked
for, each pick one pass over all boxes, so that N x N overlaps are never held, and it may be jitted
and vmapped. Where boxes run out the rest of the picks is padding.

Departs from torchvision in how groups (classes, levels of a pyramid) leave each other alone: there
each group is shifted by more than the image, here their labels are compared, which rounds nothing.

Source: Girshick et al. 2014, section 2.2; torchvision.ops.batched_nms.

Axes: N boxes, K picks.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.nn.boxes import iou


class Picks(NamedTuple):
    """Which boxes were kept.

    Attributes:
        indices: [K] int32, by falling score; anything where there was none left.
        valid: [K] bool, whether there was one left.
    """

    indices: jax.Array
    valid: jax.Array


def non_maximum_suppression(
    boxes: jax.Array,
    scores: jax.Array,
    max_picks: int,
    iou_threshold: float = 0.5,
    *,
    groups: jax.Array | None = None,
    valid: jax.Array | None = None,
) -> Picks:
    """The boxes that no box of a larger score overlaps by more than the threshold.

    Args:
        boxes: [N, 4].
        scores: [N]; of equal ones the first is the larger, and -inf or nan is never kept.
        max_picks: K.
        iou_threshold: the IoU that two boxes that are kept may have.
        groups: [N] integers; only boxes of one group suppress each other.
        valid: [N] bool, False for padding.

    Returns:
        Picks: the first K of the greedy algorithm. No gradient flows through them.

    Example:
        >>> boxes = jnp.array([[0.0, 0, 4, 4], [0, 0, 4, 5], [6, 6, 9, 9]])
        >>> picks = non_maximum_suppression(boxes, jnp.array([0.8, 0.9, 0.1]), 3)
        >>> picks.indices[picks.valid].tolist()
        [1, 2]
    """
    boxes, scores = jax.lax.stop_gradient((boxes, scores))
    left = scores > -jnp.inf
    left = left if valid is None else left & valid
    numbers = jnp.arange(len(scores))

    def pick(left, _):
        best = jnp.argmax(jnp.where(left, scores, -jnp.inf))
        out = iou(boxes[best][None], boxes) > iou_threshold
        if groups is not None:
            out &= groups == groups[best]
        return left & ~out & (numbers != best), Picks(best.astype(jnp.int32), left[best])

    return jax.lax.scan(pick, left, length=max_picks)[1]
