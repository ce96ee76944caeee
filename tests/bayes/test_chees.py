"""ChEES: moments of known densities, the slope of its criterion by finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.bayes.adaptation import UNIT
from jdl.bayes.chees import chees_hmc, length_slope, van_der_corput
from jdl.bayes.hmc import leapfrog
from jdl.core import Variables
from jdl.train import run
from tests.conformance.case import quick

SCALES = jnp.array([0.05, 1.0, 4.0])
CHAINS = 16


def stretched(x):
    return -0.5 * jnp.sum((x / SCALES) ** 2)


@pytest.fixture(scope="module")
def sampled():
    chains = chees_hmc(stretched, 300)
    start = jax.random.normal(jax.random.key(0), [CHAINS, 3])

    def draw(key):
        return run(
            chains,
            chains.init(Variables(start)),
            None,
            key,
            length=800,
            keep=lambda state, info: (state.variables.params, info),
        )

    state, (draws, info) = quick(draw)(jax.random.key(1))
    return state, np.asarray(draws[300:]), jax.tree.map(lambda x: x[300:], info)


def test_moments_of_a_stretched_gaussian(sampled):
    _, draws, _ = sampled
    by_chain = draws.mean(0)
    assert np.all(np.abs(by_chain.mean(0)) < 4.5 * by_chain.std(0) / np.sqrt(CHAINS))
    np.testing.assert_allclose(draws.std((0, 1)), SCALES, rtol=0.05)


def test_it_finds_mass_step_size_and_length(sampled):
    state, _, info = sampled
    np.testing.assert_allclose(state.tuning.inverse_mass, SCALES**2, rtol=0.2)
    harmonic = 1 / np.mean(1 / np.maximum(info["acceptance"], 1e-4), axis=1)
    assert 0.5 < harmonic.mean() < 0.9
    # Of a unit normal trajectories of a few units of time are best: not tens of leapfrogs.
    assert 1.0 < np.exp(state.tuning.log_time_mean) < 20.0
    assert info["num_steps"].max() < 40
    assert np.ptp(info["num_steps"], axis=1).max() == 0, "all chains go as far"


def test_the_slope_is_that_of_the_criterion_along_the_trajectory(key):
    """sum_m (|q'|^2 - |q|^2) q' . dq'/dt is the derivative in t of sum_m (|q'|^2 - |q|^2)^2 / 4."""
    inverse_mass = jnp.array([0.5, 2.0, 1.0])
    start = jax.random.normal(key, [CHAINS, 3])
    momentum = jax.random.normal(jax.random.key(7), [CHAINS, 3])
    flow = jax.value_and_grad(stretched)

    def ends(time):
        steps = 200
        return jax.vmap(lambda q, p: leapfrog(flow, q, p, time / steps, steps, inverse_mass)[:2])(
            start, momentum
        )

    def criterion(time, held):
        positions = [
            np.asarray(ends(time)[0]) - held,
            np.asarray(start) - np.asarray(start).mean(0),
        ]
        after, before = (np.sum(x**2 / np.asarray(inverse_mass), axis=1) for x in positions)
        return np.mean((after - before) ** 2) / 4

    with jax.enable_x64(True):
        inverse_mass, start, momentum = (
            jnp.asarray(np.asarray(x), float) for x in (inverse_mass, start, momentum)
        )
        end, turned = ends(0.3)
        found = length_slope(start, end, turned, jnp.ones(CHAINS), inverse_mass)
        held = np.asarray(end).mean(0)  # the mean of the chains stays, as in eq. 11
        expected = (criterion(0.3 + 1e-4, held) - criterion(0.3 - 1e-4, held)) / 2e-4
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_dense_mass_whitens_by_its_inverse(key):
    inverse_mass = jnp.array([2.0, 0.5, 1.0])
    before, after, momentum = jax.random.normal(key, [3, CHAINS, 3])
    weights = jnp.linspace(0.1, 1.0, CHAINS)
    found = length_slope(before, after, momentum, weights, jnp.diag(inverse_mass))
    expected = length_slope(before, after, momentum, weights, inverse_mass)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_without_a_mass_the_windows_leave_time_and_step_size_alone():
    chains = chees_hmc(stretched, 60, mass=UNIT)
    state = chains.init(Variables(jnp.ones([2, 3])))

    def kept(state, info):
        return state.tuning.search.count, state.tuning.log_time

    counts, times = quick(lambda key: run(chains, state, None, key, length=60, keep=kept)[1])(
        jax.random.key(0)
    )
    np.testing.assert_array_equal(counts, np.arange(1, 61))
    assert np.abs(np.diff(times)).max() < 0.36  # as far as one step of Adam goes


def test_lengths_fill_the_interval_evenly():
    sequence = [float(van_der_corput(jnp.array(i))) for i in range(7)]
    assert sequence == [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]


def test_one_chain_is_refused():
    with pytest.raises(ValueError, match="two or more; got 1"):
        chees_hmc(stretched, 10).init(Variables(jnp.ones([1, 3])))
