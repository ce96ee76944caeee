"""Flips, crops, zooms, turns: slices, resizing, centres of mass, and the share of each draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data.augmentation import (
    centre_crop,
    chain,
    random_crop,
    random_flip,
    random_resized_crop,
    random_zoom_and_shift,
    rotated,
    sometimes,
)
from tests.conformance.case import quick


def zoomed(images, key, **options):
    return np.asarray(quick(lambda x, k: random_zoom_and_shift(x, k, **options))(images, key))


def test_no_zoom_and_no_shift_is_a_resize(key):
    images = jax.random.uniform(key, [3, 8, 6, 2])
    found = zoomed(images, key, shape=(32, 12), max_zoom=0.0, max_shift=0.0)
    np.testing.assert_allclose(found, jax.image.resize(images, [3, 32, 12, 2], "linear"), atol=1e-6)


def test_centre_of_mass_moves_by_the_shift_and_the_width_by_the_zoom(key):
    # A blob far from the border: both moments are known whatever the interpolation.
    x = np.arange(64) - 31.5
    blob = np.exp(-((x / 5) ** 2)).astype(np.float32)
    images = np.broadcast_to((blob[:, None] * blob[None])[None, ..., None], [200, 64, 64, 1])
    found = zoomed(images, key, shape=(64, 64), max_zoom=0.2, max_shift=0.1)
    for axis in (1, 2):
        profile = found[..., 0].sum(3 - axis)
        mass = profile.sum(1)
        centre = (profile * x[None]).sum(1) / mass
        width = np.sqrt((profile * (x[None] - centre[:, None]) ** 2).sum(1) / mass)
        # 200 draws fill +-6.4 pixels and 0.8 to 1.2 of the width; shrinking smooths a little.
        assert 6.2 < np.abs(centre).max() < 6.41
        zoom = width / (5 / 2**0.5)
        assert 0.79 < zoom.min() < 0.82 and 1.19 < zoom.max() < 1.22
        assert abs(np.corrcoef(centre, zoom)[0, 1]) < 0.3


def test_outside_of_the_image_is_zero(key):
    found = zoomed(jnp.ones([50, 10, 10, 1]), key, shape=(10, 10), max_zoom=0.0, max_shift=0.3)
    kept = found.sum((1, 2, 3)) / 100
    assert kept.min() < 0.7 and kept.max() <= 1 + 1e-5 and found.min() >= 0


def test_images_of_another_rank_are_refused(key):
    with pytest.raises(ValueError, match=r"got \[8, 8\]"):
        random_zoom_and_shift(jnp.ones([8, 8]), key, shape=(8, 8))
    with pytest.raises(ValueError, match="max_zoom=1.0"):
        random_zoom_and_shift(jnp.ones([1, 8, 8, 1]), key, shape=(8, 8), max_zoom=1.0)


def test_quarter_turns_are_exact():
    images = np.random.default_rng(0).uniform(size=[3, 8, 8, 2]).astype(np.float32)
    turn = quick(rotated)
    for quarters in range(-4, 5):
        found = turn(images, 90.0 * quarters)
        np.testing.assert_allclose(found, np.rot90(images, quarters, (1, 2)), atol=2e-5)
    oblong = np.arange(90, dtype=np.float32).reshape(2, 5, 9, 1) / 90
    np.testing.assert_allclose(turn(oblong, 180.0), oblong[:, ::-1, ::-1], atol=1e-5)


def test_each_image_has_its_own_angle_and_turns_add_up(key):
    x = np.arange(33) - 16.0
    blob = np.exp(-((x[:, None] + 7) ** 2 + (x[None] - 4) ** 2) / 12).astype(np.float32)
    images = np.broadcast_to(blob[None, ..., None], [3, 33, 33, 1])
    angles = np.array([0.0, 30.0, -75.0])
    turn = quick(rotated)
    found = np.asarray(turn(images, angles))
    np.testing.assert_allclose(found[0], images[0], atol=1e-6)
    mass = found.sum((1, 2, 3))
    right = (found[..., 0].sum(1) * x[None]).sum(1) / mass
    up = -(found[..., 0].sum(2) * x[None]).sum(1) / mass
    turned = np.deg2rad(angles)  # the blob is at (4, 7), x to the right and y upward
    np.testing.assert_allclose(right, 4 * np.cos(turned) - 7 * np.sin(turned), atol=0.02)
    np.testing.assert_allclose(up, 4 * np.sin(turned) + 7 * np.cos(turned), atol=0.02)
    # Two turns are one, but for the smoothing of an interpolation.
    full = np.full(3, 45.0)
    twice, once = turn(turn(images, full - 25), full - 20), turn(images, full)
    assert np.abs(twice - once).max() < 0.05 and np.abs(once - images).max() > 0.5


def test_a_full_image_is_zero_where_its_corners_left(key):
    found = quick(rotated)(jnp.ones([1, 9, 9, 1]), 45.0)[0, ..., 0]
    assert found[0, 0] == 0 and found[8, 8] == 0 and jnp.allclose(found[2:7, 2:7], 1, atol=1e-5)


def test_rotation_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"got \[8, 8\]"):
        rotated(jnp.ones([8, 8]), 10.0)
    with pytest.raises(ValueError, match=r"and \[3\]"):
        rotated(jnp.ones([2, 8, 8, 1]), jnp.zeros(3))


RAMP = np.arange(2 * 6 * 5 * 1).reshape(2, 6, 5, 1)  # every pixel differs


def test_flips_are_numpys_twice_the_image_and_half_of_them_by_default(key):
    for vertical, axis in [(False, 2), (True, 1)]:
        once = random_flip(RAMP, key, vertical=vertical, probability=1.0)
        np.testing.assert_array_equal(once, np.flip(RAMP, axis))
        twice = random_flip(once, key, vertical=vertical, probability=1.0)
        np.testing.assert_array_equal(twice, RAMP)
    np.testing.assert_array_equal(random_flip(RAMP, key, probability=0.0), RAMP)
    found = random_flip(np.tile(RAMP[:1], (1000, 1, 1, 1)), key)[:, 0, 0, 0] != RAMP[0, 0, 0, 0]
    assert abs(found.mean() - 0.5) < 4 * 0.5 / 1000**0.5


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_every_place_of_a_crop_is_as_probable_and_the_crop_is_a_slice(key, mode):
    number, size, padding = 4000, 4, 1
    image = np.arange(1, 17).reshape(1, 4, 4, 1)
    crop = quick(lambda x, k: random_crop(x, k, padding=padding, mode=mode))
    found = np.asarray(crop(np.tile(image, (number, 1, 1, 1)), key))
    padded = np.pad(image[0, ..., 0], padding, mode)
    slices = {
        padded[i : i + size, j : j + size].tobytes(): (i, j) for i in range(3) for j in range(3)
    }
    places = [slices[part[..., 0].astype(padded.dtype).tobytes()] for part in found]
    counts = np.array([places.count((i, j)) for i in range(3) for j in range(3)])
    chi2 = ((counts - number / 9) ** 2 / (number / 9)).sum()
    assert chi2 < 26.1  # the 0.999 quantile with 8 degrees of freedom


def test_crops_of_another_shape_and_of_the_centre(key):
    found = random_crop(RAMP, key, shape=(6, 5), padding=0)
    np.testing.assert_array_equal(found, RAMP)
    assert random_crop(RAMP, key, shape=(2, 3), padding=0).shape == (2, 2, 3, 1)
    np.testing.assert_array_equal(centre_crop(RAMP, (4, 3)), RAMP[:, 1:5, 1:4])
    np.testing.assert_array_equal(centre_crop(RAMP, (3, 5)), RAMP[:, 1:4])
    with pytest.raises(ValueError, match=r"\[9, 5\] does not fit into \[8, 7\]"):
        random_crop(RAMP, key, shape=(9, 5), padding=1)
    with pytest.raises(ValueError, match="does not fit"):
        centre_crop(RAMP, (7, 5))


def test_the_whole_area_at_the_images_ratio_is_a_resize(key):
    images = jax.random.uniform(key, [3, 12, 16, 2])
    whole = {"areas": (1.0, 1.0), "ratios": (4 / 3, 4 / 3 + 1e-6)}
    found = quick(lambda x, k: random_resized_crop(x, k, shape=(6, 20), **whole))(images, key)
    expected = jax.image.resize(images, [3, 6, 20, 2], "linear")
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_parts_have_the_areas_and_ratios_asked_for_and_lie_inside(key):
    # Two ramps tell where each pixel of the result was, away from the border.
    height, width, out = 60, 100, 16
    down, right = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    image = np.stack([down, right], -1).astype(np.float32)[None] + 0.5
    crop = quick(lambda x, k: random_resized_crop(x, k, shape=(out, out), areas=(0.2, 0.6)))
    found = np.asarray(crop(np.tile(image, (500, 1, 1, 1)), key))
    low, high = found[:, 4, 4], found[:, 11, 11]
    size = (high - low) * out / 7
    corner = low - 4.5 / out * size
    area, ratio = size.prod(1) / (height * width), size[:, 1] / size[:, 0]
    assert corner.min() > -0.1 and (corner + size - [height, width]).max() < 0.1
    assert 0.199 < area.min() < 0.21 and 0.55 < area.max() < 0.601
    assert 0.749 < ratio.min() < 0.77 and 1.3 < ratio.max() < 1.334
    logs = np.log(ratio)  # wide ones fit better into a wide image; small ones are not chosen over
    chosen = logs[area < 0.3]
    deviation = np.log(4 / 3) / 3**0.5
    assert abs(chosen.mean()) < 4 * deviation / len(chosen) ** 0.5
    place = corner / ([height, width] - size)
    assert np.abs(place.mean(0) - 0.5).max() < 4 * 12**-0.5 / 500**0.5


def test_a_part_that_never_fits_is_the_largest_of_the_middle(key):
    image = jnp.arange(40.0)[None, None, :, None] * jnp.ones([1, 10, 1, 1])
    options = {"shape": (10, 10), "areas": (1.0, 1.0), "ratios": (0.99, 1.01)}
    found = quick(lambda x, k: random_resized_crop(x, k, **options))(image, key)
    # 10 x 10.1 of the middle: columns 14.95 to 25.05
    np.testing.assert_allclose(found[0, 5, :, 0], jnp.linspace(14.955, 24.045, 10), atol=0.02)


def test_a_chain_gives_each_change_its_own_key_and_sometimes_is_a_share(key):
    def added(images, key):
        return images + jax.random.uniform(key)

    keys = jax.random.split(key, 2)
    expected = 1 + jax.random.uniform(keys[0]) + jax.random.uniform(keys[1])
    found = chain(added, added)(jnp.ones([1, 1, 1, 1]), key)
    np.testing.assert_allclose(found.item(), expected, rtol=1e-6)
    some = sometimes(lambda images, key: images + 1, 0.3)(jnp.zeros([2000, 1, 1, 1]), key)
    assert abs(some.mean() - 0.3) < 4 * (0.3 * 0.7 / 2000) ** 0.5
