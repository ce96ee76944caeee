"""NumPyro's SVI, step by step as NumPyro runs it, and on the posterior of a linear model."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoMultivariateNormal, AutoNormal

from jdl.bayes.densities import numpyro_model
from jdl.bayes.likelihoods import gaussian
from jdl.bayes.svi import from_svi, guide_draws
from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.train import run
from tests.conformance.case import quick

MODEL = mlp([2, 1])
SITES = numpyro_model(MODEL, dist.Normal(0.0, 2.0), gaussian(0.5))
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=[20, 2])
Y = X @ [1.0, -2.0] + 0.7 + 0.5 * GENERATOR.normal(size=20)
BATCH = jnp.asarray(X, jnp.float32), jnp.asarray(Y[:, None], jnp.float32)


def test_a_step_is_an_update_of_numpyro():
    svi = SVI(SITES, AutoNormal(SITES), optax.adam(0.01), Trace_ELBO())
    algorithm = from_svi(svi, BATCH)
    state = algorithm.init(Variables({}), jax.random.key(0))
    inner = svi.init(jax.random.key(0), *BATCH)

    @quick
    def both(state, inner, key):
        state, info = algorithm.step(state, BATCH, key)
        return state, info["loss"], *svi.update(inner._replace(rng_key=key), *BATCH)

    for seed in range(3):
        state, loss, inner, expected = both(state, inner, jax.random.key(seed))
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
    found, expected = state.variables.params, svi.get_params(inner)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), found, expected)


def test_a_full_guide_finds_the_posterior_of_a_linear_model_and_its_draws_are_params():
    features = np.column_stack([np.ones(20), X])
    covariance = np.linalg.inv(features.T @ features / 0.25 + np.eye(3) / 4)
    mean = covariance @ features.T @ Y / 0.25
    guide = AutoMultivariateNormal(SITES)
    optimizer = optax.adam(optax.exponential_decay(0.03, 400, 0.3))
    svi = SVI(SITES, guide, optimizer, Trace_ELBO(num_particles=8))
    algorithm = from_svi(svi, BATCH)
    state = algorithm.init(Variables({}), jax.random.key(0))
    fixed = algorithm._replace(step=lambda state, _, key: algorithm.step(state, BATCH, key))
    state, info = quick(lambda s, k: run(fixed, s, None, k, length=2000))(state, jax.random.key(1))
    like = jax.eval_shape(MODEL.init, jax.random.key(0)).params

    @quick
    def drawn(params, key):
        draws = guide_draws(guide, params, like, key, 20_000)
        outputs = jax.vmap(lambda p: MODEL.apply(Variables(p), BATCH[0][:3])[0])(draws)
        return draws, jax.vmap(lambda tree: ravel_pytree(tree)[0])(draws), outputs

    draws, flat, outputs = drawn(state.variables.params, jax.random.key(2))
    assert draws["layers"]["0"]["kernel"].shape == (20_000, 2, 1)
    flat = np.asarray(flat)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(flat.mean(0), mean, atol=0.15 * scale.min())
    found = np.cov(flat.T) / np.outer(scale, scale)
    np.testing.assert_allclose(found, covariance / np.outer(scale, scale), atol=0.12)
    np.testing.assert_allclose(outputs.mean(0)[:, 0], features[:3] @ mean, atol=0.05)


def test_it_starts_from_given_values():
    guide = AutoNormal(SITES)
    algorithm = from_svi(SVI(SITES, guide, optax.sgd(0.0), Trace_ELBO()), BATCH)
    start = {"layers.0.bias_auto_loc": jnp.array([3.0])}
    state = algorithm.init(Variables(start), jax.random.key(0))
    assert state.variables.params["layers.0.bias_auto_loc"].tolist() == [3.0]
    with pytest.raises(ValueError, match="start with a key"):
        algorithm.init(Variables({}))
    with pytest.raises(ValueError, match="no sites \\['other'\\]"):
        guide_draws(guide, state.variables.params, {"other": jnp.ones(1)}, jax.random.key(0), 2)
