"""Warm-up: the acceptance aimed at is reached, the scales of the density are found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.bayes import adaptation
from jdl.bayes.adaptation import (
    DENSE,
    DIAGONAL,
    UNIT,
    adaptive_hmc,
    adaptive_metropolis,
    dual_averaging,
    start_search,
)
from jdl.core import Variables
from jdl.train import run
from tests.conformance.case import quick

SCALES = jnp.array([0.1, 1.0, 3.0])


def stretched(x):
    return -0.5 * jnp.sum((x / SCALES) ** 2)


def test_dual_averaging_equals_algorithm_5_in_numpy():
    acceptances, target, initial = [0.9, 0.2, 0.75, 1.0, 0.6], 0.65, 0.1
    state = start_search(initial)
    mean, log_final = 0.0, 0.0
    for m, acceptance in enumerate(acceptances, start=1):
        state = dual_averaging(state, jnp.array(acceptance), target=target)
        mean = (1 - 1 / (m + 10)) * mean + (target - acceptance) / (m + 10)
        log_size = np.log(10 * initial) - np.sqrt(m) / 0.05 * mean
        log_final = m**-0.75 * log_size + (1 - m**-0.75) * log_final
    np.testing.assert_allclose(state.log_size, log_size, rtol=1e-4)
    np.testing.assert_allclose(state.log_final, log_final, rtol=1e-4)


def isotropic(x):
    return -0.5 * jnp.sum(x**2)


def adapt(chain, starts, key, *, warmup, length):
    """Chains side by side: the states after warm-up, and positions and info after it."""

    def one(start, key):
        return run(
            chain,
            chain.init(Variables(start)),
            None,
            key,
            length=warmup + length,
            keep=lambda state, info: (state.variables.params, info),
        )

    state, kept = quick(jax.vmap(one))(starts, jax.random.split(key, len(starts)))
    return state, *jax.tree.map(lambda x: x[:, warmup:], kept)


def test_the_step_size_gives_the_acceptance_aimed_at_and_then_stays(key):
    chain = adaptive_hmc(isotropic, 400, num_steps=5, target=0.8, mass=UNIT, jitter=0.0)
    _, _, info = adapt(chain, jnp.ones([8, 10]), key, warmup=400, length=300)
    np.testing.assert_allclose(info["acceptance"].mean(), 0.8, atol=0.05)
    assert np.ptp(info["step_size"], axis=1).max() == 0


def test_the_scale_of_metropolis_agrees_with_the_theory_of_many_dimensions(key):
    # Roberts, Gelman, Gilks 1997: acceptance 0.234 at scale 2.38 / sqrt(dimensions).
    chain = adaptive_metropolis(isotropic, 2000, mass=UNIT)
    starts = jax.random.normal(key, [8, 50])
    _, _, info = adapt(chain, starts, key, warmup=2000, length=100)
    np.testing.assert_allclose(info["step_size"].mean(), 2.38 / np.sqrt(50), rtol=0.07)


def test_a_diagonal_mass_finds_the_variances_and_the_chain_has_the_right_moments(key):
    chain = adaptive_hmc(stretched, 400, num_steps=12)
    state, draws, info = adapt(chain, jnp.tile(SCALES, [16, 1]), key, warmup=400, length=400)
    found = np.median(state.inverse_mass, axis=0)
    np.testing.assert_allclose(found, SCALES**2, rtol=0.35, atol=0.03)
    assert 0.6 < info["acceptance"].mean() < 0.95
    np.testing.assert_allclose(draws.std((0, 1)), SCALES, rtol=0.1)


def test_a_dense_mass_finds_the_covariance_and_makes_a_correlated_density_easy(key):
    covariance = np.array([[1.0, 0.99], [0.99, 1.0]])
    precision = jnp.asarray(np.linalg.inv(covariance), jnp.float32)

    def correlated(x):
        return -0.5 * x @ precision @ x

    sizes = {}
    for name, mass in [("dense", DENSE), ("diagonal", DIAGONAL)]:
        chain = adaptive_hmc(correlated, 400, num_steps=6, mass=mass)
        state, draws, info = adapt(chain, jnp.zeros([16, 2]), key, warmup=400, length=300)
        sizes[name] = float(info["step_size"].mean())
        if name == "dense":
            found = np.median(state.inverse_mass, axis=0)
            np.testing.assert_allclose(found, covariance, atol=0.2)
            np.testing.assert_allclose(np.cov(draws.reshape(-1, 2).T), covariance, atol=0.1)
    assert sizes["dense"] > 4 * sizes["diagonal"]


def test_the_windows_are_those_of_stan():
    # 1,000 steps: 75, then windows of 25, 50, 100, 200 and the 500 that are left, then 50.
    collects, ends = adaptation.windows(1000)
    assert np.flatnonzero(ends).tolist() == [99, 149, 249, 449, 949]
    assert collects.sum() == 875 and collects[75] and not collects[74] and not collects[950]
    for short in (0, 1, 5, 20):
        adaptation.windows(short)


def test_moments_of_welford_are_numpys(key):
    draws = jax.random.normal(key, [7, 3]) * SCALES[None] + 5
    variances = np.var(draws, axis=0, ddof=1)
    for mass, expected in [(DIAGONAL, variances), (DENSE, np.cov(draws.T))]:
        moments = mass.init(draws[0])
        for draw in draws:
            moments = mass.update(moments, draw)
        np.testing.assert_allclose(moments.scatter / 6, expected, rtol=1e-4)
        if mass is DENSE:
            shrunk = expected * (7 + 5 * np.eye(3)) / 12
        else:
            shrunk = np.exp((7 * np.log(expected) + 5 * np.log(expected).mean()) / 12)
        np.testing.assert_allclose(mass.inverse_mass(moments), shrunk, rtol=1e-4)


def test_without_warm_up_nothing_is_tuned(key):
    chain = adaptive_hmc(isotropic, 0, num_steps=3, initial=0.3)
    state, _, info = adapt(chain, jnp.ones([2, 3]), key, warmup=1, length=5)
    np.testing.assert_allclose(info["step_size"], 0.3, rtol=1e-6)
    np.testing.assert_array_equal(state.inverse_mass, 1.0)


def test_a_dense_mass_of_a_tree_is_refused():
    with pytest.raises(ValueError, match="one vector; got the tree"):
        adaptive_hmc(isotropic, 10, mass=DENSE).init(Variables({"a": jnp.ones(2)}))
    with pytest.raises(ValueError, match="DIAGONAL or UNIT; got DENSE"):
        adaptive_metropolis(isotropic, 10, mass=DENSE)
