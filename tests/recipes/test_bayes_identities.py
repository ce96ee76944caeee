"""The identities to rounding, their parts against SciPy and NumPyro, and where they fail."""

import jax
import numpy as np
import pytest
import scipy.stats
from numpyro import distributions as dist

from jdl.bayes.conjugate import linear_regression
from jdl.recipes import bayes_identities as recipe

SETTINGS = recipe.Settings(guesses=50)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


@pytest.fixture(scope="module")
def line():
    return recipe.random_line(np.random.default_rng(0), SETTINGS)


def test_bayes_rule_is_exact_and_needs_independence(report):
    for name in ("rule_error", "sum_error", "update_error"):
        assert report.metrics[name] < 1e-14
    assert report.metrics["dependent_error"] > 0.05


def test_bound_and_divergence_add_up_to_the_evidence(report):
    metrics = report.metrics
    assert metrics["identity_error"] < 1e-10 and metrics["two_humps_error"] < 1e-10
    assert abs(metrics["posterior_gap"]) < 1e-12 < metrics["least_gap"]
    assert metrics["two_humps_gap"] > 0.5


def test_evidence_and_posterior_are_those_of_scipy_and_of_the_library(line):
    covariance = SETTINGS.prior_std**2 * line.x @ line.x.T + line.noise_std**2 * np.eye(10)
    expected = scipy.stats.multivariate_normal(np.zeros(10), covariance).logpdf(line.y)
    np.testing.assert_allclose(recipe.log_evidence(line), expected, rtol=1e-10)
    arrays = (x.astype(np.float32) for x in (line.x, line.y))
    fitted = linear_regression(*map(jax.numpy.asarray, arrays), line.noise_std, SETTINGS.prior_std)
    exact = recipe.posterior(line)
    np.testing.assert_allclose(fitted.log_evidence, expected, rtol=1e-4)
    np.testing.assert_allclose(fitted.mean, exact.mean, rtol=1e-4)
    np.testing.assert_allclose(fitted.covariance, exact.covariance, atol=1e-5)


def test_divergence_is_that_of_numpyro():
    q = recipe.Normal(np.array([0.3, -1.0]), np.array([[0.5, 0.2], [0.2, 0.4]]))
    p = recipe.Normal(np.array([1.0, 0.5]), np.array([[1.5, -0.3], [-0.3, 0.8]]))
    theirs = dist.kl_divergence(*(dist.MultivariateNormal(*x) for x in (q, p)))
    np.testing.assert_allclose(recipe.kl(q, p), theirs, rtol=1e-5)


def test_bound_is_that_of_samples(line):
    q = recipe.Normal(np.array([0.3, -1.0]), np.array([[0.5, 0.2], [0.2, 0.4]]))
    theta = np.random.default_rng(1).multivariate_normal(*q, 20_000)
    log_likelihood = scipy.stats.norm(theta @ line.x.T, line.noise_std).logpdf(line.y).sum(1)
    terms = log_likelihood + recipe.log_normal(theta, line.prior) - recipe.log_normal(theta, q)
    error = terms.std() / 20_000**0.5
    assert abs(terms.mean() - recipe.elbo_of(q, line)) < 4.5 * error
