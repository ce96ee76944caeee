"""Preprocessing against closed forms, and against Pillow's resizing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.pretrained import PRETRAINED, Preprocessing, preprocess
from jdl.models.pretrained.preprocessing import METHODS, cropped

RNG = np.random.default_rng(0)


def test_pixels_of_the_right_size_are_only_standardised():
    image = RNG.integers(0, 256, [8, 8, 3]).astype(np.uint8)
    found = preprocess(Preprocessing(8, 8), image)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(found, (image / 255 - mean) / std, rtol=1e-5, atol=1e-6)
    floats = preprocess(Preprocessing(8, 8), jnp.float32(image) / 255)
    np.testing.assert_allclose(floats, found, rtol=1e-5, atol=1e-6)


def test_caffe_subtracts_a_mean_of_blue_green_red_levels():
    image = np.zeros([4, 4, 3], np.uint8) + np.array([10, 20, 30], np.uint8)
    found = preprocess(PRETRAINED["keras/resnet50"].preprocessing._replace(size=4), image)
    expected = [30 - 103.939, 20 - 116.779, 10 - 123.68]
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5)


def test_the_middle_is_cut_out_after_the_shorter_side_is_resized():
    ramp = jnp.linspace(0, 1, 40)[None, :, None] * jnp.ones([20, 1, 3])
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    found = preprocess(Preprocessing(10, 20, **plain), ramp)
    np.testing.assert_allclose(found, ramp[5:15, 15:25], rtol=1e-6)
    squashed = preprocess(Preprocessing(10, None, **plain), ramp)
    middles = ramp[0, :, 0].reshape(10, 4).mean(1)  # a straight line stays one when smoothed
    np.testing.assert_allclose(squashed[5, 1:-1, 0], middles[1:-1], atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resizing_is_that_of_pillow_but_for_its_rounding(interpolation):
    from PIL import Image

    image = RNG.integers(0, 256, [37, 53, 3]).astype(np.uint8)
    chosen = Preprocessing(16, 20, interpolation, (0.0,) * 3, (1.0,) * 3, scale=255.0)
    method = getattr(Image.Resampling, interpolation.upper())
    pillow = np.asarray(Image.fromarray(image).resize((int(20 * 53 / 37), 20), method))
    expected = pillow[2:18, 6:22].astype(np.float32)
    found = preprocess(chosen, image)
    assert np.abs(found - expected).max() <= 2
    without = jax.image.resize(image / 255.0, (20, 28, 3), METHODS[interpolation], antialias=False)
    assert np.abs(255 * without[2:18, 6:22] - expected).max() > 20


def test_images_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="one RGB image"):
        preprocess(Preprocessing(), jnp.zeros([2, 8, 8, 3]))
    with pytest.raises(ValueError, match="uint8, or floats"):
        preprocess(Preprocessing(), jnp.zeros([8, 8, 3], jnp.int32))


def test_published_numbers_of_timm():
    # resnet50.a1_in1k is tested on 288 of the 303 pixels that 0.95 makes of it.
    assert PRETRAINED["timm/resnet50.a1_in1k"].preprocessing == cropped(
        288, 0.95, interpolation="bicubic"
    )
    assert cropped(288, 0.95).resize == 303
