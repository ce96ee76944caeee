import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from jdl.nn.likelihoods import (
    full_covariance_nll,
    gaussian_nll,
    heteroscedastic_nll,
    poisson_nll,
)

RNG = np.random.default_rng(0)
MEANS, TARGETS = RNG.normal(size=[2, 6, 3])
ROOT = RNG.normal(size=[3, 3])
COVARIANCE = ROOT @ ROOT.T + 0.1 * np.eye(3)


def close(ours, theirs, tolerance=1e-4):
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_the_isotropic_nll_is_scipy_s():
    expected = -scipy.stats.norm.logpdf(TARGETS, MEANS, 0.7).sum(-1)
    close(gaussian_nll(jnp.asarray(MEANS), jnp.asarray(TARGETS), std=0.7), expected)


def test_its_gradient_is_that_of_least_squares():
    means, targets = jnp.asarray(MEANS), jnp.asarray(TARGETS)
    slope = jax.grad(lambda m: gaussian_nll(m, targets, std=1.0).sum())(means)
    close(slope, MEANS - TARGETS)  # 004: delta = z - y, which needs the factor 1/2
    halves = jax.grad(lambda m: optax.l2_loss(m, targets).sum())(means)
    close(slope, halves)


def test_the_nll_of_a_full_covariance_is_scipy_s():
    expected = [
        -scipy.stats.multivariate_normal.logpdf(y, m, COVARIANCE)
        for m, y in zip(MEANS, TARGETS, strict=True)
    ]
    arguments = jnp.asarray(MEANS), jnp.asarray(TARGETS)
    ours = full_covariance_nll(*arguments, covariance=jnp.asarray(COVARIANCE))
    close(ours, expected)
    diagonal = full_covariance_nll(*arguments, covariance=jnp.diag(jnp.diagonal(COVARIANCE)))
    assert np.abs(diagonal - ours).max() > 0.5


def test_each_example_may_have_its_covariance():
    covariances = np.stack([COVARIANCE * (i + 1) for i in range(6)])
    expected = [
        -scipy.stats.multivariate_normal.logpdf(*row)
        for row in zip(TARGETS, MEANS, covariances, strict=True)
    ]
    ours = full_covariance_nll(
        jnp.asarray(MEANS), jnp.asarray(TARGETS), covariance=jnp.asarray(covariances)
    )
    close(ours, expected)


def test_one_std_is_the_covariance_of_a_multiple_of_the_identity():
    arguments = jnp.asarray(MEANS), jnp.asarray(TARGETS)
    close(
        full_covariance_nll(*arguments, covariance=0.49 * jnp.eye(3)),
        gaussian_nll(*arguments, std=0.7),
    )


def test_the_heteroscedastic_nll_is_scipy_s():
    s = np.random.default_rng(1).normal(size=[6, 3])
    expected = -scipy.stats.norm.logpdf(TARGETS, MEANS, np.exp(s / 2)).sum(-1)
    close(heteroscedastic_nll(*map(jnp.asarray, (MEANS, s, TARGETS))), expected)


def test_the_best_variance_is_the_squared_error():
    def slope(log_variance):
        return jax.grad(lambda s: heteroscedastic_nll(jnp.zeros([1]), s, jnp.array([3.0])).sum())(
            jnp.array([log_variance])
        )

    close(slope(np.log(9.0)), 0)
    assert slope(np.log(9.0) + 0.1) > 0.01 and slope(np.log(9.0) - 0.1) < -0.01


def test_a_variance_below_float32_is_no_trouble_as_a_logarithm():
    s = jnp.array([-110.0])
    assert jnp.exp(s) == 0 and jnp.isinf(jnp.log(jnp.exp(s)))
    assert jnp.isnan((jnp.ones(1) - 1) ** 2 * jnp.exp(-s))[0]
    close(heteroscedastic_nll(jnp.ones(1), s, jnp.ones(1)), (np.log(2 * np.pi) - 110) / 2)
    slope = jax.grad(lambda s: heteroscedastic_nll(jnp.ones(1), s, jnp.ones(1)))(s)
    close(slope, 0.5)


def test_the_poisson_nll_is_scipy_s_and_its_gradient_rate_minus_count():
    log_rates, counts = np.array([-3.0, 0.0, 1.5, 2.0]), np.array([0, 1, 7, 3])
    expected = -scipy.stats.poisson.logpmf(counts, np.exp(log_rates))
    s, y = jnp.asarray(log_rates), jnp.asarray(counts)
    close(poisson_nll(s, y), expected)
    close(jax.grad(lambda s: poisson_nll(s, y).sum())(s), np.exp(log_rates) - counts)
    keras = np.exp(log_rates) - counts * log_rates
    close(poisson_nll(s, y) - keras, [np.log(1), np.log(1), np.log(5040), np.log(6)])


def test_shapes_that_would_broadcast_are_refused():
    one, row = jnp.ones([4, 1]), jnp.ones([1, 4])
    for call in (
        lambda: gaussian_nll(one, row, std=1.0),
        lambda: full_covariance_nll(one, row, covariance=jnp.eye(1)),
        lambda: heteroscedastic_nll(one, one, row),
        lambda: heteroscedastic_nll(one, row, one),
        lambda: poisson_nll(one, row),
        lambda: full_covariance_nll(one, one, covariance=jnp.eye(2)),
    ):
        with pytest.raises(ValueError):
            call()
