"""Each operation of RandAugment against Pillow or its own function, and how often it is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jdl.data.augmentation import rotated
from jdl.data.rand_augment import OPERATIONS, operated, random_operations
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, [20, 20, 3], np.uint8)
IMAGE = (BYTES / 255).astype(np.float32)
LEVEL = 0.6


@pytest.fixture(scope="module")
def found():
    """The image after each operation, at the level 0.6 and at -0.6."""
    numbers = np.arange(len(OPERATIONS))
    images = np.tile(IMAGE, (len(OPERATIONS), 1, 1, 1))
    run = quick(operated)
    both = [run(images, numbers, jnp.full(len(numbers), sign * LEVEL)) for sign in (1, -1)]
    return {
        name: (255 * np.asarray(both[0][i]), 255 * np.asarray(both[1][i]))
        for i, name in enumerate(OPERATIONS)
    }


@pytest.mark.parametrize(
    ("name", "operation", "atol"),
    [
        ("identity", lambda x: x, 1e-3),
        ("autocontrast", ImageOps.autocontrast, 1.01),
        ("equalise", ImageOps.equalize, 1e-3),
        ("solarise", lambda x: ImageOps.solarize(x, 102), 1e-3),  # 255 (1 - 0.6)
        ("posterise", lambda x: ImageOps.posterize(x, 6), 1e-3),  # 8 - round(2.4)
    ],
)
def test_what_goes_one_way_is_pillows_for_both_signs(found, name, operation, atol):
    expected = np.asarray(operation(Image.fromarray(BYTES)), float)
    for ours in found[name]:
        np.testing.assert_allclose(ours, expected, atol=atol)


@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("colour", ImageEnhance.Color),
        ("contrast", ImageEnhance.Contrast),
        ("sharpness", ImageEnhance.Sharpness),
    ],
)
def test_factors_are_pillows(found, name, enhancer):
    for ours, factor in zip(found[name], (1 + 0.9 * LEVEL, 1 - 0.9 * LEVEL), strict=True):
        expected = np.asarray(enhancer(Image.fromarray(BYTES)).enhance(factor), float)
        np.testing.assert_allclose(ours, expected, atol=1.6)


def test_moves_are_turns_whole_shifts_and_shears(found):
    for ours, sign in zip(found["rotate"], (1, -1), strict=True):
        expected = 0.5 + rotated(IMAGE[None] - 0.5, sign * 30 * LEVEL)[0]
        np.testing.assert_allclose(ours, 255 * expected, atol=0.02)
    right, left = found["translate_x"]
    shift = 150 / 331 * 20 * LEVEL
    whole, part = int(shift), shift % 1
    row = 255 * ((1 - part) * IMAGE[:, 1:] + part * IMAGE[:, :-1])
    np.testing.assert_allclose(right[:, whole + 1 :], row[:, : -whole or None], atol=0.02)
    np.testing.assert_allclose(right[:, :whole], np.full([20, whole, 3], 127.5), atol=1e-3)
    np.testing.assert_allclose(left[:, -whole:], np.full([20, whole, 3], 127.5), atol=1e-3)
    down = found["translate_y"][0]
    column = 255 * ((1 - part) * IMAGE[1:] + part * IMAGE[:-1])
    np.testing.assert_allclose(down[whole + 1 :], column[: -whole or None], atol=0.02)
    for name, axis in (("shear_x", 0), ("shear_y", 1)):
        for ours, sign in zip(found[name], (1, -1), strict=True):
            lines = np.moveaxis(ours / 255, axis, 0)[4], np.moveaxis(IMAGE, axis, 0)[4]
            shift = sign * 0.3 * LEVEL * (4 - 9.5)
            places = np.arange(20) - shift
            inner = (places > 0) & (places < 19)
            expected = [np.interp(places, np.arange(20), lines[1][:, c]) for c in range(3)]
            np.testing.assert_allclose(lines[0][inner], np.stack(expected, -1)[inner], atol=1e-4)


def test_operations_and_signs_are_drawn_evenly(key):
    images = np.tile(IMAGE[:4, :4], (1400, 1, 1, 1))
    run = quick(lambda x, k: random_operations(x, k, num_operations=1, magnitude=30.0))
    drawn = np.asarray(run(images, key))
    numbers = np.arange(len(OPERATIONS))
    every = [
        np.asarray(quick(operated)(images[: len(numbers)], numbers, jnp.full(len(numbers), sign)))
        for sign in (1.0, -1.0)
    ]
    distances = [np.abs(drawn[:, None] - each[None]).max((2, 3, 4)) for each in every]
    nearest = np.minimum(*distances).argmin(1)
    assert np.minimum(*distances).min(1).max() < 1e-5
    alike = np.abs(every[0] - images[:1]).max((1, 2, 3)) < 1e-5
    assert alike[0]  # the identity
    shares = np.bincount(nearest, minlength=len(OPERATIONS))[~alike] / 1400
    error = 4 * (1 / 14 * 13 / 14 / 1400) ** 0.5
    assert np.abs(shares - 1 / 14).max() < error
    positive = (distances[0] < distances[1])[np.arange(1400), nearest]
    two_ways = np.abs(every[0] - every[1]).max((1, 2, 3))[nearest] > 1e-3
    count = two_ways.sum()
    assert abs(positive[two_ways].mean() - 0.5) < 4 * 0.5 / count**0.5


def test_a_magnitude_outside_of_its_scale_is_refused(key):
    images = jax.ShapeDtypeStruct([2, 8, 8, 3], jnp.float32)
    with pytest.raises(ValueError, match=r"in \[0, 10\]; got 11"):
        jax.eval_shape(lambda x: random_operations(x, key, magnitude=11, max_magnitude=10), images)
