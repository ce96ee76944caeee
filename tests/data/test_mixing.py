"""Mixtures whose weights are read off the images, and holes counted in pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data.mixing import cutmix, cutout, extrapolated, mixup, random_erasing
from tests.conformance.case import quick

NUMBER = 2000
TARGETS = np.eye(NUMBER, dtype=np.float32)
OWN = np.arange(1, NUMBER + 1, dtype=np.float32)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_weighs_inputs_and_targets_alike_by_beta(key, alpha):
    inputs = np.stack([TARGETS @ OWN, OWN**0], -1)
    found, targets = quick(lambda x, y, k, a: mixup(x, y, k, alpha=a))(inputs, TARGETS, key, alpha)
    np.testing.assert_allclose(targets.sum(1), np.ones(NUMBER), rtol=1e-5)
    assert (np.asarray(targets > 0).sum(1) <= 2).all()
    np.testing.assert_allclose(found[:, 0], targets @ OWN, rtol=1e-4)
    np.testing.assert_allclose(found[:, 1], np.ones(NUMBER), rtol=1e-5)
    weights = np.diag(targets)
    partners = np.nonzero(targets - np.diag(weights))[1]
    assert len(partners) == len(set(partners.tolist())) > 0.7 * NUMBER  # of a permutation
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(weights.mean() - 0.5) < 4 * (variance / NUMBER) ** 0.5
    assert abs(weights.var() / variance - 1) < 0.1


def test_cutmix_targets_are_the_parts_of_the_pixels(key):
    images = np.broadcast_to(np.arange(200)[:, None, None, None], [200, 7, 10, 1])
    targets = np.eye(200, dtype=np.float32)
    found, mixed = quick(cutmix)(images, targets, key)
    counts = np.stack([np.bincount(image.ravel(), minlength=200) for image in np.asarray(found)])
    np.testing.assert_allclose(mixed, counts / 70, atol=1e-6)
    for image, own in zip(np.asarray(found[..., 0]), range(200), strict=True):
        rows, columns = np.nonzero(image != own)
        if len(rows):  # what is foreign is a rectangle
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    part = 1 - np.diag(counts) / 70
    assert abs(part.mean() - mean_part(7, 10)) < 4 * part.std() / 200**0.5


def mean_part(*shape):
    """Of a rectangle whose area before cutting at the border is uniform, counted out."""
    side = np.sqrt((np.arange(1000) + 0.5) / 1000)
    lengths = []
    for n in shape:
        centre, size = np.arange(n)[None], (side * n).astype(int)[:, None]
        first = centre - size // 2
        lengths.append((np.minimum(first + size, n) - np.maximum(first, 0)).mean(1) / n)
    return (lengths[0] * lengths[1]).mean()


def test_cutout_is_a_square_that_may_reach_over_the_border(key):
    found = quick(lambda x, k: cutout(x, k, size=4, fill=7))(np.zeros([4000, 9, 9, 2], int), key)
    hole = np.asarray(found[..., 0] == 7)
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    sizes = np.stack([hole.any(2).sum(1), hole.any(1).sum(1)])
    np.testing.assert_array_equal(sizes.prod(0), hole.sum((1, 2)))
    # centre c covers c - 2 to c + 1: of 9 places two are cut by 2, 1 on one side, one on the other
    shares = np.stack([np.bincount(s, minlength=5)[2:] for s in sizes]) / 4000
    error = 4 * (0.25 / 4000) ** 0.5
    assert np.abs(shares - np.array([[1, 2, 6]]) / 9).max() < error


def test_erased_rectangles_have_the_areas_asked_for_and_lie_inside(key):
    options = {"probability": 0.6, "areas": (0.1, 0.3), "ratios": (0.5, 2.0), "fill": 1.0}
    erase = quick(lambda x, k: random_erasing(x, k, **options))
    hole = np.asarray(erase(np.zeros([3000, 60, 40, 1], np.float32), key))[..., 0] == 1
    changed = hole.any((1, 2))
    assert abs(changed.mean() - 0.6) < 4 * (0.24 / 3000) ** 0.5
    hole = hole[changed]
    height, width = hole.any(2).sum(1), hole.any(1).sum(1)
    np.testing.assert_array_equal(height * width, hole.sum((1, 2)))
    area, ratio = height * width / 2400, height / width
    assert 0.09 < area.min() < 0.11 and 0.28 < area.max() < 0.32
    assert 0.45 < ratio.min() < 0.55 and 1.85 < ratio.max() < 2.2
    assert abs(np.log(ratio).mean()) < 4 * np.log(2) / 3**0.5 / len(ratio) ** 0.5
    middle = (hole.any(2) @ np.arange(60)) / height
    assert abs(middle.mean() - 29.5) < 4 * middle.std() / len(middle) ** 0.5


def test_what_never_fits_is_not_erased(key):
    erase = quick(lambda x, k: random_erasing(x, k, probability=1.0, areas=(3.0, 4.0), fill=1.0))
    assert not erase(np.zeros([3, 6, 6, 1], np.float32), key).any()


def test_hard_labels_and_other_numbers_are_refused(key):
    images = jnp.zeros([3, 4, 4, 1])
    for mix in (mixup, cutmix):
        with pytest.raises(TypeError, match="jax.nn.one_hot"):
            mix(images, jnp.zeros([3], int), key)
        with pytest.raises(ValueError, match=r"B = 3 inputs; got \[2, 5\]"):
            mix(images, jnp.zeros([2, 5]), key)
    with pytest.raises(TypeError, match="floating inputs; got int32"):
        mixup(jnp.zeros([3, 2], int), jnp.zeros([3, 5]), key)


def test_mixup_takes_tables_and_sounds(key):
    targets = jax.ShapeDtypeStruct([4, 2], jnp.float32)
    for shape in ([4, 3], [4, 1000], [4, 5, 6, 7]):
        inputs = jax.ShapeDtypeStruct(shape, jnp.bfloat16)
        found, soft = jax.eval_shape(mixup, inputs, targets, key)
        assert found.shape == tuple(shape) and found.dtype == jnp.bfloat16
        assert soft.dtype == jnp.float32


def test_extrapolated_features_lie_on_the_line_from_another_of_their_class():
    features = np.array([[0.0, 0], [1, 2], [4, 4], [9, 9], [5, 5]], np.float32)
    labels = jnp.array([0, 0, 1, 2, 1])
    found = quick(lambda x: extrapolated(x, labels, jax.random.key(0), amount=0.5))(features)
    expected = [[-0.5, -1], [1.5, 3], [3.5, 3.5], [9, 9], [5.5, 5.5]]  # the fourth is alone
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"labels \[B\]; got \[5, 2\], \[4\]"):
        extrapolated(jnp.asarray(features), labels[:4], jax.random.key(0))
