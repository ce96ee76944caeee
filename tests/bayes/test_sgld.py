"""Langevin dynamics of mini-batches: the variances of linear recursions, known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.bayes.metropolis import normal_like
from jdl.bayes.sgld import cosine_cycles, cyclical, psgld, sgld
from jdl.core import Variables
from jdl.train import run

CHAINS = 8000


def ends(walk, start, batches, *, length=None, chains=CHAINS, seed=0):
    """The params of independent walks after their last step; batches [chains, steps, ...]."""

    def one(batches, key):
        state = walk.init(Variables(start))
        return run(walk, state, batches, key, length=length)[0].variables.params

    axes = None if batches is None else 0
    keys = jax.random.split(jax.random.key(seed), chains)
    return np.asarray(jax.jit(jax.vmap(one, (axes, 0)))(batches, keys))


def quadratic(curvature):
    """Of curvature h around the batch, so that the batch's spread is noise of the gradient."""
    return lambda x, batch: -0.5 * curvature * jnp.sum((x - batch) ** 2)


def test_the_variance_is_that_of_the_linear_recursion():
    sizes, curvatures, noises = np.array(
        [(0.02, 5.0, 0.0), (1.0, 1.0, 0.0), (1.0, 1.0, 2.0), (0.3, 4.0, 3.0)]
    ).T
    batches = jax.random.normal(jax.random.key(1), [CHAINS, 80, 4])
    batches *= jnp.asarray(noises / curvatures, jnp.float32)[None, None]

    def one(batches, key):
        def walk(size, curvature, batches, key):
            own = sgld(quadratic(curvature), size)
            return run(own, own.init(Variables(jnp.zeros([]))), batches, key)[0].variables.params

        return jax.vmap(walk, (0, 0, 1, 0))(
            jnp.asarray(sizes), jnp.asarray(curvatures), batches, jax.random.split(key, 4)
        )

    draws = np.asarray(jax.jit(jax.vmap(one))(batches, jax.random.split(jax.random.key(0), CHAINS)))
    exact = (1 + sizes * noises**2 / 4) / (1 - sizes * curvatures / 4) / curvatures
    error = exact * np.sqrt(2 / CHAINS)
    assert np.all(np.abs(draws.var(0) - exact) < 4.5 * error)
    assert np.all(np.abs(draws.mean(0)) < 4.5 * np.sqrt(exact / CHAINS))
    np.testing.assert_allclose(draws.var(0)[0], 1 / curvatures[0], rtol=0.08)
    # A large step inflates, and so does noise of the gradients.
    assert np.all((draws.var(0) - 1 / curvatures)[1:] > 10 * error[1:])


def test_a_correlated_gaussian_at_small_steps():
    precision = np.array([[2.0, -1.2], [-1.2, 1.5]])
    mean, size = np.array([1.0, -2.0]), 0.1

    def log_density(x, batch):
        move = x - jnp.asarray(mean, jnp.float32)
        return -0.5 * move @ jnp.asarray(precision, jnp.float32) @ move

    draws = ends(sgld(log_density, size), jnp.zeros(2), None, length=200)
    exact = np.linalg.inv(precision @ (np.eye(2) - size / 4 * precision))
    spread = np.sqrt((np.outer(np.diag(exact), np.diag(exact)) + exact**2) / CHAINS)
    assert np.all(np.abs(np.cov(draws.T) - exact) < 4.5 * spread)
    assert np.all(np.abs(draws.mean(0) - mean) < 4.5 * np.sqrt(np.diag(exact) / CHAINS))
    np.testing.assert_allclose(exact, np.linalg.inv(precision), rtol=0.1)


def test_at_temperature_zero_it_is_stochastic_gradient_ascent_at_half_the_step():
    schedule = optax.exponential_decay(0.2, 1, 0.9)
    batches = jax.random.normal(jax.random.key(0), [6, 3])
    start = {"a": jnp.array([2.0, -1.0]), "b": jnp.array(0.5)}

    def density(params, batch):
        return -jnp.sum(params["a"] ** 4) - (params["b"] - batch.sum()) ** 2

    walk = sgld(density, schedule, temperature=0.0)
    state, info = run(walk, walk.init(Variables(start)), batches, jax.random.key(0))
    optimizer = optax.sgd(lambda count: schedule(count) / 2)
    params, rest = start, optimizer.init(start)
    slope = jax.jit(jax.grad(lambda params, batch: -density(params, batch)))
    for batch in batches:
        gradient = slope(params, batch)
        updates, rest = optimizer.update(gradient, rest)
        params = optax.apply_updates(params, updates)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), state.variables.params, params
    )
    np.testing.assert_allclose(info["step_size"], 0.2 * 0.9 ** np.arange(6), rtol=1e-5)
    np.testing.assert_allclose(info["log_density"][0], density(start, batches[0]), rtol=1e-6)
    assert state.count == 6


def test_steps_that_shrink_take_the_bias_away():
    # Welling and Teh 2011, eq. 2: the exact variance of the recursion falls to that of the density.
    def variance(sizes, curvature=1.0, noise=2.0):
        value = 0.0
        for e in sizes:
            value = (1 - e * curvature / 2) ** 2 * value + e + e**2 * noise**2 / 4
        return value

    sizes = np.array([float(s) for s in (1.0 * (1 + np.arange(4000)) ** -0.6)])
    assert abs(variance(sizes) - 1) < 0.02 < 0.5 < variance(np.ones(200)) - 1
    walk = sgld(quadratic(1.0), lambda count: (1.0 + count) ** -0.6)
    batches = 2.0 * jax.random.normal(jax.random.key(1), [2000, 200])
    draws = ends(walk, jnp.zeros([]), batches, chains=2000)
    exact = variance(sizes[:200])
    assert abs(draws.var() - exact) < 4.5 * exact * np.sqrt(2 / 2000)


def test_psgld_equals_its_formula_in_numpy():
    def density(params, batch):
        return -jnp.sum(batch * params["w"] ** 2) / 2 + params["b"]

    batches = jnp.arange(1.0, 7.0).reshape(3, 2)
    walk = psgld(density, 0.1, decay=0.9, damping=0.5)
    state = walk.init(Variables({"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.0)}))
    w, b = np.array([1.0, -2.0]), 0.0
    squares = None
    for count, batch in enumerate(batches):
        key = jax.random.key(count)
        noise = normal_like(key, state.variables.params)
        state, info = jax.jit(walk.step)(state, batch, key)
        gradients = -np.asarray(batch) * w, 1.0
        if squares is None:
            squares = [g**2 for g in gradients]
        squares = [0.9 * v + 0.1 * g**2 for v, g in zip(squares, gradients, strict=True)]
        factors = [1 / (0.5 + np.sqrt(v)) for v in squares]
        w = w + 0.05 * factors[0] * gradients[0] + np.sqrt(0.1 * factors[0]) * noise["w"]
        b = b + 0.05 * factors[1] * gradients[1] + np.sqrt(0.1 * factors[1]) * noise["b"]
        np.testing.assert_allclose(state.variables.params["w"], w, rtol=1e-5)
        np.testing.assert_allclose(state.variables.params["b"], b, rtol=1e-5)
    mean = (factors[0].sum() + factors[1]) / 3
    np.testing.assert_allclose(info["preconditioner"], mean, rtol=1e-5)


def test_psgld_draws_a_stretched_gaussian_if_its_memory_is_long():
    scales = np.array([0.5, 2.0])

    def density(x, batch):
        return -0.5 * jnp.sum((x / jnp.asarray(scales, jnp.float32)) ** 2)

    def spread(decay, length):
        walk = psgld(density, 0.1, decay=decay)
        draws = ends(walk, jnp.asarray(scales, jnp.float32), None, length=length, chains=1500)
        return draws.std(0) / scales

    np.testing.assert_allclose(spread(0.998, 800), 1.0, atol=0.06)
    assert np.abs(spread(0.0, 200) - 1).min() > 0.2  # without one, the missing Gamma is not small


def test_variances_of_a_cycle_are_those_of_the_recursion():
    period, curvature = 20, 2.0
    walk = cyclical(quadratic(curvature), 1.5, period, exploration=0.3)
    sizes = 1.5 / 2 * (1 + np.cos(np.pi * (np.arange(40) % period) / period))
    sampling = np.arange(40) % period >= 6
    exact, value = [], 0.0
    for e, noisy in zip(sizes, sampling, strict=True):
        value = (1 - e * curvature / 2) ** 2 * value + e * noisy
        exact.append(value)

    def one(key):
        state = walk.init(Variables(jnp.zeros([])))
        return run(
            walk, state, jnp.zeros(40), key, keep=lambda state, info: (state.variables.params, info)
        )[1]

    draws, info = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), CHAINS))
    np.testing.assert_allclose(info["step_size"][0], sizes, rtol=1e-4)
    np.testing.assert_array_equal(info["sampling"][0], sampling)
    draws, exact = np.asarray(draws), np.array(exact)
    assert np.all(np.abs(draws.var(0) - exact) <= 4.5 * np.sqrt(2 / CHAINS) * exact)
    assert np.all(draws[:, :6] == 0)  # no noise at the top of the density


def test_a_cycle_is_a_cosine_that_starts_at_its_peak():
    schedule = cosine_cycles(0.4, 4)
    found = [float(schedule(jnp.int32(k))) for k in range(5)]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        found, [0.4, 0.2 * (1 + half), 0.2, 0.2 * (1 - half), 0.4], rtol=1e-6
    )


def test_mistakes_are_told():
    density = quadratic(1.0)
    for wrong in [
        lambda: psgld(density, 0.1, decay=1.0),
        lambda: psgld(density, 0.1, damping=0.0),
        lambda: cyclical(density, 0.1, 10, exploration=1.5),
        lambda: cyclical(density, 0.1, 0),
    ]:
        with pytest.raises(ValueError, match="expected|is a"):
            wrong()
