"""Made-up data against the distributions that their docstrings promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons

from jdl.data import toys

EXAMPLES = 20_000
# With fixed keys these tests cannot fail by chance; a new key would fail one in 10,000 times.
CHANCE = 1e-4


def _is_uniform(labels, classes):
    return stats.chisquare(np.bincount(labels, minlength=classes)).pvalue > CHANCE


def _is_normal(values, mean, std):
    return stats.kstest(np.asarray(values), stats.norm(mean, std).cdf).pvalue > CHANCE


def test_ring_is_an_even_mixture_of_round_gaussians_on_the_circle(key):
    points, modes = toys.ring_of_gaussians(key, EXAMPLES, modes=8, radius=2.0, std=0.1)
    centres = 2 * np.exp(2j * np.pi * np.arange(8) / 8)
    noise = np.asarray(points) - np.stack([centres.real, centres.imag], -1)[modes]
    assert _is_uniform(modes, 8)
    assert _is_normal(noise[:, 0], 0, 0.1) and _is_normal(noise[:, 1], 0, 0.1)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 4 / EXAMPLES**0.5
    assert not _is_normal(noise[:, 0], 0, 0.1 * 1.1)


def test_first_mode_is_at_angle_zero_and_the_next_anticlockwise():
    centres = toys.ring_centres(4, radius=3.0)
    np.testing.assert_allclose(centres, [[3, 0], [0, 3], [-3, 0], [0, -3]], atol=1e-6)


def test_blobs_have_the_centres_they_were_given(key):
    centres = jnp.array([[-1.0, 1.0, 0.0], [1.0, -1.0, 5.0]])
    inputs, labels = toys.blobs(key, EXAMPLES, centres, std=0.5)
    assert _is_uniform(labels, 2)
    noise = np.asarray(inputs - centres[labels])
    assert all(_is_normal(column, 0, 0.5) for column in noise.T)


def test_xor_labels_points_by_whether_their_signs_differ(key):
    inputs, labels = toys.xor(key, 1000, std=0.05)
    np.testing.assert_array_equal(labels, inputs[:, 0] * inputs[:, 1] < 0)
    assert len({tuple(sign) for sign in np.sign(inputs).tolist()}) == 4


def test_circles_have_normal_distances_and_uniform_angles(key):
    inputs, labels = toys.circles(key, EXAMPLES, radii=(1.0, 0.8), std=0.05)
    assert _is_uniform(labels, 2)
    distances = np.linalg.norm(inputs, axis=1)
    for label, radius in enumerate([1.0, 0.8]):
        assert _is_normal(distances[labels == label], radius, 0.05)
    turns = np.arctan2(inputs[:, 1], inputs[:, 0]) / (2 * np.pi) + 0.5
    assert stats.kstest(turns, "uniform").pvalue > CHANCE


def test_moons_lie_where_those_of_scikit_learn_do(key):
    inputs, labels = jax.tree.map(np.asarray, toys.moons(key, 4000, std=0.0))
    theirs, their_labels = make_moons(100, noise=None)
    for label in (0, 1):
        apart = inputs[labels == label][:, None] - theirs[their_labels == label]
        distances = np.linalg.norm(apart, axis=-1)
        spacing = np.pi / 49  # between the 50 points of a half circle of radius 1
        assert distances.min(0).max() < 0.05 and distances.min(1).max() < spacing / 2 + 1e-6


def test_arms_of_a_spiral_satisfy_its_equation(key):
    inputs, labels = jax.tree.map(
        np.asarray, toys.spirals(key, EXAMPLES, arms=3, turns=1.5, std=0.0)
    )
    t = np.linalg.norm(inputs, axis=1)
    angles = 2 * np.pi * (1.5 * t + labels / 3)
    np.testing.assert_allclose(
        inputs, t[:, None] * np.c_[np.cos(angles), np.sin(angles)], atol=1e-5
    )
    assert _is_uniform(labels, 3)
    assert stats.kstest(t**2, "uniform").pvalue > CHANCE
    assert stats.kstest(t, "uniform").pvalue < CHANCE


def test_harmonic_series_repeats_the_values_of_the_book(key):
    # 004 eq. 5.24 without noise has period 12.
    root = 3**0.5 / 2
    period = [2, root, 0, 0, -1, -root, 0, -root, -1, 0, 0, root]
    series = toys.harmonic_series(key, 24, std=0.0)
    np.testing.assert_allclose(series, period * 2, atol=5e-6)
    noise = toys.harmonic_series(key, EXAMPLES, std=0.1) - toys.harmonic_series(key, EXAMPLES, 0.0)
    assert _is_normal(noise, 0, 0.1)


@pytest.mark.parametrize(
    "draw", [toys.ring_of_gaussians, toys.xor, toys.circles, toys.moons, toys.spirals]
)
def test_draws_are_pure_functions_of_the_key(draw):
    jitted = jax.jit(draw, static_argnums=1)
    first, again, other = (jitted(jax.random.key(seed), 100) for seed in (0, 0, 1))
    assert first.inputs.shape == (100, 2) and first.inputs.dtype == jnp.float32
    assert first.labels.shape == (100,) and first.labels.dtype == jnp.int32
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)
