"""Posteriors against SciPy, NumPyro, the exact posterior of a linear model, and ridge."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.infer
import pytest
import scipy.stats
from flax import nnx
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.bayes import densities, likelihoods
from jdl.bayes.hmc import hmc
from jdl.bayes.priors import by_pattern
from jdl.core import Variables
from jdl.functional import functional
from jdl.models.mlp import mlp
from jdl.train import run
from tests.conformance.case import quick

NOISE, PRIOR = 0.5, 2.0


@pytest.fixture(scope="module")
def linear():
    """A linear model, data, its density, and the exact posterior of (bias, weights)."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=[20, 2])
    targets = inputs @ [1.0, -2.0] + 0.7 + NOISE * generator.normal(size=20)
    model = mlp([2, 1])
    density = densities.log_posterior(model, dist.Normal(0.0, PRIOR), likelihoods.gaussian(NOISE))
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

    draws = np.asarray(quick(jax.vmap(draws))(jax.random.split(jax.random.key(2), 32)))[:, 50:]
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
    other = densities.log_posterior(model, dist.Normal(0.0, 0.5), likelihoods.gaussian(NOISE))
    assert np.abs(jax.grad(lambda v: other(unravel(v), batch))(jnp.asarray(mean))).max() > 1.0


def test_batches_have_the_density_of_all_data_as_their_mean(linear):
    model, (inputs, targets), density, _, _ = linear
    params = model.init(jax.random.key(1)).params
    part = densities.log_posterior(
        model, dist.Normal(0.0, PRIOR), likelihoods.gaussian(NOISE), num_examples=20
    )
    parts = [part(params, (inputs[i : i + 5], targets[i : i + 5])) for i in range(0, 20, 5)]
    np.testing.assert_allclose(np.mean(parts), density(params, (inputs, targets)), rtol=1e-5)


def test_a_power_of_the_likelihood_goes_from_prior_to_posterior(linear):
    model, batch, density, _, _ = linear
    params = model.init(jax.random.key(1)).params
    prior, likelihood = dist.Normal(0.0, PRIOR), likelihoods.gaussian(NOISE)
    powers = [
        densities.log_posterior(model, prior, likelihood, likelihood_power=power)(params, batch)
        for power in (0.0, 0.5, 1.0)
    ]
    expected = scipy.stats.norm(0, PRIOR).logpdf(np.asarray(ravel_pytree(params)[0])).sum()
    np.testing.assert_allclose(powers[0], expected, rtol=1e-5)
    np.testing.assert_allclose(powers[2], density(params, batch), rtol=1e-6)
    np.testing.assert_allclose(powers[1], (powers[0] + powers[2]) / 2, rtol=1e-5)


def test_map_is_the_negative_log_likelihood_with_weight_decay(linear):
    """004, eq. 9.6, up to a constant: the same differences and the same gradient."""
    model, batch, density, _, _ = linear
    one, two = (model.init(jax.random.key(seed)).params for seed in (1, 2))

    def loss(params):
        outputs, _ = model.apply(Variables(params), batch[0])
        weights = ravel_pytree(params)[0]
        return jnp.sum((outputs - batch[1]) ** 2) / (2 * NOISE**2) + weights @ weights / (
            2 * PRIOR**2
        )

    np.testing.assert_allclose(
        density(one, batch) - density(two, batch), loss(two) - loss(one), rtol=1e-4
    )
    slope, other = (ravel_pytree(jax.grad(f)(one))[0] for f in (lambda p: density(p, batch), loss))
    np.testing.assert_allclose(slope, -other, rtol=1e-4)


def test_a_posterior_is_the_sum_of_its_terms_and_equals_the_density(linear):
    model, batch, density, _, _ = linear
    target = densities.posterior(model, dist.Normal(0.0, PRIOR), likelihoods.gaussian(NOISE), batch)
    params = target.init(jax.random.key(3))
    terms = target.terms(params)
    assert set(terms) == {"prior.layers.0.bias", "prior.layers.0.kernel", "likelihood"}
    np.testing.assert_allclose(target.log_density(params), density(params, batch), rtol=1e-6)
    np.testing.assert_allclose(sum(terms.values()), density(params, batch), rtol=1e-5)
    np.testing.assert_allclose(target.outputs(params), model.apply(Variables(params), batch[0])[0])


def test_as_a_numpyro_model_it_has_the_same_density(linear):
    model, batch, density, _, _ = linear
    prior = by_pattern({"*kernel": dist.Normal(0.0, 1.0), "*bias": dist.Laplace(0.0, 3.0)})
    likelihood = likelihoods.gaussian(NOISE)
    params = model.init(jax.random.key(1)).params
    sites = densities.numpyro_model(model, prior, likelihood)
    values = {f"layers.0.{name}": x for name, x in params["layers"]["0"].items()}
    found, trace = numpyro.infer.util.log_density(sites, batch, {}, values)
    expected = densities.log_posterior(model, prior, likelihood)(params, batch)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    part = batch[0][:5], batch[1][:5]
    found, _ = numpyro.infer.util.log_density(sites, part, {"num_examples": 20}, values)
    scaled = densities.log_posterior(model, prior, likelihood, num_examples=20)
    np.testing.assert_allclose(found, scaled(params, part), rtol=1e-5)


def test_numpyro_draws_targets_from_it(linear):
    model, (inputs, _), _, _, _ = linear
    sites = densities.numpyro_model(model, dist.Normal(0.0, PRIOR), likelihoods.gaussian(NOISE))
    drawn = numpyro.infer.Predictive(sites, num_samples=4000)(jax.random.key(0), inputs[:2])
    # A priori targets are N(0, noise^2 + prior^2 (1 + |x|^2)).
    variance = NOISE**2 + PRIOR**2 * (1 + np.sum(np.asarray(inputs[:2]) ** 2, axis=1))
    np.testing.assert_allclose(drawn["targets"][..., 0].var(0), variance, rtol=0.12)


def test_a_model_with_batch_statistics_is_refused_and_held_ones_are_taken():
    model = functional(lambda rngs: nnx.BatchNorm(2, rngs=rngs))
    data = jnp.ones([3, 2]), jnp.ones([3, 2])
    arguments = model, dist.Normal(0.0, 1.0), likelihoods.gaussian(1.0), data
    with pytest.raises(ValueError, match=r"buffers \(mean, var\).*Take LayerNorm"):
        densities.posterior(*arguments)
    variables = model.init(jax.random.key(0))
    target = densities.posterior(*arguments, buffers=variables.buffers)
    assert np.isfinite(target.log_density(variables.params))


def test_targets_of_another_shape_are_refused(linear):
    model, (inputs, targets), density, _, _ = linear
    with pytest.raises(ValueError, match="broadcast to all pairs"):
        density(model.init(jax.random.key(0)).params, (inputs, targets[:, 0]))
    arguments = model, dist.Normal(0.0, 1.0), likelihoods.gaussian(NOISE)
    with pytest.raises(ValueError, match="targets \\[20, 1\\]; got targets \\[20\\]"):
        densities.posterior(*arguments, (inputs, targets[:, 0]))


def test_targets_outside_of_the_support_are_refused(linear):
    model, (inputs, targets), _, _, _ = linear
    for likelihood in (likelihoods.bernoulli, likelihoods.poisson):
        with pytest.raises(ValueError, match="lie in its support; got"):
            densities.posterior(model, dist.Normal(0.0, 1.0), likelihood, (inputs, targets))
    labels = jnp.array([0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"Categorical.*got \[3\]"):
        densities.posterior(
            mlp([2, 3]), dist.Normal(0.0, 1.0), likelihoods.categorical, (inputs[:4], labels)
        )
