"""Blur against SciPy and the fixed kernel, sharpness against Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from jdl.data.sharpness import blurred, random_blur, sharpened
from jdl.nn.filters import gaussian
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, [2, 9, 12, 3], np.uint8)
IMAGES = (BYTES / 255).astype(np.float32)


def test_each_image_is_blurred_by_its_own_std_as_by_scipy():
    stds = jnp.array([0.5, 1.7])
    found = quick(lambda x, s: blurred(x, s, radius=5))(IMAGES, stds)
    for image, std, ours in zip(IMAGES, stds.tolist(), found, strict=True):
        expected = ndimage.gaussian_filter(image, (std, std, 0), mode="mirror", radius=(5, 5, 0))
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_blur_of_a_dot_is_the_fixed_kernel():
    dot = jnp.zeros([1, 13, 13, 1]).at[0, 6, 6].set(1.0)
    weights = gaussian(1.2)
    found = quick(lambda x: blurred(x, 1.2))(dot)[0, 1:12, 1:12, 0]
    np.testing.assert_allclose(found, np.outer(weights, weights), atol=1e-6)


def test_random_stds_are_between_the_two(key):
    dots = jnp.zeros([300, 15, 15, 1]).at[:, 7, 7].set(1.0)
    found = quick(lambda x, k: random_blur(x, k, stds=(0.4, 1.0), radius=7))(dots, key)
    place = (jnp.arange(15) - 7.0)[None] ** 2
    std = jnp.sqrt((found.sum((2, 3)) * place).sum(1))  # of the sampled kernel, near the Gaussian's
    assert 0.25 < std.min() < 0.42 and 0.99 < std.max() <= 1.001
    np.testing.assert_allclose(found.sum((1, 2, 3)), jnp.ones(300), rtol=1e-5)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.9])
def test_sharpness_is_pillows(factor):
    found = quick(lambda x: sharpened(x, jnp.array([factor, 1.0])))(IMAGES)
    expected = ImageEnhance.Sharpness(Image.fromarray(BYTES[0])).enhance(factor)
    np.testing.assert_allclose(255 * found[0], np.asarray(expected, float), atol=1.6)
    np.testing.assert_allclose(found[1], IMAGES[1], atol=1e-6)


def test_a_radius_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="radius=9 reaches beyond"):
        blurred(IMAGES, 3.0, radius=9)
    with pytest.raises(ValueError, match="need a radius"):
        blurred(IMAGES, jnp.ones(2))
    with pytest.raises(ValueError, match=r"each of 2; got \[3\]"):
        jax.eval_shape(lambda s: blurred(IMAGES, s, radius=2), jnp.ones(3))
