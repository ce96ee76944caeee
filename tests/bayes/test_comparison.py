"""Log predictive densities by brute force, in closed form, and left out one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jdl.bayes import comparison as ours
from jdl.bayes.likelihoods import gaussian

NOISE = 0.4
DENSITY = jax.jit(lambda *a: ours.log_predictive_density(a[0], gaussian(NOISE), a[1]))


def exact_posterior(x, y):
    """Mean and covariance of the weights of a linear regression with a standard normal prior."""
    covariance = np.linalg.inv(np.eye(3) + x.T @ x / NOISE**2)
    return covariance @ x.T @ y / NOISE**2, covariance


@pytest.fixture(scope="module")
def regression():
    """Inputs [12, 3], targets [12], and outputs [4000, 12] of draws from the exact posterior."""
    random = np.random.default_rng(0)
    x = random.normal(size=[12, 3])
    y = x @ [1.0, -2.0, 0.5] + NOISE * random.normal(size=12)
    draws = random.multivariate_normal(*exact_posterior(x, y), 4000)
    return x, y, jnp.asarray(draws @ x.T, jnp.float32)


def test_density_of_linear_regression_has_its_closed_form(regression):
    x, y, outputs = regression
    mean, covariance = exact_posterior(x, y)
    exact = scipy.stats.norm(x @ mean, np.sqrt(np.sum(x @ covariance * x, 1) + NOISE**2))
    for sigmas in (0, 1, -2):
        targets = exact.mean() + sigmas * exact.std()
        found = DENSITY(outputs, jnp.asarray(targets, jnp.float32))
        np.testing.assert_allclose(found, exact.logpdf(targets), atol=0.05)


def test_density_of_an_example_is_of_its_targets_together(key):
    outputs = jax.random.normal(key, [6, 4, 2])
    targets = jnp.ones([4, 2])
    found = DENSITY(outputs, targets)
    p = scipy.stats.norm(outputs, NOISE).pdf(np.ones([4, 2]))
    np.testing.assert_allclose(found, np.log(p.prod(-1).mean(0)), rtol=1e-4)
    assert not np.allclose(found, np.log(p.mean(0).prod(-1)), rtol=1e-2)
    chains = outputs.reshape(2, 3, 4, 2)
    again = ours.log_predictive_density(chains, gaussian(NOISE), targets, draw_axes=2)
    np.testing.assert_allclose(again, found, rtol=1e-6)
    with pytest.raises(ValueError, match=r"targets \[6, 4, 2\]"):
        ours.log_predictive_density(outputs, gaussian(0.7), jnp.ones([4]))


def test_waic_is_near_exact_leave_one_out(regression):
    x, y, outputs = regression
    targets = jnp.asarray(y, jnp.float32)
    found = jax.jit(lambda *a: ours.waic(a[0], gaussian(NOISE), a[1]))(outputs, targets)
    log_p = scipy.stats.norm(outputs, NOISE).logpdf(np.asarray(targets))
    each = np.log(np.exp(log_p).mean(0)) - log_p.var(0, ddof=1)
    np.testing.assert_allclose(found.elpd, each.sum(), rtol=1e-4)
    np.testing.assert_allclose(found.effective_params, log_p.var(0, ddof=1).sum(), rtol=1e-4)
    np.testing.assert_allclose(found.std_error, np.sqrt(12 * each.var()), rtol=1e-4)
    assert int(found.unreliable) == (log_p.var(0, ddof=1) > 0.4).sum()
    left_out = 0.0
    for n in range(12):
        rest = np.arange(12) != n
        mean, covariance = exact_posterior(x[rest], y[rest])
        std = np.sqrt(x[n] @ covariance @ x[n] + NOISE**2)
        left_out += scipy.stats.norm(x[n] @ mean, std).logpdf(y[n])
    flattering = DENSITY(outputs, targets).sum()
    assert abs(found.elpd - left_out) < 0.25 * (flattering - left_out)


def test_one_draw_has_no_variance():
    with pytest.raises(ValueError, match="two draws"):
        ours.waic(jnp.zeros([1, 3]), gaussian(1.0), jnp.zeros(3))
