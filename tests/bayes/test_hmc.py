"""HMC: the geometry of the leapfrog, and draws from densities known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jdl.bayes import diagnostics
from jdl.bayes.hmc import hmc, kinetic_energy, leapfrog
from jdl.core import Variables
from jdl.train import run
from tests.conformance.case import quick

COVARIANCE = np.array([[1.0, 0.8], [0.8, 2.0]])
MEAN = np.array([1.0, -2.0])
PRECISION = jnp.asarray(np.linalg.inv(COVARIANCE), jnp.float32)


def gaussian(params):
    x = params["x"] - jnp.asarray(MEAN, jnp.float32)
    return -0.5 * x @ PRECISION @ x


def quartic(q):
    return -jnp.sum(q**4) / 4 - jnp.sum(q) ** 2 / 2


def draws_of(chain, *, chains=64, length=500):
    def one(variables, key):
        return run(
            chain,
            chain.init(variables),
            None,
            key,
            length=length,
            keep=lambda state, info: (state.variables.params["x"], info),
        )[1]

    starts = Variables({"x": jnp.asarray(np.tile(MEAN, (chains, 1)), jnp.float32)})
    keys = jax.random.split(jax.random.key(0), chains)
    draws, info = quick(jax.vmap(one))(starts, keys)
    return np.asarray(draws[:, 50:]), info


@pytest.fixture(scope="module")
def sampled():
    return draws_of(hmc(gaussian, 0.4, 6, jitter=0.2))


def test_leapfrog_returns_when_the_momentum_turns():
    with jax.enable_x64(True):
        flow = jax.value_and_grad(quartic)
        start, momentum = jnp.array([0.3, -1.2, 0.7]), jnp.array([1.0, 0.5, -0.8])
        inverse_mass = jnp.array([1.0, 0.5, 2.0])
        q, p, _, _ = leapfrog(flow, start, momentum, 0.05, 40, inverse_mass)
        assert np.abs(q - start).max() > 0.1
        back, turned, value, _ = leapfrog(flow, q, -p, 0.05, 40, inverse_mass)
        np.testing.assert_allclose(back, start, atol=1e-13)
        np.testing.assert_allclose(-turned, momentum, atol=1e-13)
        np.testing.assert_allclose(value, quartic(start), atol=1e-13)


def test_leapfrog_keeps_volume_and_the_symplectic_form():
    with jax.enable_x64(True):
        flow = jax.value_and_grad(quartic)

        def end(state):
            return jnp.concatenate(leapfrog(flow, state[:2], state[2:], 0.1, 7)[:2])

        jacobian = np.asarray(jax.jacfwd(end)(jnp.array([0.3, -1.2, 1.0, 0.5])))
        form = np.block([[np.zeros([2, 2]), np.eye(2)], [-np.eye(2), np.zeros([2, 2])]])
        np.testing.assert_allclose(np.linalg.det(jacobian), 1.0, rtol=1e-12)
        np.testing.assert_allclose(jacobian.T @ form @ jacobian, form, atol=1e-12)


def test_energy_error_falls_with_the_square_of_the_step():
    with jax.enable_x64(True):
        flow = jax.value_and_grad(quartic)
        start, momentum = jnp.array([0.3, -1.2]), jnp.array([1.0, 0.5])
        energy = kinetic_energy(momentum) - quartic(start)
        errors = []
        for num_steps in [40, 80, 160]:
            _, p, value, _ = leapfrog(flow, start, momentum, 2.0 / num_steps, num_steps)
            errors.append(abs(float(kinetic_energy(p) - value - energy)))
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    np.testing.assert_allclose(ratios, 4.0, rtol=0.02)


def test_leapfrog_of_a_harmonic_oscillator_equals_its_closed_form():
    # One step of a unit oscillator is a rotation in skewed coordinates by arccos(1 - size^2/2).
    with jax.enable_x64(True):
        size, num_steps = 0.5, 9
        flow = jax.value_and_grad(lambda q: -0.5 * q**2)
        q, p, _, _ = leapfrog(flow, jnp.array(1.0), jnp.array(0.0), size, num_steps)
        angle = num_steps * np.arccos(1 - size**2 / 2)
        np.testing.assert_allclose(q, np.cos(angle), rtol=1e-12)
        np.testing.assert_allclose(p, -np.sqrt(1 - size**2 / 4) * np.sin(angle), rtol=1e-12)


def test_kinetic_energy_is_of_the_inverse_mass():
    momentum = {"a": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}
    assert float(kinetic_energy(momentum)) == 7.0
    assert float(kinetic_energy(momentum, {"a": 2.0, "b": jnp.array(0.5)})) == 7.25


def test_moments_of_a_correlated_gaussian(sampled):
    draws, info = sampled
    by_chain = draws.mean(1)
    assert np.all(np.abs(by_chain.mean(0) - MEAN) < 4.5 * by_chain.std(0) / 8)
    np.testing.assert_allclose(np.cov(draws.reshape(-1, 2).T), COVARIANCE, rtol=0.06)
    assert 0.8 < info["acceptance"].mean() < 1.0
    np.testing.assert_allclose(info["acceptance"].mean(), info["accepted"].mean(), atol=0.01)
    assert info["diverged"].max() == 0


def test_marginals_pass_a_kolmogorov_smirnov_test(sampled):
    thinned = sampled[0][:, ::5].reshape(-1, 2)
    for axis in range(2):
        marginal = scipy.stats.norm(MEAN[axis], COVARIANCE[axis, axis] ** 0.5)
        assert scipy.stats.kstest(thinned[:, axis], marginal.cdf).pvalue > 1e-3
        # The test has the power to see a scale that is wrong by a fifth.
        wrong = scipy.stats.norm(MEAN[axis], 1.2 * COVARIANCE[axis, axis] ** 0.5)
        assert scipy.stats.kstest(thinned[:, axis], wrong.cdf).pvalue < 1e-3


def test_mean_of_exp_minus_energy_error_is_one(sampled):
    # E[exp(-(H' - H))] = 1 in the stationary state, for any volume-preserving reversible flow.
    ratios = np.exp(-np.asarray(sampled[1]["energy_error"][:, 50:], float))
    by_chain = ratios.mean(1)
    assert abs(by_chain.mean() - 1) < 4.5 * by_chain.std() / 8


def test_a_momentum_kicked_the_wrong_way_loses_the_density():
    flow = jax.value_and_grad(lambda q: -0.5 * jnp.sum(q**2))

    def wrong(position):
        value, gradient = flow(position)
        return value, -gradient

    start, momentum = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    ends = [leapfrog(f, start, momentum, 0.1, 30) for f in (flow, wrong)]
    energies = [float(kinetic_energy(p) + jnp.sum(q**2) / 2) for q, p, _, _ in ends]
    assert abs(energies[0] - 1.0) < 1e-2 and energies[1] > 50


def test_a_mass_fitted_to_the_scales_lets_a_stretched_gaussian_mix():
    scales = jnp.array([0.01, 10.0])

    def stretched(params):
        return -0.5 * jnp.sum((params["x"] / scales) ** 2)

    fitted, info = draws_of(hmc(stretched, 0.8, 3, {"x": scales**2}, jitter=0.2), chains=16)
    np.testing.assert_allclose(fitted.std((0, 1)), scales, rtol=0.1)
    assert info["acceptance"].mean() > 0.7
    _, info = draws_of(hmc(stretched, 0.8, 3, jitter=0.2), chains=2, length=60)
    assert info["accepted"].mean() < 0.02


def test_a_tempered_density_has_the_variance_times_the_temperature():
    draws, _ = draws_of(hmc(lambda params: gaussian(params) / 3.0, 0.7, 6, jitter=0.2), chains=32)
    np.testing.assert_allclose(np.cov(draws.reshape(-1, 2).T), 3 * COVARIANCE, rtol=0.08)


def test_a_step_too_large_diverges_and_stays():
    chain = hmc(quartic, 10.0, 10)
    state = chain.init(Variables(jnp.ones(3)))
    after, info = chain.step(state, None, jax.random.key(0))
    assert float(info["diverged"]) == 1 and float(info["accepted"]) == 0
    np.testing.assert_array_equal(after.variables.params, state.variables.params)


def test_state_keeps_its_gradient(key):
    chain = hmc(gaussian, 0.4, 6)
    state = chain.init(Variables({"x": jnp.zeros(2)}))
    state, _ = jax.jit(lambda s: run(chain, s, None, key, length=5))(state)
    gradient = jax.grad(gaussian)(state.variables.params)["x"]
    np.testing.assert_allclose(state.gradient["x"], gradient, rtol=1e-5)
    np.testing.assert_allclose(state.log_density, gaussian(state.variables.params), rtol=1e-5)


def test_draws_of_hmc_are_more_independent_than_they_are_many(sampled):
    draws = sampled[0]
    assert diagnostics.r_hat(draws).max() < 1.01
    assert diagnostics.effective_sample_size(draws).min() > 0.3 * draws.shape[0] * draws.shape[1]
