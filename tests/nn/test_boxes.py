import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.boxes import (
    area,
    clipped,
    decoded,
    encoded,
    giou,
    giou_loss,
    intersection,
    iou,
    iou_loss,
)
from tests.nn.test_convolution import quick

A, B = jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 1.0, 3.0, 3.0])
FAR = jnp.array([5.0, 0.0, 6.0, 1.0])


def by_pixels(first, second, size=12):
    """IoU and GIoU of boxes with whole corners, by counting cells."""
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)

    def inside(box):
        return (box[0] < x) & (x < box[2]) & (box[1] < y) & (y < box[3])

    one, other = inside(first), inside(second)
    hull = inside(np.concatenate([np.minimum(first, second)[:2], np.maximum(first, second)[2:]]))
    union = (one | other).sum()
    ratio = (one & other).sum() / union
    return ratio, ratio - (hull.sum() - union) / hull.sum()


def test_iou_and_giou_of_the_books_boxes():
    assert abs(float(iou(A, B)) - 1 / 7) < 1e-6  # 001
    assert abs(float(giou(A, B)) - (1 / 7 - 2 / 9)) < 1e-6
    assert float(iou(A, A)) == float(giou(A, A)) == 1


def test_iou_and_giou_count_cells():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 6, [2, 50, 2])
    boxes = np.concatenate([low, low + rng.integers(1, 6, [2, 50, 2])], axis=-1)
    expected = np.array([by_pixels(*pair) for pair in zip(*boxes, strict=True)])
    first, second = jnp.asarray(boxes, jnp.float32)
    np.testing.assert_allclose(iou(first, second), expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(giou(first, second), expected[:, 1], atol=1e-6)
    assert (expected[:, 0] == 0).any() and (expected[:, 0] > 0.3).any()


def test_boxes_that_do_not_meet_attract_by_giou_alone():
    assert float(iou_loss(FAR, A)) == 1 and (jax.grad(iou_loss)(FAR, A) == 0).all()
    slope = jax.grad(giou_loss)(FAR, A)
    assert slope[0] > 0 and float(giou_loss(FAR, A)) > 1
    assert float(giou_loss(FAR - slope * 0.1, A)) < float(giou_loss(FAR, A))


def test_boxes_without_area_have_no_nan():
    point = jnp.ones(4)
    for function in (iou, giou):
        assert float(function(point, point)) == 0
        assert np.isfinite(jax.grad(function)(point, point)).all()
    assert float(iou(jnp.array([2.0, 2.0, 0.0, 0.0]), A)) == 0  # the corners in the wrong order


def test_all_pairs_of_two_sets_and_arrays_that_are_not_boxes():
    assert iou(jnp.stack([A, B, FAR])[:, None], jnp.stack([A, B])[None]).shape == (3, 2)
    with pytest.raises(ValueError, match="x_min"):
        iou(jnp.ones([2, 5]), jnp.ones([2, 5]))


def test_areas_shared_areas_and_what_lies_in_an_image():
    assert area(jnp.stack([A, FAR])).tolist() == [4, 1]
    assert float(intersection(A, B)) == 1 and float(intersection(A, FAR)) == 0
    outside = jnp.array([[-5.0, -5.0, -1.0, 40.0], [3.0, 4.0, 50.0, 60.0]])
    assert clipped(outside, (20, 30)).tolist() == [[0, 0, 0, 20], [3, 4, 30, 20]]


@pytest.mark.parametrize("weights", [(1.0, 1.0), (10.0, 5.0)])
def test_offsets_are_the_formula_and_decode_to_the_box(weights):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, [2, 20, 2])
    boxes, anchors = np.concatenate([low, low + rng.uniform(1, 40, [2, 20, 2])], axis=-1)

    def both(boxes, anchors):
        offsets = encoded(boxes, anchors, weights)
        return offsets, decoded(offsets, anchors, weights)

    found, back = quick(both, np.float32(boxes), np.float32(anchors))
    for row, (x, y, u, v), (a, b, c, d) in zip(found, boxes, anchors, strict=True):
        expected = [
            weights[0] * ((x + u) / 2 - (a + c) / 2) / (c - a),
            weights[0] * ((y + v) / 2 - (b + d) / 2) / (d - b),
            weights[1] * np.log((u - x) / (c - a)),
            weights[1] * np.log((v - y) / (d - b)),
        ]
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(back, boxes, rtol=1e-4, atol=1e-4)


def test_a_decoded_side_grows_to_a_thousand_sixteenths_at_the_most():
    box = decoded(jnp.array([0.0, 0.0, 50.0, jnp.inf]), jnp.array([0.0, 0.0, 16.0, 16.0]))
    np.testing.assert_allclose(box, [-492, -492, 508, 508], rtol=1e-5)
