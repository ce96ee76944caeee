"""The laws of random changes: own draws for each image, keys used once, nothing but arguments."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data import augmentation, colour_augmentation, mixing, rand_augment, sharpness, warps
from jdl.data.colour_statistics import ColourComponents, random_pca_colour
from tests.conformance.case import quick

COMPONENTS = ColourComponents(np.float32([3, 2, 1]), np.eye(3, dtype=np.float32))
IMAGE = np.random.default_rng(0).uniform(0.2, 0.8, [9, 8, 3]).astype(np.float32)
ALIKE = np.tile(IMAGE, (6, 1, 1, 1))
TARGETS = np.eye(6, dtype=np.float32)
CHANGES = {
    "flip": augmentation.random_flip,
    "crop": functools.partial(augmentation.random_crop, padding=2, mode="reflect"),
    "resized crop": functools.partial(augmentation.random_resized_crop, shape=(9, 8)),
    "zoom and shift": functools.partial(augmentation.random_zoom_and_shift, shape=(9, 8)),
    "affine": functools.partial(warps.random_affine, max_degrees=30, max_shear=0.2),
    "elastic": functools.partial(warps.random_elastic, std=1.0, alpha=4.0),
    "blur": sharpness.random_blur,
    "jitter": colour_augmentation.random_colour_jitter,
    "grey": functools.partial(colour_augmentation.random_grey, probability=0.5),
    "PCA": functools.partial(random_pca_colour, components=COMPONENTS),
    "cutout": functools.partial(mixing.cutout, size=3),
    "erasing": functools.partial(mixing.random_erasing, probability=0.9),
    "operations": rand_augment.random_operations,
    "chain": augmentation.chain(
        augmentation.random_flip, augmentation.sometimes(augmentation.random_crop, 0.5)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_image_has_its_own_draws_and_does_not_see_the_others(change):
    other = ALIKE.copy()
    other[0] = 0.5
    run = quick(change)
    with jax.debug_key_reuse(True):
        found = run(ALIKE, jax.random.key(3))
        beside = run(other, jax.random.key(3))
        fresh = run(ALIKE, jax.random.key(4))
    assert found.shape == ALIKE.shape and found.dtype == jnp.float32
    np.testing.assert_array_equal(found[1:], beside[1:])
    different = {image.tobytes() for image in np.asarray(found)}
    assert len(different) > 1, "identical images came out identical"
    assert jnp.abs(found - fresh).max() > 0.01, "another key, the same draws"


@pytest.mark.parametrize("mix", [mixing.mixup, mixing.cutmix])
def test_mixtures_use_a_key_once(mix):
    with jax.debug_key_reuse(True):
        quick(mix)(ALIKE, TARGETS, jax.random.key(0))


def test_a_key_used_twice_would_be_seen():
    def twice(images, key):
        return augmentation.random_flip(augmentation.random_crop(images, key), key)

    with jax.debug_key_reuse(True), pytest.raises(jax.errors.KeyReuseError):
        quick(twice)(ALIKE, jax.random.key(0))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_are_mapped_over_batches_and_keys(change):
    found = jax.eval_shape(jax.vmap(change), ALIKE[None], jax.random.split(jax.random.key(0), 1))
    assert found.shape == (1, *ALIKE.shape)


MOVES_PIXELS = ["flip", "crop", "cutout", "erasing", "chain"]


@pytest.mark.parametrize("name", MOVES_PIXELS)
def test_bytes_stay_bytes_where_pixels_only_move(name):
    images = jax.ShapeDtypeStruct([6, 9, 8, 3], jnp.uint8)
    assert jax.eval_shape(CHANGES[name], images, jax.random.key(0)).dtype == jnp.uint8


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {*MOVES_PIXELS, "zoom and shift"}))
def test_bytes_are_refused_where_values_are_computed(name):
    images = jax.ShapeDtypeStruct([6, 9, 8, 3], jnp.uint8)
    with pytest.raises(TypeError, match="takes floats; got uint8; .* / 255"):
        jax.eval_shape(CHANGES[name], images, jax.random.key(0))


@pytest.mark.parametrize("name", CHANGES)
def test_a_single_image_is_refused(name):
    image = jax.ShapeDtypeStruct([9, 8, 3], jnp.float32)
    with pytest.raises(ValueError, match=r"takes images \[B, H, W, C\].*got \[9, 8, 3\]"):
        jax.eval_shape(CHANGES[name], image, jax.random.key(0))


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {"zoom and shift"}))
def test_half_precision_goes_through(name):
    images = jax.ShapeDtypeStruct([6, 9, 8, 3], jnp.bfloat16)
    assert jax.eval_shape(CHANGES[name], images, jax.random.key(0)).dtype == jnp.bfloat16
