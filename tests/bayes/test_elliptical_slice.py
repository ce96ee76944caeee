"""Elliptical slice sampling against exact posteriors of linear models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.bayes.elliptical_slice import elliptical_slice
from jdl.core import Variables
from jdl.train import run
from tests.conformance.case import quick

MEAN = {"slope": jnp.array([0.5, -1.0]), "offset": 2.0}
STD = {"slope": jnp.array([1.0, 2.0]), "offset": 0.5}
INPUTS = jax.random.normal(jax.random.key(0), [6, 2])
TARGETS = jnp.array([1.0, -0.5, 2.0, 3.0, 0.0, 1.5])
NOISE = 0.7


def log_likelihood(params):
    outputs = INPUTS @ params["slope"] + params["offset"]
    return -0.5 * jnp.sum((TARGETS - outputs) ** 2) / NOISE**2


def exact(mean, std):
    """Mean and covariance of (slope, offset) of the normal posterior."""
    design = np.concatenate([INPUTS, np.ones([6, 1])], 1)
    covariance = np.linalg.inv(np.diag(1 / std**2) + design.T @ design / NOISE**2)
    return covariance @ (mean / std**2 + design.T @ np.asarray(TARGETS) / NOISE**2), covariance


PRIOR = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, 0.5])


def flat(params):
    return jnp.concatenate([params["slope"], params["offset"][..., None]], -1)


def after(chain, starts, length):
    def one(start, key):
        state = chain.init(Variables({"slope": start[:2], "offset": start[2]}))
        state, info = run(chain, state, None, key, length=length)
        return flat(state.variables.params), info

    keys = jax.random.split(jax.random.key(1), len(starts))
    return quick(jax.vmap(one))(starts, keys)


@pytest.fixture(scope="module")
def mixed():
    """The ends of many independent chains that started at 0."""
    return after(elliptical_slice(log_likelihood, MEAN, STD), jnp.zeros([3000, 3]), 40)


def test_independent_chains_end_at_the_exact_posterior(mixed):
    ends, info = mixed
    mean, covariance = exact(*PRIOR)
    assert np.all(np.abs(ends.mean(0) - mean) < 4.5 * np.sqrt(np.diag(covariance) / len(ends)))
    spread = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2)
    assert np.all(np.abs(np.cov(ends.T) - covariance) < 4.5 * spread / np.sqrt(len(ends)))
    assert info["num_tries"].min() == 1 and info["num_tries"].max() < 40
    # The same draws are none of the posterior under another prior.
    other, _ = exact(np.zeros(3), PRIOR[1])
    assert np.abs(ends.mean(0) - other).max() > 0.1


def test_exact_draws_stay_exact_for_a_likelihood_of_two_humps():
    # Posterior of one number by quadrature; the paired change of means is free of the start's.
    def humps(x):
        return jnp.logaddexp(-8.0 * (x - 1.0) ** 2, -2.0 * (x + 1.5) ** 2)

    grid = np.linspace(-8, 8, 4001)
    weights = np.exp(np.asarray(humps(jnp.asarray(grid))) - 0.5 * (grid - 0.3) ** 2 / 2.25)
    x = np.random.default_rng(0).choice(grid, 20000, p=weights / weights.sum())
    starts = jnp.asarray(x, jnp.float32)

    @quick
    def after(mean, std):
        chain = elliptical_slice(humps, mean, std)

        def one(start, key):
            state = run(chain, chain.init(Variables(start)), None, key, length=2)[0]
            return state.variables.params

        return jax.vmap(one)(starts, jax.random.split(jax.random.key(2), len(x)))

    def drift(mean, std):
        ends = after(mean, std)
        change = np.stack([f(ends) - f(starts) for f in (jnp.sin, jnp.square, jnp.sign)])
        return np.abs(change.mean(1)) / (change.std(1) / np.sqrt(len(x)))

    assert drift(0.3, 1.5).max() < 4.5
    for mean, std in [(0.0, 1.5), (0.3, 1.2)]:  # another prior, another density
        assert drift(mean, std).max() > 10


def test_a_flat_likelihood_draws_the_prior_at_the_first_try():
    chain = elliptical_slice(lambda params: jnp.zeros([]), MEAN, STD)
    ends, info = after(chain, jnp.zeros([3000, 3]), 15)
    assert info["num_tries"].max() == 1
    mean, std = PRIOR
    assert np.all(np.abs(ends.mean(0) - mean) < 4.5 * std / np.sqrt(3000))
    np.testing.assert_allclose(ends.std(0), std, rtol=0.06)


def test_a_step_moves_by_the_ellipse_and_keeps_its_likelihood():
    chain = elliptical_slice(log_likelihood, MEAN, STD)
    state = chain.init(Variables({"slope": jnp.zeros(2), "offset": jnp.array(1.0)}))
    state, info = quick(chain.step)(state, None, jax.random.key(0))
    expected = log_likelihood(state.variables.params)
    np.testing.assert_allclose(state.log_likelihood, expected, rtol=1e-5)
    np.testing.assert_allclose(info["log_likelihood"], expected, rtol=1e-5)


@pytest.mark.parametrize("elsewhere", [-jnp.inf, jnp.nan])
def test_a_step_that_finds_nothing_stays(elsewhere):
    def spike(x):
        return jnp.where(x == 1.0, 0.0, elsewhere)

    chain = elliptical_slice(spike, max_tries=7)
    state, info = quick(chain.step)(chain.init(Variables(jnp.array(1.0))), None, jax.random.key(0))
    assert state.variables.params == 1.0 and state.log_likelihood == 0.0
    assert info["num_tries"] == 7
