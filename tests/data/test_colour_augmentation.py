"""Colours and tones against Pillow's bytes and the standard library's hues; the draws' shares."""

import colorsys
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jdl.data.colour_augmentation import (
    autocontrasted,
    brightened,
    contrasted,
    equalised,
    greyed,
    hue_turned,
    posterised,
    random_colour_jitter,
    random_grey,
    saturated,
    solarised,
)
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
BYTES = np.stack(
    [
        RNG.integers(0, 256, [24, 30, 3], np.uint8),
        RNG.integers(60, 180, [24, 30, 3], np.uint8),
        np.uint8(RNG.beta(0.5, 3, [24, 30, 3]) * 255),
    ]
)
IMAGES = (BYTES / 255).astype(np.float32)
PILLOW = [
    (brightened, ImageEnhance.Brightness),
    (contrasted, ImageEnhance.Contrast),
    (saturated, ImageEnhance.Color),
]


def pillow(function):
    return np.stack([np.asarray(function(Image.fromarray(x)), float) for x in BYTES])


@pytest.mark.parametrize(("change", "enhancer"), PILLOW)
def test_enhancements_are_pillows_but_for_rounding(change, enhancer):
    factors = [0.0, 0.3, 1.0, 1.8]
    all_of = quick(lambda x, f: jax.vmap(lambda f: change(x, f))(f))
    for factor, found in zip(factors, all_of(IMAGES, jnp.array(factors)), strict=True):
        expected = pillow(lambda x, factor=factor: enhancer(x).enhance(factor))
        # Pillow cuts to whole levels twice: the other image, then the blend.
        np.testing.assert_allclose(255 * found, expected, atol=1.01 + abs(1 - factor))


def test_each_image_has_its_factor():
    found = contrasted(IMAGES, jnp.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(found[0], IMAGES[0], atol=1e-6)
    assert np.ptp(found[1]) < 1e-6


def test_grey_is_the_weighted_sum_and_random_grey_a_share(key):
    found = greyed(IMAGES)
    expected = IMAGES @ np.float32([0.299, 0.587, 0.114])
    np.testing.assert_allclose(found, np.repeat(expected[..., None], 3, -1), atol=1e-6)
    many = jnp.tile(IMAGES[:1, :1, :1], (2000, 1, 1, 1))
    grey = np.ptp(random_grey(many, key, probability=0.2), axis=-1)[:, 0, 0] < 1e-6
    assert abs(grey.mean() - 0.2) < 4 * (0.2 * 0.8 / 2000) ** 0.5


def test_hues_turn_as_in_the_standard_library():
    colours = np.array(list(itertools.product([0, 0.25, 0.5, 1.0], repeat=3)), np.float32)
    images = np.tile(colours[None, :, None], (3, 1, 1, 1))
    turns = np.float32([-0.5, 0.0, 0.3])
    found = quick(hue_turned)(images, turns)
    for image, turn in zip(found, turns, strict=True):
        expected = []
        for colour in colours.tolist():
            hue, saturation, value = colorsys.rgb_to_hsv(*colour)
            expected.append(colorsys.hsv_to_rgb((hue + float(turn)) % 1, saturation, value))
        np.testing.assert_allclose(image[:, 0], expected, atol=2e-6)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_posterised_bytes_are_pillows(bits):
    found = quick(lambda x: posterised(x, bits))(IMAGES)
    expected = pillow(lambda x: ImageOps.posterize(x, bits))
    np.testing.assert_array_equal(jnp.round(255 * found), expected)


def test_solarised_equalised_and_autocontrasted_bytes_are_pillows():
    found = quick(lambda x: solarised(x, 100 / 255))(IMAGES)
    expected = pillow(lambda x: ImageOps.solarize(x, 100))
    np.testing.assert_array_equal(jnp.round(255 * found), expected)
    found = quick(equalised)(IMAGES)
    np.testing.assert_array_equal(jnp.round(255 * found), pillow(ImageOps.equalize))
    found = quick(autocontrasted)(IMAGES)
    np.testing.assert_allclose(255 * found, pillow(ImageOps.autocontrast), atol=1.01)


def test_even_images_stay_as_pillow_leaves_them():
    even = jnp.full([1, 20, 20, 3], 51 / 255)
    both = quick(lambda x: (equalised(x), autocontrasted(x)))
    np.testing.assert_allclose(both(even), jnp.stack([even, even]), atol=1e-6)
    few = jnp.asarray(IMAGES[:, :5, :5])  # 25 pixels are too few to be parted into 255 steps
    np.testing.assert_allclose(both(few)[0], few, atol=1e-6)


def test_jitter_draws_factors_in_their_ranges(key):
    options = {"brightness": 0.4, "contrast": 0.0, "saturation": 0.0, "hue": 0.1}
    reds = np.tile(np.float32([0.6, 0.15, 0.15]), (2000, 1, 1, 1))
    found = np.asarray(quick(lambda x, k: random_colour_jitter(x, k, **options))(reds, key))
    hues, saturations, values = np.array([colorsys.rgb_to_hsv(*x) for x in found[:, 0, 0]]).T
    hues, factors = (hues + 0.5) % 1 - 0.5, values / 0.6
    np.testing.assert_allclose(saturations, np.full(2000, 0.75), rtol=1e-4)
    for draws, low, high in [(factors, 0.6, 1.4), (hues, -0.1, 0.1)]:
        width = high - low
        assert low - 1e-5 < draws.min() < low + width / 100
        assert high - width / 100 < draws.max() < high + 1e-5
        assert abs(draws.mean() - (low + high) / 2) < 4 * width / 12**0.5 / 2000**0.5
    assert abs(np.corrcoef(hues, factors)[0, 1]) < 4 / 2000**0.5


def test_jitter_of_saturation_alone_is_a_blend_with_grey(key):
    options = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.8, "hue": 0.0}
    found = np.asarray(quick(lambda x, k: random_colour_jitter(x, k, **options))(IMAGES, key))
    grey = np.asarray(greyed(IMAGES))
    middle = IMAGES[1] - grey[1], found[1] - grey[1]  # of the image that no factor clips
    factor = (middle[0] * middle[1]).sum() / (middle[0] ** 2).sum()
    assert 0.2 <= factor <= 1.8 and abs(factor - 1) > 0.01
    clipped = np.clip(grey[1] + factor * middle[0], 0, 1)
    np.testing.assert_allclose(found[1], clipped, atol=0.02)


def test_other_shapes_and_ranges_are_refused(key):
    with pytest.raises(ValueError, match=r"C = 3; got \[2, 4, 4, 1\]"):
        saturated(jnp.zeros([2, 4, 4, 1]), 1.0)
    with pytest.raises(ValueError, match="got 0.6"):
        random_colour_jitter(IMAGES, key, hue=0.6)
    with pytest.raises(ValueError, match=r"each of 3; got \[2\]"):
        brightened(IMAGES, jnp.ones(2))
