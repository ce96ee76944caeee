"""Likelihoods against SciPy and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from numpyro import distributions as dist

from jdl.bayes import likelihoods
from jdl.bayes.likelihoods import log_likelihood
from jdl.models.mlp import mlp

RANDOM = np.random.default_rng(0)
OUTPUTS = RANDOM.normal(size=[5, 4]).astype(np.float32)
TARGETS = RANDOM.normal(size=[5, 4]).astype(np.float32)


def test_gaussian_is_scipys_normal():
    found = log_likelihood(likelihoods.gaussian(0.3)(OUTPUTS), TARGETS)
    np.testing.assert_allclose(
        found, scipy.stats.norm(OUTPUTS, 0.3).logpdf(TARGETS), rtol=1e-5, atol=1e-6
    )


def test_heteroscedastic_takes_means_first_and_log_variances_second():
    found = log_likelihood(likelihoods.heteroscedastic(OUTPUTS), TARGETS[:, :2])
    std = np.exp(OUTPUTS[:, 2:] / 2)
    expected = scipy.stats.norm(OUTPUTS[:, :2], std).logpdf(TARGETS[:, :2])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="an even number of outputs; got 3"):
        likelihoods.heteroscedastic(OUTPUTS[:, :3])


def test_bernoulli_and_categorical_are_the_negative_cross_entropies():
    labels = jnp.array([0, 3, 1, 2, 2])
    found = log_likelihood(likelihoods.categorical(OUTPUTS), labels)
    expected = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(OUTPUTS), labels)
    np.testing.assert_allclose(found, -expected, rtol=1e-5)
    binary = jnp.asarray(TARGETS > 0, jnp.float32)
    found = log_likelihood(likelihoods.bernoulli(OUTPUTS), binary)
    expected = optax.sigmoid_binary_cross_entropy(jnp.asarray(OUTPUTS), binary)
    np.testing.assert_allclose(found, -expected, rtol=1e-5, atol=1e-6)


def test_poisson_has_the_exponential_of_the_output_as_rate():
    counts = jnp.array([[0, 1, 2, 3]] * 5)
    found = log_likelihood(likelihoods.poisson(OUTPUTS), counts)
    expected = scipy.stats.poisson(np.exp(OUTPUTS)).logpmf(np.asarray(counts))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_any_distribution_of_numpyro_is_a_likelihood():
    found = log_likelihood(dist.StudentT(4.0, OUTPUTS, 0.5), TARGETS)
    expected = scipy.stats.t(4, OUTPUTS, 0.5).logpdf(TARGETS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_learned_noise_finds_the_deviation_of_the_residuals():
    model = likelihoods.learned_noise(mlp([1, 1]), 2.0)
    params = model.init(jax.random.key(0)).params
    assert float(params["log_noise_std"]) == pytest.approx(np.log(2.0))
    outputs, _ = model.apply(model.init(jax.random.key(0)), jnp.zeros([3, 1]))
    np.testing.assert_allclose(outputs.std, 2.0, rtol=1e-6)
    residuals = jnp.asarray(RANDOM.normal(size=[50, 1]) * 0.7, jnp.float32)

    def loss(log_std):
        held = {**params, "log_noise_std": log_std}
        outputs, _ = model.apply((held, ()), jnp.zeros([50, 1]))
        return -log_likelihood(likelihoods.normal(outputs), residuals + outputs.mean).sum()

    best = jnp.log(jnp.sqrt(jnp.mean(residuals**2)))
    np.testing.assert_allclose(jax.grad(loss)(best), 0.0, atol=1e-3)
    with pytest.raises(ValueError, match="is positive; got initial_std=0"):
        likelihoods.learned_noise(model, 0.0)


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="broadcast to all pairs"):
        log_likelihood(likelihoods.gaussian(1.0)(OUTPUTS), TARGETS[:, 0])
    with pytest.raises(ValueError, match="likelihood of targets \\[5\\]; got targets \\[5, 4\\]"):
        log_likelihood(likelihoods.categorical(OUTPUTS), jnp.zeros([5, 4], int))
