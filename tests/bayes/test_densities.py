"""Densities against SciPy, against the exact posterior of a linear model, and against ridge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.bayes import densities
from jdl.bayes.hmc import hmc
from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.train import run

NOISE, PRIOR = 0.5, 2.0


@pytest.fixture(scope="module")
def linear():
    """A linear model, data, its density, and the exact posterior of (bias, weights)."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=[20, 2])
    targets = inputs @ [1.0, -2.0] + 0.7 + NOISE * generator.normal(size=20)
    model = mlp([2, 1])
    density = densities.log_posterior(model, dist.Normal(0.0, PRIOR), densities.gaussian(NOISE))
    batch = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets[:, None], jnp.float32)
    features = np.column_stack([np.ones(20), inputs])
    covariance = np.linalg.inv(features.T @ features / NOISE**2 + np.eye(3) / PRIOR**2)
    mean = covariance @ features.T @ targets / NOISE**2
    return model, batch, density, mean, covariance


def test_it_is_the_sum_of_prior_and_likelihood_as_scipy_has_them(linear):
    model, (inputs, targets), density, _, _ = linear
    params = model.init(jax.random.key(1)).params
    layer = params["layers"]["0"]
    outputs = np.asarray(inputs) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
    expected = scipy.stats.norm(0, PRIOR).logpdf(np.asarray(ravel_pytree(params)[0])).sum()
    expected += scipy.stats.norm(outputs, NOISE).logpdf(np.asarray(targets)).sum()
    np.testing.assert_allclose(density(params, (inputs, targets)), expected, rtol=1e-5)


def test_hmc_on_it_gives_the_exact_posterior_of_a_linear_model(linear):
    model, batch, density, mean, covariance = linear
    vector, unravel = ravel_pytree(model.init(jax.random.key(0)).params)
    chain = hmc(lambda v: density(unravel(v), batch), 0.08, 12, jitter=0.2)

    def draws(key):
        state = chain.init(Variables(jnp.asarray(mean, jnp.float32)))
        return run(chain, state, None, key, length=600, keep=lambda s, i: s.variables.params)[1]

    draws = np.asarray(jax.jit(jax.vmap(draws))(jax.random.split(jax.random.key(2), 32)))[:, 50:]
    by_chain = draws.mean(1)
    assert np.all(np.abs(by_chain.mean(0) - mean) < 4.5 * by_chain.std(0) / np.sqrt(32))
    scale = np.sqrt(np.diag(covariance))
    found = np.cov(draws.reshape(-1, 3).T) / np.outer(scale, scale)
    np.testing.assert_allclose(found, covariance / np.outer(scale, scale), atol=0.06)


def test_its_maximum_is_ridge_regression(linear):
    model, batch, density, mean, _ = linear
    vector, unravel = ravel_pytree(model.init(jax.random.key(0)).params)
    gradient = jax.grad(lambda v: density(unravel(v), batch))
    np.testing.assert_allclose(gradient(jnp.asarray(mean, jnp.float32)), 0.0, atol=1e-3)
    # A prior of another variance has another maximum.
    other = densities.log_posterior(model, dist.Normal(0.0, 0.5), densities.gaussian(NOISE))
    assert np.abs(jax.grad(lambda v: other(unravel(v), batch))(jnp.asarray(mean))).max() > 1.0


def test_batches_have_the_density_of_all_data_as_their_mean(linear):
    model, (inputs, targets), density, _, _ = linear
    params = model.init(jax.random.key(1)).params
    part = densities.log_posterior(
        model, dist.Normal(0.0, PRIOR), densities.gaussian(NOISE), num_examples=20
    )
    parts = [part(params, (inputs[i : i + 5], targets[i : i + 5])) for i in range(0, 20, 5)]
    np.testing.assert_allclose(np.mean(parts), density(params, (inputs, targets)), rtol=1e-5)


def test_a_prior_by_path_gives_each_leaf_its_own():
    params = {"a": {"kernel": jnp.array([1.0, 2.0]), "bias": jnp.array(3.0)}}
    density = densities.log_prior(
        lambda path: dist.Laplace(0.0, 2.0) if path == "a.bias" else dist.Normal(0.0, 1.0)
    )
    expected = scipy.stats.norm.logpdf([1.0, 2.0]).sum() + scipy.stats.laplace(0, 2).logpdf(3.0)
    np.testing.assert_allclose(density(params), expected, rtol=1e-6)


def test_categorical_is_the_log_softmax_of_the_label():
    logits = jnp.array([[1.0, 2.0, -1.0], [0.0, 0.5, 0.0]])
    expected = jax.nn.log_softmax(logits)[jnp.arange(2), jnp.array([2, 0])]
    np.testing.assert_allclose(
        densities.categorical(logits, jnp.array([2, 0])), expected, rtol=1e-6
    )


def test_targets_of_another_shape_are_refused(linear):
    model, (inputs, targets), density, _, _ = linear
    with pytest.raises(ValueError, match="broadcast to all pairs"):
        density(model.init(jax.random.key(0)).params, (inputs, targets[:, 0]))
    with pytest.raises(ValueError, match="without their last axis"):
        densities.categorical(jnp.zeros([4, 3]), jnp.zeros([4, 3], int))


def test_a_prior_of_many_numbers_is_refused():
    with pytest.raises(ValueError, match="of shape \\(3,\\) for 'a'"):
        densities.log_prior(dist.Normal(jnp.zeros(3), 1.0))({"a": jnp.zeros(3)})
