"""Mode coverage by hand and of samples of the mixture itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data import ring_centres, ring_of_gaussians
from jdl.metrics import mode_coverage

CENTRES = jnp.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def test_samples_near_a_mode_are_counted_for_it_alone():
    samples = jnp.array([[0.0, 0.29], [0.31, 0.0], [10.0, 0.0], [9.9, 0.2], [5.0, 5.0]])
    found = jax.jit(mode_coverage)(samples, CENTRES, 0.1)
    np.testing.assert_allclose(found.high_quality, 3 / 5)
    np.testing.assert_allclose(found.shares, [1 / 5, 2 / 5, 0])
    assert found.modes == 2
    # The second sample is 3.1 standard deviations from a mode.
    np.testing.assert_allclose(mode_coverage(samples, CENTRES, 0.1, 3.2).high_quality, 4 / 5)


def test_samples_of_the_mixture_have_the_quality_of_the_rayleigh_distribution(key):
    points, _ = ring_of_gaussians(key, 40_000, std=0.02)
    found = mode_coverage(points, ring_centres(), 0.02)
    share = 1 - np.exp(-4.5)
    assert abs(found.high_quality - share) < 4 * (share * (1 - share) / 40_000) ** 0.5
    assert found.modes == 8 and jnp.abs(found.shares - share / 8).max() < 0.01


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\[4, 3\] and \[3, 2\]"):
        mode_coverage(jnp.zeros([4, 3]), CENTRES, 0.1)
