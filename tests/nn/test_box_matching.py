"""Matching by hand and against a loop; samples of fixed sizes without replacement."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.box_matching import BACKGROUND, BETWEEN, balanced_sample, matched
from tests.nn.test_convolution import quick

SAMPLED = jax.jit(lambda key, labels: balanced_sample(key, labels, 16, 0.25))


def looped(overlaps, valid, high, low, low_quality):
    objects = np.flatnonzero(valid)
    matches = []
    for n in range(overlaps.shape[1]):
        best = max(objects, key=lambda g: overlaps[g, n], default=None)
        value = -1 if best is None else overlaps[best, n]
        match = best if value >= high else BACKGROUND if value < low else BETWEEN
        for g in objects if low_quality else []:
            if overlaps[g, n] == overlaps[g].max() > 0:
                match = best
        matches.append(match)
    return matches


@pytest.mark.parametrize("low_quality", [True, False])
def test_matches_are_those_of_a_loop(low_quality):
    rng = np.random.default_rng(0)
    program = jax.jit(functools.partial(matched, high=0.7, low=0.3, low_quality=low_quality))
    for _ in range(20):
        overlaps = (rng.integers(0, 9, [4, 12]) / 10 * rng.integers(0, 2, [4, 1])).astype("f4")
        valid = rng.random(4) < 0.7
        expected = looped(overlaps, valid, np.float32(0.7), np.float32(0.3), low_quality)
        assert program(overlaps, valid).tolist() == expected


def test_an_image_without_objects_is_background():
    overlaps, none = jnp.zeros([3, 5]), jnp.zeros(3, bool)
    assert matched(overlaps, none, 0.7, 0.3, low_quality=True).tolist() == [BACKGROUND] * 5
    # An object that no box meets takes none; with torchvision's rule it would take all.
    there = jnp.array([True, False, False])
    assert matched(overlaps, there, 0.7, 0.3, low_quality=True).tolist() == [BACKGROUND] * 5


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [(9, 30, (4, 12)), (2, 30, (2, 14)), (9, 5, (4, 5)), (0, 3, (0, 3)), (3, 0, (3, 0))],
)
def test_a_sample_has_a_quarter_of_positives_and_fills_up_with_negatives(
    positives, negatives, expected
):
    ignored = 45 - positives - negatives
    labels = np.array([7] * positives + [0] * negatives + [-1] * ignored)
    labels = np.random.default_rng(0).permutation(labels)
    sample = SAMPLED(jax.random.key(0), labels)
    drawn = np.asarray(sample.indices)[np.asarray(sample.valid)]
    assert len(set(drawn)) == len(drawn) and sample.indices.shape == (16,)
    assert ((labels[drawn] > 0).sum(), (labels[drawn] == 0).sum()) == expected


def test_all_are_drawn_as_often():
    labels = jnp.array([1] * 6 + [0] * 10)
    keys = jax.random.split(jax.random.key(0), 2000)
    samples = quick(jax.vmap(lambda key: balanced_sample(key, labels, 8, 0.25)), keys)
    assert samples.valid.all()
    counts = np.bincount(np.asarray(samples.indices).ravel(), minlength=16)
    np.testing.assert_allclose(counts[:6], 2000 / 3, atol=5 * np.sqrt(2000 * 2 / 9))
    np.testing.assert_allclose(counts[6:], 2000 * 0.6, atol=5 * np.sqrt(2000 * 0.24))
