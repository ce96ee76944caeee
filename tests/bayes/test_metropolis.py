"""Metropolis-Hastings: densities in closed form, enumeration, and walks of the Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jdl.bayes.metropolis import (
    accept,
    hessian_metropolis,
    metropolis,
    metropolis_hastings,
    soft_absolute,
)
from jdl.core import Variables
from jdl.train import run
from tests.conformance.case import quick


def test_moments_of_a_correlated_gaussian():
    covariance = jnp.array([[1.0, 0.8], [0.8, 2.0]])
    precision = jnp.linalg.inv(covariance)
    chain = metropolis(lambda p: -0.5 * p["x"] @ precision @ p["x"], scale=1.5)
    starts = Variables({"x": jnp.zeros([64, 2])})

    def one(variables, key):
        return run(
            chain,
            chain.init(variables),
            None,
            key,
            length=2000,
            keep=lambda s, i: s.variables.params["x"],
        )[1]

    draws = quick(jax.vmap(one))(starts, jax.random.split(jax.random.key(0), 64))[:, 500:]
    by_chain = draws.mean(1)  # 64 independent estimates give the standard error
    error = by_chain.std(0) / 8
    assert np.all(np.abs(by_chain.mean(0)) < 4.5 * error)
    np.testing.assert_allclose(jnp.cov(draws.reshape(-1, 2).T), covariance, rtol=0.06)


def test_a_flat_density_accepts_every_proposal():
    chain = metropolis(lambda p: jnp.zeros([]), scale=1.0)
    _, info = run(chain, chain.init(Variables(jnp.zeros([3]))), None, jax.random.key(0), length=20)
    assert float(info["accepted"].min()) == 1.0


def test_a_tree_of_scales_moves_each_entry_by_its_own():
    chain = metropolis(lambda p: jnp.zeros([]), scale={"a": jnp.array([0.0, 2.0]), "b": 5.0})
    start = Variables({"a": jnp.zeros(2), "b": jnp.zeros(3000)})
    state, _ = chain.step(chain.init(start), None, jax.random.key(0))
    moved = state.variables.params
    assert moved["a"][0] == 0 and moved["a"][1] != 0
    np.testing.assert_allclose(moved["b"].std(), 5.0, rtol=0.05)


def test_one_chain_visits_three_states_as_often_as_they_are_probable():
    # A density constant on [0, 1), [1, 2) and [2, 3), 0 elsewhere: weights 1 : 2 : 4.
    weights = jnp.array([1.0, 2.0, 4.0]) / 7

    def log_density(x):
        inside = (x >= 0) & (x < 3)
        return jnp.where(inside, jnp.log(weights[jnp.clip(x, 0, 2).astype(int)]), -jnp.inf)

    chain = metropolis(log_density, scale=1.5)

    def one(key):
        state = chain.init(Variables(jnp.array(1.5)))
        return run(chain, state, None, key, length=2000, keep=lambda s, i: s.variables.params)[1]

    draws = quick(jax.vmap(one))(jax.random.split(jax.random.key(0), 32))[:, 100:]
    shares = np.stack([np.mean((draws >= k) & (draws < k + 1), axis=1) for k in range(3)])
    error = shares.std(1) / np.sqrt(32)
    assert np.all(np.abs(shares.mean(1) - weights) < 4.5 * error)


def test_a_proposal_of_no_density_is_refused():
    state, proposed = {"x": jnp.array(1.0)}, {"x": jnp.array(2.0)}
    for log_ratio in [-jnp.inf, jnp.nan]:
        kept, info = accept(jax.random.key(0), jnp.array(log_ratio), proposed, state)
        assert kept["x"] == 1.0 and info["acceptance"] == 0 and info["accepted"] == 0


def autoregressive(position, key):
    """Leaves N(0, 1) invariant and is reversible: every proposal of it is to be taken."""
    return 0.8 * position + 0.6 * jax.random.normal(key, position.shape)


def log_autoregressive(to, origin):
    return -0.5 * jnp.sum((to - 0.8 * origin) ** 2) / 0.36


def acceptance_of(log_proposal):
    chain = metropolis_hastings(lambda x: -0.5 * jnp.sum(x**2), autoregressive, log_proposal)

    def rates(key):
        state = chain.init(Variables(jnp.array([2.0, -1.0])))
        return run(chain, state, None, key, length=50)[1]["acceptance"]

    return quick(rates)(jax.random.key(0))


def test_a_proposal_reversible_for_the_density_is_always_taken():
    np.testing.assert_allclose(acceptance_of(log_autoregressive), 1.0, atol=1e-5)
    # The ratio as 004 prints it in eq. 9.11, and the ratio without proposals, refuse some.
    assert acceptance_of(lambda to, origin: log_autoregressive(origin, to)).min() < 0.7
    assert acceptance_of(lambda to, origin: 0.0).min() < 0.7


def test_one_step_on_four_states_is_the_transition_matrix_by_enumeration():
    target = np.array([0.1, 0.2, 0.3, 0.4])
    proposal = np.random.default_rng(0).dirichlet(np.ones(4), size=4)  # [origin, to]
    ratio = (target[None] * proposal.T) / (target[:, None] * proposal)
    expected = proposal * np.minimum(1, ratio)
    np.fill_diagonal(expected, 0)
    np.fill_diagonal(expected, 1 - expected.sum(1))
    np.testing.assert_allclose(target @ expected, target, rtol=1e-12)

    logs, log_target = jnp.log(jnp.array(proposal)), jnp.log(jnp.array(target))
    chain = metropolis_hastings(
        lambda x: log_target[x],
        lambda x, key: jax.random.categorical(key, logs[x]).astype(x.dtype),
        lambda to, origin: logs[origin, to],
    )
    count = 20000

    def after(origin, key):
        state = chain.step(chain.init(Variables(origin)), None, key)[0]
        return state.variables.params

    keys = jax.random.split(jax.random.key(0), 4 * count)
    ends = quick(jax.vmap(after))(jnp.repeat(jnp.arange(4), count), keys).reshape(4, count)
    shares = np.stack([np.mean(ends == k, 1) for k in range(4)], 1)
    error = np.sqrt(expected * (1 - expected) / count)
    assert np.all(np.abs(shares - expected) < 4.5 * error + 1e-9)


ROTATION = jnp.array([[0.8, -0.6], [0.6, 0.8]])


def gumbel(params):
    """Two logarithms of exponential variables, turned: the curvature exp(y) is anything > 0."""
    y = ROTATION.T @ jnp.stack([params["a"], params["b"]])
    return jnp.sum(y - jnp.exp(y))


def drift(chain):
    """z of what a few steps change in the mean of some functions, started from exact draws."""
    y = jnp.log(jax.random.exponential(jax.random.key(1), [10000, 2]))
    start = y @ ROTATION.T

    def after(point, key):
        state = chain.init(Variables({"a": point[0], "b": point[1]}))
        params = run(chain, state, None, key, length=2)[0].variables.params
        return ROTATION.T @ jnp.stack([params["a"], params["b"]])

    end = quick(jax.vmap(after))(start, jax.random.split(jax.random.key(2), len(start)))
    change = np.stack([f(end) - f(y) for f in (lambda y: y, lambda y: y**2, jnp.exp, jnp.cos)])
    return np.abs(change.mean(1)) / (change.std(1) / np.sqrt(len(start)))


def curved_proposal(log_density, scale, floor):
    """The proposal of `hessian_metropolis` by dense matrices: a covariance, and its density."""

    def covariance(position):
        flat, unravel = ravel_pytree(position)
        h, vectors = jnp.linalg.eigh(jax.hessian(lambda x: -log_density(unravel(x)))(flat))
        return scale**2 * (vectors / soft_absolute(h, floor)[None]) @ vectors.T

    def propose(position, key):
        flat, unravel = ravel_pytree(position)
        values, vectors = jnp.linalg.eigh(covariance(position))
        root = (vectors * jnp.sqrt(values)[None]) @ vectors.T
        return unravel(flat + root @ jax.random.normal(key, flat.shape, flat.dtype))

    def log_proposal(to, origin):
        return jax.scipy.stats.multivariate_normal.logpdf(
            ravel_pytree(to)[0], ravel_pytree(origin)[0], covariance(origin)
        )

    return propose, log_proposal


def both(state, info):
    return state.variables.params, info


def test_the_hessian_walk_leaves_a_density_of_changing_curvature_invariant():
    assert drift(hessian_metropolis(gumbel, 1.0, floor=0.1)).max() < 4.5
    # With the symmetric ratio, eq. 9.12 of 004, it does not.
    propose, _ = curved_proposal(gumbel, 1.0, 0.1)
    assert drift(metropolis_hastings(gumbel, propose, lambda to, origin: 0.0)).max() > 15


def test_the_hessian_walk_is_metropolis_hastings_with_its_proposal():
    with jax.enable_x64(True):

        def density(params):  # neither concave nor convex
            x = jnp.concatenate([params["a"], params["b"][None]])
            return -jnp.sum((x**2 - 1.0) ** 2) - x[0] * x[2]

        start = Variables({"a": jnp.array([0.3, -0.2]), "b": jnp.array(1.1)})
        one = hessian_metropolis(density, 0.7, floor=0.5)
        other = metropolis_hastings(density, *curved_proposal(density, 0.7, 0.5))

        def walk(chain):
            state = chain.init(start)
            return run(chain, state, None, jax.random.key(3), length=40, keep=both)[1]

        (draws, info), (others, said) = quick(lambda: (walk(one), walk(other)))()
    for name in draws:
        np.testing.assert_allclose(draws[name], others[name], atol=1e-10)
    np.testing.assert_allclose(info["acceptance"], said["acceptance"], atol=1e-10)
    assert 0 < np.asarray(info["accepted"]).mean() < 1


def test_the_hessian_walk_mixes_on_a_stretched_gaussian_as_on_a_round_one():
    scales = jnp.array([0.01, 30.0])

    @quick
    def accepted(scales):
        chain = hessian_metropolis(lambda x: -0.5 * jnp.sum((x / scales) ** 2), 1.0, floor=1e-5)
        state = chain.init(Variables(jnp.zeros(2)))
        draws, info = run(chain, state, None, jax.random.key(0), length=200, keep=both)[1]
        return draws / scales[None], info["acceptance"]

    # In the units of its standard deviations the walk is the same, move for move.
    (draws, info), (plain, said) = accepted(scales), accepted(jnp.ones(2))
    np.testing.assert_allclose(info, said, atol=0.02)
    np.testing.assert_allclose(draws, plain, atol=0.02)


def test_a_soft_absolute_value_is_even_and_above_its_floor():
    x = jnp.array([-100.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 100.0])
    y = np.asarray(soft_absolute(x, 0.5))
    np.testing.assert_allclose(y, y[::-1], rtol=1e-6)
    np.testing.assert_allclose(y[[0, 3, 5]], [100.0, 0.5, 1 / np.tanh(2.0)], rtol=1e-6)
    assert y.min() >= 0.5 - 1e-7
    with pytest.raises(ValueError, match="floor is the least curvature"):
        hessian_metropolis(gumbel, 1.0, floor=0.0)
