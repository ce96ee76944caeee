"""Conjugate models against SciPy, scikit-learn and quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from numpyro import distributions as dist
from scipy.integrate import quad
from sklearn.linear_model import BayesianRidge

from jdl.bayes import conjugate
from tests.conformance.case import quick

NOISE = 0.4
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=[15, 3]).astype(np.float32)
Y = (X @ [1.0, -2.0, 0.5] + NOISE * GENERATOR.normal(size=15)).astype(np.float32)
MEAN0 = np.array([0.5, 0.0, -1.0], np.float32)
COVARIANCE0 = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]], np.float32)
fitted_to, fitted_with_noise, predicted = map(
    quick,
    (conjugate.linear_regression, conjugate.linear_regression_with_noise, conjugate.predictive),
)


@pytest.fixture(scope="module")
def fitted():
    return fitted_to(X, Y, NOISE, (MEAN0, COVARIANCE0))


def test_posterior_is_that_of_the_textbook(fitted):
    precision = np.linalg.inv(COVARIANCE0) + X.T @ X / NOISE**2
    mean = np.linalg.solve(precision, np.linalg.solve(COVARIANCE0, MEAN0) + X.T @ Y / NOISE**2)
    np.testing.assert_allclose(fitted.covariance, np.linalg.inv(precision), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(fitted.mean, mean, rtol=1e-4)


def test_evidence_is_the_marginal_density_of_the_targets(fitted):
    marginal = NOISE**2 * np.eye(15) + X @ COVARIANCE0 @ X.T
    expected = scipy.stats.multivariate_normal(X @ MEAN0, marginal).logpdf(Y)
    np.testing.assert_allclose(fitted.log_evidence, expected, rtol=1e-4)
    other = fitted_to(X, Y, NOISE, 1.0).log_evidence
    assert abs(other - expected) > 0.5


def test_evidence_and_predictions_are_the_integrals_over_a_weight():
    """One weight, by quadrature."""
    x, y = X[:4, :1], Y[:4]
    fitted = fitted_to(x, y, NOISE, 1.5)

    def joint(w):
        return scipy.stats.norm(0, 1.5).pdf(w) * scipy.stats.norm(x[:, 0] * w, NOISE).pdf(y).prod()

    options = {"points": [float(fitted.mean[0])], "epsabs": 1e-12}
    evidence = quad(joint, -8, 8, **options)[0]
    np.testing.assert_allclose(np.exp(fitted.log_evidence), evidence, rtol=1e-4)
    found = predicted(fitted, jnp.array([[2.0]]))
    density = scipy.stats.norm(float(found.mean[0]), float(found.variance[0]) ** 0.5).pdf(1.0)
    expected = quad(lambda w: joint(w) * scipy.stats.norm(2 * w, NOISE).pdf(1.0), -8, 8, **options)
    expected = expected[0]
    np.testing.assert_allclose(density, expected / evidence, rtol=1e-4)


def test_scikit_learn_has_the_same_weights_and_predictions():
    peer = BayesianRidge(
        alpha_init=NOISE**-2, lambda_init=2.0**-2, fit_intercept=False, max_iter=1, tol=1e9
    )
    # Of one iteration scikit-learn reports the weights for the initial precisions.
    peer.fit(X.astype(float), Y.astype(float))
    found = fitted_to(X, Y, peer.alpha_**-0.5, peer.lambda_**-0.5)
    mean, std = peer.predict(X[:5].astype(float), return_std=True)
    prediction = predicted(found, X[:5])
    np.testing.assert_allclose(found.mean, peer.coef_, rtol=2e-3)
    np.testing.assert_allclose(prediction.mean, mean, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(prediction.variance, std**2, rtol=2e-3)


def test_variance_is_the_epistemic_part_and_the_noise(fitted):
    """Problem 9.3 of 004: x' M x + sigma^2, against draws of the weights."""
    found = predicted(fitted, X[:4])
    draws = GENERATOR.multivariate_normal(fitted.mean, fitted.covariance, 20_000) @ X[:4].T
    np.testing.assert_allclose(found.epistemic, draws.var(0), rtol=0.05)
    np.testing.assert_allclose(found.aleatoric, NOISE**2, rtol=1e-6)
    np.testing.assert_allclose(found.variance, found.epistemic + found.aleatoric, rtol=1e-6)


def test_data_in_turn_give_the_posterior_of_all(fitted):
    first = fitted_to(X[:6], Y[:6], NOISE, (MEAN0, COVARIANCE0))
    second = fitted_to(X[6:], Y[6:], NOISE, first[:2])
    np.testing.assert_allclose(second.mean, fitted.mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(second.covariance, fitted.covariance, rtol=1e-3, atol=1e-5)
    total = first.log_evidence + second.log_evidence
    np.testing.assert_allclose(total, fitted.log_evidence, rtol=1e-3)


def test_a_wide_prior_and_collinear_features_stay_finite():
    features = np.column_stack([X[:, 0], X[:, 0], X[:, 1]])
    found = fitted_to(features, Y, NOISE, 100.0)
    assert np.all(np.isfinite(found.covariance)) and np.isfinite(found.log_evidence)
    assert float(found.covariance[0, 0]) > 4000  # of the difference of the two the prior alone


PRIOR = conjugate.NormalInverseGamma(MEAN0, COVARIANCE0, 2.5, 0.7)


def test_evidence_with_unknown_noise_is_a_multivariate_student():
    _, evidence = fitted_with_noise(X, Y, PRIOR)
    shape = 0.7 / 2.5 * (np.eye(15) + X @ COVARIANCE0 @ X.T)
    expected = scipy.stats.multivariate_t(X @ MEAN0, shape, df=5.0).logpdf(Y)
    np.testing.assert_allclose(evidence, expected, rtol=1e-4)


def test_predictions_with_unknown_noise_are_ratios_of_evidences():
    posterior, evidence = fitted_with_noise(X[:14], Y[:14], PRIOR)
    _, total = fitted_with_noise(X, Y, PRIOR)
    found = conjugate.student_predictive(posterior, X[14:]).log_prob(Y[14:])[0]
    np.testing.assert_allclose(found, total - evidence, atol=2e-4)
    again, _ = fitted_with_noise(X[14:], Y[14:], posterior)
    whole, _ = fitted_with_noise(X, Y, PRIOR)
    for one, other in zip(again, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


UPDATES = [
    (
        lambda prior, x: conjugate.beta_bernoulli(prior, x),
        dist.Beta(2.0, 3.0),
        lambda v: dist.Bernoulli(v),
        jnp.array([1, 0, 1, 1]),
        (0, 1),
    ),
    (
        lambda prior, x: conjugate.gamma_poisson(prior, x),
        dist.Gamma(2.0, 1.5),
        lambda v: dist.Poisson(v),
        jnp.array([3, 0, 2]),
        (0, 12),
    ),
    (
        lambda prior, x: conjugate.normal_normal(prior, x, 0.8),
        dist.Normal(1.0, 2.0),
        lambda v: dist.Normal(v, 0.8),
        jnp.array([0.3, -0.5]),
        (-8, 8),
    ),
]


@pytest.mark.parametrize("update, prior, likelihood, data, interval", UPDATES)
def test_updates_are_the_prior_times_the_likelihood(update, prior, likelihood, data, interval):
    grid = jnp.linspace(*interval, 20_003)[1:-1]
    joint = quick(jax.vmap(lambda v: prior.log_prob(v) + likelihood(v).log_prob(data).sum()))(grid)
    density = np.exp(np.asarray(joint, float))
    density /= density.sum() * float(grid[1] - grid[0])
    np.testing.assert_allclose(
        quick(lambda v: jnp.exp(jax.vmap(update(prior, data).log_prob)(v)))(grid),
        density,
        rtol=1e-3,
        atol=2e-3,
    )


def test_dirichlet_counts_labels():
    labels = jnp.array([[0, 2, 2], [1, 2, 0]])
    found = conjugate.dirichlet_categorical(dist.Dirichlet(jnp.array([1.0, 0.5, 2.0, 1.0])), labels)
    np.testing.assert_array_equal(found.concentration, [3.0, 1.5, 5.0, 1.0])


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="targets \\[N\\]; got"):
        conjugate.linear_regression(X, Y[:, None], NOISE)
    with pytest.raises(ValueError, match="prior of 3 weights"):
        conjugate.linear_regression(X, Y, NOISE, (MEAN0, np.eye(2)))
