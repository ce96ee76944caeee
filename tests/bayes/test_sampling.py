"""Chains: exact posteriors, cuts, devices, starts, interrupts, what it says."""

import contextlib
import logging
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist

from jdl.bayes.adaptation import adaptive_hmc
from jdl.bayes.chees import chees_hmc
from jdl.bayes.densities import density_target, posterior
from jdl.bayes.hmc import hmc
from jdl.bayes.likelihoods import gaussian
from jdl.bayes.metropolis import metropolis
from jdl.bayes.numpyro_kernels import nuts
from jdl.bayes.sampling import sample, sample_jointly
from jdl.models.mlp import mlp
from jdl.train.ensemble import ensemble
from jdl.train.parallel import data_mesh

NOISE, PRIOR = 0.5, 2.0


def walk(log_density, num_warmup):
    return metropolis(log_density, 0.5)


def normal_target():
    return density_target(
        lambda params: -0.5 * sum(jnp.sum(x**2) for x in jax.tree.leaves(params)),
        lambda key: {"a": jax.random.normal(key, [2]), "b": jnp.zeros([])},
    )


@pytest.fixture(scope="module")
def linear():
    """The posterior of a linear model, and its exact mean and covariance (bias, weights)."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=[30, 2])
    targets = inputs @ [1.0, -2.0] + 0.7 + NOISE * generator.normal(size=30)
    features = np.column_stack([np.ones(30), inputs])
    covariance = np.linalg.inv(features.T @ features / NOISE**2 + np.eye(3) / PRIOR**2)
    mean = covariance @ features.T @ targets / NOISE**2
    data = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets[:, None], jnp.float32)
    return posterior(mlp([2, 1]), dist.Normal(0.0, PRIOR), gaussian(NOISE), data), mean, covariance


@pytest.mark.parametrize(
    "call",
    [
        partial(sample, sampler=partial(adaptive_hmc, num_steps=5)),
        # Slow to compile; test_numpyro_kernels has its moments.
        pytest.param(partial(sample, sampler=nuts), marks=pytest.mark.slow),
        partial(sample_jointly, sampler=chees_hmc),
    ],
    ids=["hmc", "nuts", "chees"],
)
def test_draws_are_of_the_exact_posterior_of_a_linear_model(call, linear, key):
    target, mean, covariance = linear
    sampled = call(target, key=key, chains=16, warmup=200, draws=300)
    layer = sampled.draws["layers"]["0"]
    assert layer["kernel"].shape == (16, 300, 2, 1)
    draws = np.concatenate([layer["bias"], layer["kernel"][..., 0]], axis=-1)
    by_chain = draws.mean(1)
    assert np.all(np.abs(by_chain.mean(0) - mean) < 4.5 * by_chain.std(0) / 4)
    scale = np.sqrt(np.diag(covariance))
    found = np.cov(draws.reshape(-1, 3).T) / np.outer(scale, scale)
    np.testing.assert_allclose(found, covariance / np.outer(scale, scale), atol=0.12)
    assert sampled.diagnosis.functions.r_hat < 1.05 and sampled.diagnosis.divergences == 0
    assert sampled.info["acceptance"].shape == (16, 300)


def test_thinned_draws_are_every_third_and_cuts_change_nothing(key, monkeypatch):
    whole = sample(normal_target(), walk, key, chains=2, warmup=5, draws=30)
    thinned = sample(normal_target(), walk, key, chains=2, warmup=5, draws=10, thin=3)
    np.testing.assert_array_equal(thinned.draws["a"], whole.draws["a"][:, 2::3])
    np.testing.assert_array_equal(thinned.info["accepted"], whole.info["accepted"][:, 2::3])
    monkeypatch.setattr("jdl.bayes.sampling.DISPATCH_BYTES", 7 * 2 * 3 * 4)  # 7 draws at a time
    cut = sample(normal_target(), walk, key, chains=2, warmup=5, draws=30)
    np.testing.assert_array_equal(cut.draws["a"], whole.draws["a"])


def test_chains_over_four_devices_are_those_of_one(key):
    def sampler(log_density, num_warmup):
        return hmc(log_density, 0.3, 4)

    one = sample(normal_target(), sampler, key, chains=8, warmup=20, draws=20)
    four = sample(normal_target(), sampler, key, chains=8, warmup=20, draws=20, mesh=data_mesh())
    assert len(four.state.variables.params.sharding.device_set) == 4
    np.testing.assert_allclose(four.draws["a"], one.draws["a"], rtol=1e-3, atol=1e-4)


def test_a_start_without_a_finite_density_is_drawn_again(key):
    def half(key):  # of the starts are impossible
        return {"x": jax.random.normal(key, [3])}

    target = density_target(
        lambda p: jnp.where(p["x"][0] > 0, -jnp.sum(p["x"] ** 2), jnp.nan), half
    )
    sampled = sample(target, walk, key, chains=8, warmup=0, draws=8)
    assert np.isfinite(sampled.draws["x"]).all() and (sampled.draws["x"][..., 0] > 0).all()


def test_where_no_start_is_finite_the_term_is_named(linear, key):
    data = jnp.ones([3, 2]), jnp.ones([3, 1])
    target = posterior(mlp([2, 1]), dist.Uniform(5.0, 6.0), gaussian(1.0), data)
    with pytest.raises(ValueError, match=r"20 tries; not finite: prior.layers.0.bias, prior"):
        sample(target, walk, key, chains=2, warmup=0, draws=4)
    starts = jax.tree.map(lambda x: jnp.full([2, *x.shape], jnp.nan), target.init(key))
    with pytest.raises(ValueError, match=r"1 tries; not finite:.*likelihood"):
        sample(target, walk, key, chains=2, warmup=0, draws=4, starts=starts)
    with pytest.raises(ValueError, match="one start a chain, 3; got 2"):
        sample(target, walk, key, chains=3, warmup=0, draws=4, starts=starts)


def test_a_run_that_did_not_converge_says_so(key, caplog):
    def two_hills(params):
        return jnp.logaddexp(*(-0.5 * (params["x"] - c) ** 2 for c in (-20.0, 20.0)))

    target = density_target(
        two_hills, lambda key: {"x": 20 * jax.random.rademacher(key, [], float)}
    )
    starts = {"x": jnp.array([-20.0, 20.0, 20.0, -20.0])}
    with caplog.at_level(logging.WARNING):
        sampled = sample(target, walk, key, warmup=10, draws=200, starts=starts)
    assert not sampled.diagnosis.converged and sampled.diagnosis.params.r_hat > 1.5
    assert "the chains disagree" in caplog.text and "Did not converge" in str(sampled.diagnosis)


def test_an_interrupt_leaves_the_draws_so_far(key, monkeypatch):
    whole = sample(normal_target(), walk, key, chains=2, warmup=5, draws=40)

    class After(list):
        def __bool__(self):
            self.append(1)
            return len(self) > 3

    monkeypatch.setattr("jdl.bayes.sampling.interrupts", lambda: contextlib.nullcontext(After()))
    monkeypatch.setattr("jdl.bayes.sampling.DISPATCH_BYTES", 10 * 2 * 3 * 4)
    part = sample(normal_target(), walk, key, chains=2, warmup=5, draws=40)
    count = part.draws["a"].shape[1]
    assert 4 <= count < 40 and part.reason.startswith("interrupted after step")
    np.testing.assert_array_equal(part.draws["a"], whole.draws["a"][:, :count])


def test_impossible_numbers_are_refused(key):
    for wrong in ({"chains": 0}, {"draws": 3}, {"thin": 0}, {"warmup": -1}):
        with pytest.raises(ValueError, match="four draws of each"):
            sample(normal_target(), walk, key, **wrong)


def test_a_joint_sampler_of_independent_chains_is_sample(key):
    alone = sample(normal_target(), walk, key, chains=3, warmup=0, draws=5)
    joint = sample_jointly(
        normal_target(), lambda d, w: ensemble(walk(d, w)), key, chains=3, warmup=0, draws=5
    )
    np.testing.assert_array_equal(joint.draws["a"], alone.draws["a"])


def test_neals_funnel_is_drawn_in_other_parameters_and_doubted_in_its_own(key):
    """v ~ N(0, 3^2), x_i ~ N(0, exp(v)): Neal 2003, section 8; x = exp(v/2) z unfolds it."""

    def funnel(params):
        v, x = params["v"], params["x"]
        return -(v**2) / 18 - jnp.sum(x**2) * jnp.exp(-v) / 2 - x.size * v / 2

    def unfolded(params):
        return -(params["v"] ** 2) / 18 - jnp.sum(params["z"] ** 2) / 2

    def start(name):
        return lambda key: {"v": jax.random.normal(key), name: jnp.ones(9)}

    sampler = partial(adaptive_hmc, num_steps=8, jitter=0.9)
    own = sample(density_target(funnel, start("x")), sampler, key, warmup=300, draws=300)
    other = sample(density_target(unfolded, start("z")), sampler, key, warmup=300, draws=300)
    assert not own.diagnosis.converged
    assert other.diagnosis.params.r_hat < 1.02 and other.diagnosis.divergences == 0
    np.testing.assert_allclose(other.draws["v"].std(), 3.0, rtol=0.1)
    x = np.exp(other.draws["v"] / 2)[..., None] * other.draws["z"]
    # log |x_i| = v / 2 + log |z_i|: mean -0.635, variance 9/4 + pi^2/8.
    np.testing.assert_allclose(np.log(np.abs(x)).mean(), -0.6352, atol=0.25)
    np.testing.assert_allclose(np.log(np.abs(x)).var(), 9 / 4 + np.pi**2 / 8, rtol=0.15)
