"""Zooming and shifting against resizing, whole-pixel shifts and the centre of mass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data.augmentation import random_zoom_and_shift, rotated


def test_no_zoom_and_no_shift_is_a_resize(key):
    images = jax.random.uniform(key, [3, 8, 6, 2])
    found = random_zoom_and_shift(images, key, shape=(32, 12), max_zoom=0.0, max_shift=0.0)
    np.testing.assert_allclose(found, jax.image.resize(images, [3, 32, 12, 2], "linear"), atol=1e-6)


def test_centre_of_mass_moves_by_the_shift_and_the_width_by_the_zoom(key):
    # A blob far from the border: both moments are known whatever the interpolation.
    x = jnp.arange(64) - 31.5
    blob = jnp.exp(-((x / 5) ** 2))
    images = jnp.broadcast_to((blob[:, None] * blob[None])[None, ..., None], [200, 64, 64, 1])
    found = random_zoom_and_shift(images, key, shape=(64, 64), max_zoom=0.2, max_shift=0.1)
    for axis in (1, 2):
        profile = found[..., 0].sum(3 - axis)
        mass = profile.sum(1)
        centre = (profile * x[None]).sum(1) / mass
        width = jnp.sqrt((profile * (x[None] - centre[:, None]) ** 2).sum(1) / mass)
        # 200 draws fill +-6.4 pixels and 0.8 to 1.2 of the width; shrinking smooths a little.
        assert 6.2 < jnp.abs(centre).max() < 6.41
        zoom = width / (5 / 2**0.5)
        assert 0.79 < zoom.min() < 0.82 and 1.19 < zoom.max() < 1.22
        assert abs(jnp.corrcoef(centre, zoom)[0, 1]) < 0.3


def test_outside_of_the_image_is_zero(key):
    found = random_zoom_and_shift(
        jnp.ones([50, 10, 10, 1]), key, shape=(10, 10), max_zoom=0.0, max_shift=0.3
    )
    kept = found.sum((1, 2, 3)) / 100
    assert kept.min() < 0.7 and kept.max() <= 1 + 1e-5 and found.min() >= 0


def test_images_of_another_rank_are_refused(key):
    with pytest.raises(ValueError, match=r"got \[8, 8\]"):
        random_zoom_and_shift(jnp.ones([8, 8]), key, shape=(8, 8))
    with pytest.raises(ValueError, match="max_zoom=1.0"):
        random_zoom_and_shift(jnp.ones([1, 8, 8, 1]), key, shape=(8, 8), max_zoom=1.0)


def test_quarter_turns_are_exact(key):
    images = jax.random.uniform(key, [3, 8, 8, 2])
    turn = jax.jit(rotated)
    for quarters in range(-4, 5):
        found = turn(images, 90.0 * quarters)
        np.testing.assert_allclose(found, jnp.rot90(images, quarters, (1, 2)), atol=2e-5)
    oblong = jax.random.uniform(key, [2, 5, 9, 1])
    np.testing.assert_allclose(rotated(oblong, 180.0), oblong[:, ::-1, ::-1], atol=1e-5)


def test_each_image_has_its_own_angle_and_turns_add_up(key):
    x = jnp.arange(33) - 16.0
    blob = jnp.exp(-((x[:, None] + 7) ** 2 + (x[None] - 4) ** 2) / 12)
    images = jnp.broadcast_to(blob[None, ..., None], [3, 33, 33, 1])
    angles = jnp.array([0.0, 30.0, -75.0])
    turn = jax.jit(rotated)
    found = turn(images, angles)
    np.testing.assert_allclose(found[0], images[0], atol=1e-6)
    mass = found.sum((1, 2, 3))
    right = (found[..., 0].sum(1) * x[None]).sum(1) / mass
    up = -(found[..., 0].sum(2) * x[None]).sum(1) / mass
    turned = np.deg2rad(angles)  # the blob is at (4, 7), x to the right and y upward
    np.testing.assert_allclose(right, 4 * np.cos(turned) - 7 * np.sin(turned), atol=0.02)
    np.testing.assert_allclose(up, 4 * np.sin(turned) + 7 * np.cos(turned), atol=0.02)
    # Two turns are one, but for the smoothing of an interpolation.
    full = jnp.full(3, 45.0)
    twice, once = turn(turn(images, full - 25), full - 20), turn(images, full)
    assert jnp.abs(twice - once).max() < 0.05 and jnp.abs(once - images).max() > 0.5


def test_a_full_image_is_zero_where_its_corners_left(key):
    found = rotated(jnp.ones([1, 9, 9, 1]), 45.0)[0, ..., 0]
    assert found[0, 0] == 0 and found[8, 8] == 0 and jnp.allclose(found[2:7, 2:7], 1, atol=1e-5)


def test_rotation_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"got \[8, 8\]"):
        rotated(jnp.ones([8, 8]), 10.0)
    with pytest.raises(ValueError, match=r"and \[3\]"):
        rotated(jnp.ones([2, 8, 8, 1]), jnp.zeros(3))
