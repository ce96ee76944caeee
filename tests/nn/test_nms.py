"""Non-maximum suppression against the greedy algorithm written with lists, and its properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.nms import non_maximum_suppression
from tests.nn.test_convolution import quick


def drawn(seed, number=40):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 8, [number, 2])
    boxes = np.concatenate([low, low + rng.uniform(5, 15, [number, 2])], axis=-1)
    scores = rng.integers(0, 30, number) / 30  # some are equal
    return boxes.astype(np.float32), scores.astype(np.float32), rng.integers(0, 3, number)


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def greedy(boxes, scores, threshold, groups, valid):
    """By falling score, a box is kept unless one that was kept overlaps it."""
    kept = []
    for i in sorted(np.flatnonzero(valid), key=lambda i: -scores[i]):
        rivals = [k for k in kept if groups[k] == groups[i]]
        if all(overlap(boxes[k], boxes[i]) <= threshold for k in rivals):
            kept.append(int(i))
    return kept


@functools.cache
def program(threshold):
    def picks(boxes, scores, groups, valid):
        return non_maximum_suppression(boxes, scores, 40, threshold, groups=groups, valid=valid)

    return jax.jit(picks)


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_picks_are_those_of_the_greedy_algorithm(threshold):
    for seed in range(10):
        boxes, scores, groups = drawn(seed)
        valid = np.random.default_rng(100 + seed).random(40) < 0.9
        expected = greedy(boxes, scores, threshold, groups, valid)
        picks = program(threshold)(boxes, scores, groups, valid)
        assert len(expected) < valid.sum()
        assert picks.indices[picks.valid].tolist() == expected
        assert picks.valid[: len(expected)].all()
        alone = program(threshold)(boxes, scores, np.zeros_like(groups), valid)
        assert picks.valid.sum() > alone.valid.sum()  # groups leave each other alone


def test_fewer_picks_are_the_first_and_a_batch_is_a_vmap():
    batch = [np.stack(x) for x in zip(drawn(0), drawn(1), strict=True)]
    few = quick(jax.vmap(lambda b, s, g: non_maximum_suppression(b, s, 5, groups=g)), *batch)
    for i in range(2):
        boxes, scores, groups = drawn(i)
        assert few.indices[i].tolist() == greedy(boxes, scores, 0.5, groups, scores > -1)[:5]
        assert few.valid[i].all()


def test_what_has_no_score_or_is_padding_is_never_kept():
    boxes = jnp.array([[0.0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5], [6, 6, 7, 7]])
    scores = jnp.array([jnp.nan, -jnp.inf, -5.0, 1.0])
    picks = non_maximum_suppression(boxes, scores, 3, valid=jnp.array([True, True, True, False]))
    assert picks.indices[0] == 2 and picks.valid.tolist() == [True, False, False]


def test_an_overlap_of_the_threshold_is_kept():
    boxes = jnp.array([[0.0, 0, 2, 2], [0, 0, 2, 1]])  # IoU 1/2
    scores = jnp.array([1.0, 0.5])
    assert non_maximum_suppression(boxes, scores, 2, 0.5).valid.all()
    assert not non_maximum_suppression(boxes, scores, 2, 0.49).valid[1]
