"""Statistics of a set whose moments are known, and what is added along its principal colours."""

import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data.colour_statistics import (
    ColourComponents,
    colour_components,
    image_statistics,
    random_pca_colour,
    standardised,
)
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=[20, 6, 5, 3]).astype(np.float32) * np.float32([1, 2, 0.5])


@pytest.mark.parametrize("per_pixel", [False, True])
def test_a_standardised_set_has_means_0_and_deviations_1(per_pixel):
    statistics = image_statistics(IMAGES, per_pixel=per_pixel)
    assert statistics.mean.shape == ((6, 5, 3) if per_pixel else (3,))
    found = quick(standardised)(IMAGES, statistics)
    axes = 0 if per_pixel else (0, 1, 2)
    np.testing.assert_allclose(found.mean(axes), np.zeros_like(statistics.mean), atol=1e-5)
    np.testing.assert_allclose(found.std(axes), np.ones_like(statistics.mean), rtol=1e-4)
    centred = standardised(IMAGES, statistics._replace(std=np.float32(1)))
    np.testing.assert_allclose(centred, IMAGES - statistics.mean, atol=1e-6)


def test_a_constant_channel_goes_to_0_and_bytes_have_statistics_in_bytes():
    images = np.full([2, 3, 3, 1], 7, np.uint8)
    statistics = image_statistics(images)
    assert statistics.mean.tolist() == [7] and statistics.std.tolist() == [1]
    assert not standardised(images.astype(np.float32), statistics).any()
    # a large mean and many pixels, where sums in float32 would be off
    many = np.full([100, 64, 64, 1], 1000.1, np.float32)
    np.testing.assert_allclose(image_statistics(many).mean, [1000.1], rtol=1e-7)


def test_components_are_those_of_the_covariance_of_all_pixels():
    found = colour_components(IMAGES)
    covariance = np.cov(IMAGES.reshape(-1, 3).T, bias=True)
    rebuilt = found.directions.T @ np.diag(found.variances) @ found.directions
    np.testing.assert_allclose(rebuilt, covariance, atol=1e-6)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(3), atol=1e-6)
    assert (np.diff(found.variances) < 0).all()


@pytest.mark.parametrize("deviations", [False, True])
def test_what_is_added_is_one_colour_an_image_with_the_papers_covariance(key, deviations):
    turn, _ = np.linalg.qr(RNG.normal(size=[3, 3]))
    components = ColourComponents(np.float32([3, 1, 0.5]), turn.T.astype(np.float32))
    number = 20_000
    images = jnp.full([number, 2, 1, 3], 0.5)
    add = quick(lambda x, k: random_pca_colour(x, k, components, std=0.1, deviations=deviations))
    added = np.asarray(add(images, key)) - 0.5
    np.testing.assert_array_equal(added[:, 0], added[:, 1])
    along = added[:, 0, 0] @ turn  # on the components, lambda normal or its root
    scales = 0.1 * np.array([3, 1, 0.5]) ** (0.5 if deviations else 1)
    normals = along / scales
    assert np.abs(normals.mean(0)).max() < 4 / number**0.5
    assert np.abs(normals.var(0) - 1).max() < 4 * (2 / number) ** 0.5
    assert np.abs(np.corrcoef(normals.T) - np.eye(3)).max() < 4 / number**0.5


def test_other_shapes_are_refused(key):
    with pytest.raises(ValueError, match="other data"):
        standardised(IMAGES, image_statistics(IMAGES[..., :1]))
    for function in (image_statistics, colour_components):
        with pytest.raises(ValueError, match=r"got \[6, 5, 3\]"):
            function(IMAGES[0])
    with pytest.raises(ValueError, match=r"C = 3; got \[20, 6, 5, 1\]"):
        random_pca_colour(IMAGES[..., :1], key, colour_components(IMAGES))
