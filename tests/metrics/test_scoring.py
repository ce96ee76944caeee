"""Proper scores against scikit-learn, their integrals and their pairs."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from sklearn import metrics as theirs

from jdl.metrics import scoring as ours


@pytest.fixture(scope="module")
def case():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.5, 0.7, 1.0], 400).astype(np.float32)
    labels = np.array([random.choice(3, p=p / p.sum()) for p in probabilities.astype(float) ** 1.5])
    return probabilities, labels


def test_scores_equal_scikit_learn(case):
    found = ours.brier_score(*map(jnp.array, case))
    np.testing.assert_allclose(
        found, ((case[0] - np.eye(3)[case[1]]) ** 2).sum(1).mean(), rtol=1e-5
    )
    binary = np.stack([1 - case[0][:, 0], case[0][:, 0]], -1)
    hits = (case[1] == 0).astype(int)
    expected = 2 * theirs.brier_score_loss(hits, binary[:, 1])
    found = ours.brier_score(jnp.array(binary), jnp.array(hits))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    surprise = ours.negative_log_likelihood(*map(jnp.array, case))
    expected = -np.log(case[0][range(400), case[1]].astype(float)).mean()
    np.testing.assert_allclose(surprise, expected, rtol=1e-5)


def test_what_was_called_impossible_costs_everything():
    p = jnp.array([[1.0, 0.0]])
    assert ours.negative_log_likelihood(p, jnp.array([1])) == jnp.inf


@pytest.mark.parametrize("bins", [2, 15])
def test_parts_of_the_brier_score_add_up(case, bins):
    probabilities, labels = map(jnp.array, case)
    parts = ours.brier_decomposition(probabilities, labels, num_bins=bins)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    np.testing.assert_allclose(total, ours.brier_score(probabilities, labels), rtol=1e-4)
    shares = np.bincount(case[1]) / 400
    np.testing.assert_allclose(parts.uncertainty, 1 - np.sum(shares**2), rtol=1e-5)


def test_parts_by_hand():
    # Ten forecasts of 0.2 of which 4 happen, ten of 0.8 of which 8 do: base rate 0.6.
    p = jnp.repeat(jnp.array([0.2, 0.8]), 10)
    labels = jnp.array([1] * 4 + [0] * 6 + [1] * 8 + [0] * 2)
    parts = ours.brier_decomposition(jnp.stack([1 - p, p], -1), labels, num_bins=5)
    expected = 2 * (0.2**2 / 2), 2 * 0.2**2, 2 * 0.6 * 0.4, 0.0
    np.testing.assert_allclose(parts, expected, atol=1e-6)


@pytest.mark.parametrize("mean, std, target", [(0.0, 1.0, 0.0), (1.0, 0.3, 2.0), (-1.0, 2.0, -4.0)])
def test_crps_of_a_normal_is_the_integral(mean, std, target):
    def square(x):
        return (scipy.stats.norm(mean, std).cdf(x) - (x >= target)) ** 2

    expected = sum(
        scipy.integrate.quad(square, *ends, epsabs=1e-9)[0]
        for ends in [(mean - 12 * std, target), (target, mean + 12 * std)]
    )
    found = ours.crps_normal(*(jnp.array(x) for x in (mean, std, target)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_crps_of_draws_is_that_of_all_pairs():
    random = np.random.default_rng(1)
    draws, targets = random.normal(size=[7, 5]).astype(np.float32), random.normal(size=5)
    error = np.abs(draws - targets).mean(0)
    pairs = np.abs(draws[:, None] - draws[None]).sum((0, 1))
    arrays = jnp.array(draws), jnp.array(targets, jnp.float32)
    np.testing.assert_allclose(ours.crps_ensemble(*arrays), error - pairs / 98, rtol=1e-4)
    fair = ours.crps_ensemble(*arrays, fair=True)
    np.testing.assert_allclose(fair, error - pairs / 84, rtol=1e-4)


def test_crps_of_draws_about_a_large_mean_keeps_its_digits():
    draws = np.random.default_rng(3).normal(size=[500, 2]).astype(np.float32) / 256
    draws = np.round(draws * 2**12) / 2**12  # numbers that float32 holds beside 1000, too
    near, far = (
        ours.crps_ensemble(jnp.array(draws + mean), jnp.full(2, mean, jnp.float32))
        for mean in (0, 1000)
    )
    np.testing.assert_allclose(far, near, rtol=1e-5)


def test_fair_crps_of_few_draws_is_that_of_their_distribution():
    random = np.random.default_rng(2)
    draws = jnp.array(random.normal(size=[3, 100_000]), jnp.float32)
    targets = jnp.array(random.normal(size=100_000), jnp.float32)
    exact = 1 / np.sqrt(np.pi)  # E crps of N(0, 1) under itself
    fair, biased = (np.asarray(ours.crps_ensemble(draws, targets, fair=f)) for f in (True, False))
    error = fair.std() / 100_000**0.5
    assert abs(fair.mean() - exact) < 4.5 * error < abs(biased.mean() - exact)


def test_crps_of_one_draw_is_the_absolute_error():
    found = ours.crps_ensemble(jnp.array([[3.0, 1.0]]), jnp.array([1.0, 2.0]))
    assert found.tolist() == [2.0, 1.0]


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="at least 2"):
        ours.crps_ensemble(jnp.zeros([1, 3]), jnp.zeros(3), fair=True)
    with pytest.raises(ValueError, match=r"\[4, 3\] and \[2\]"):
        ours.crps_ensemble(jnp.zeros([4, 3]), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"got \[3\]"):
        ours.brier_score(jnp.zeros(3), jnp.zeros(3, int))
    with pytest.raises(ValueError, match="float32. For two classes"):
        ours.negative_log_likelihood(jnp.ones([3, 2]), jnp.zeros(3))
