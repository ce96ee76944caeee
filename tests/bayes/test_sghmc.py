"""Stochastic gradient HMC: its stationary covariance solves a Lyapunov equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jdl.bayes.metropolis import normal_like
from jdl.bayes.sghmc import sghmc
from jdl.core import Variables
from jdl.train import run

CHAINS = 8000


def states(walk, start, batches, *, length=None, chains=CHAINS):
    """The last states and the infos of independent walks; batches [chains, steps, ...]."""

    def one(batches, key):
        state, info = run(walk, walk.init(Variables(start)), batches, key, length=length)
        return state, info

    axes = None if batches is None else 0
    keys = jax.random.split(jax.random.key(0), chains)
    return jax.jit(jax.vmap(one, (axes, 0)))(batches, keys)


def lyapunov(size, curvature, friction, noise, estimate):
    """The covariance of (position, velocity) of the linear recursion."""
    turned = size * curvature
    matrix = np.array([[1.0, 1.0], [-turned, 1 - friction - turned]])
    added = 2 * (friction - estimate) * size + (size * noise) ** 2
    return scipy.linalg.solve_discrete_lyapunov(matrix, np.diag([0.0, added]))


def test_the_covariance_with_the_velocity_is_that_of_the_linear_recursion():
    friction = 0.3
    cases = np.array([(0.05, 0.0, 0.0), (0.5, 0.0, 0.0), (0.1, 2.0, 0.0), (0.1, 2.0, 0.2)])

    def one(size, noise, estimate, batches, key):
        walk = sghmc(
            lambda x, batch: -0.5 * (x - noise * batch) ** 2,
            size,
            friction=friction,
            noise_estimate=estimate,
        )
        state = run(walk, walk.init(Variables(jnp.zeros([]))), batches, key)[0]
        return jnp.stack([state.variables.params, state.velocity])

    def chain(batches, key):
        columns = jnp.asarray(cases, jnp.float32).T
        return jax.vmap(one, (0, 0, 0, None, 0))(*columns, batches, jax.random.split(key, 4))

    batches = jax.random.normal(jax.random.key(1), [CHAINS, 150])
    keys = jax.random.split(jax.random.key(0), CHAINS)
    ends = np.asarray(jax.jit(jax.vmap(chain))(batches, keys))  # [chains, case, which]
    found = [np.cov(ends[:, case].T) for case in range(4)]
    for covariance, (size, noise, estimate) in zip(found, cases, strict=True):
        exact = lyapunov(size, 1.0, friction, noise, estimate)
        spread = np.sqrt((np.outer(np.diag(exact), np.diag(exact)) + exact**2) / CHAINS)
        assert np.all(np.abs(covariance - exact) < 4.5 * spread)
    variances = [covariance[0, 0] for covariance in found]
    assert variances[2] > 1.5  # noise of the gradients heats the draws, unless it is estimated
    np.testing.assert_allclose([variances[0], variances[3]], 1.0, rtol=0.1)  # size noise^2 / 2


def test_one_step_equals_its_formula_in_numpy():
    def density(params, batch):
        return -jnp.sum(batch * params["w"] ** 2) / 2

    inverse_mass = {"w": jnp.array([0.5, 2.0])}
    walk = sghmc(
        density,
        lambda count: 0.1 / (1 + count),
        friction=0.2,
        noise_estimate={"w": jnp.array([0.0, 0.1])},
        inverse_mass=inverse_mass,
    )
    state = walk.init(Variables({"w": jnp.array([1.0, -2.0])}))
    w, v, batch = np.array([1.0, -2.0]), np.zeros(2), jnp.array([1.0, 3.0])
    for count in range(3):
        key = jax.random.key(count)
        noise = np.asarray(normal_like(key, state.variables.params)["w"])
        state, info = jax.jit(walk.step)(state, batch, key)
        sizes = 0.1 / (1 + count) * np.array([0.5, 2.0])
        w = w + v
        v = 0.8 * v - sizes * np.asarray(batch) * w
        v = v + np.sqrt(2 * np.array([0.2, 0.1]) * sizes) * noise
        np.testing.assert_allclose(state.variables.params["w"], w, rtol=1e-5)
        np.testing.assert_allclose(state.velocity["w"], v, rtol=1e-5)
        np.testing.assert_allclose(info["kinetic"], np.sum(v**2 / sizes) / 2, rtol=1e-5)
        np.testing.assert_allclose(info["log_density"], -np.sum(batch * w**2) / 2, rtol=1e-5)


def test_a_mass_fitted_to_the_scales_draws_a_stretched_gaussian():
    scales, mean = np.array([0.01, 10.0]), np.array([0.5, -30.0])

    def density(params, batch):
        units = (params["x"] - jnp.asarray(mean, jnp.float32)) / jnp.asarray(scales, jnp.float32)
        return -0.5 * jnp.sum(units**2)

    walk = sghmc(density, 0.02, friction=0.2, inverse_mass={"x": jnp.asarray(scales) ** 2})
    last, info = states(walk, {"x": jnp.asarray(mean, jnp.float32)}, None, length=200, chains=3000)
    units = (np.asarray(last.variables.params["x"]) - mean) / scales
    assert np.all(np.abs(units.mean(0)) < 4.5 / np.sqrt(3000))
    np.testing.assert_allclose(np.cov(units.T), np.eye(2), atol=0.12)
    kinetic = lyapunov(0.02, 1.0, 0.2, 0.0, 0.0)[1, 1] / 0.02  # of two entries, each half of it
    np.testing.assert_allclose(info["kinetic"][:, -50:].mean(), kinetic, rtol=0.02)
    np.testing.assert_allclose(kinetic, 1 / (1 - 0.2 / 2), rtol=0.02)


def test_less_noise_than_the_friction_asks_for_cools_the_draws():
    # An estimate where there is no noise of the gradient is a temperature of 1 - estimate/friction.
    walk = sghmc(lambda x, batch: -0.5 * x**2, 0.05, friction=0.2, noise_estimate=0.15)
    last, _ = states(walk, jnp.zeros([]), None, length=150, chains=3000)
    np.testing.assert_allclose(np.var(last.variables.params), 0.25, rtol=0.13)


@pytest.mark.parametrize("friction, estimate", [(0.0, 0.0), (1.5, 0.0), (0.1, 0.2), (0.1, -0.1)])
def test_noise_of_a_negative_variance_is_refused(friction, estimate):
    with pytest.raises(ValueError, match="0 <= noise_estimate <= friction"):
        sghmc(lambda x, batch: -(x**2), 0.1, friction=friction, noise_estimate=estimate)
