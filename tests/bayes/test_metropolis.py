"""Metropolis against a density known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

from jdl.bayes.metropolis import accept, metropolis
from jdl.core import Variables
from jdl.train import run


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

    draws = jax.jit(jax.vmap(one))(starts, jax.random.split(jax.random.key(0), 64))[:, 500:]
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

    draws = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 32))[:, 100:]
    shares = np.stack([np.mean((draws >= k) & (draws < k + 1), axis=1) for k in range(3)])
    error = shares.std(1) / np.sqrt(32)
    assert np.all(np.abs(shares.mean(1) - weights) < 4.5 * error)


def test_a_proposal_of_no_density_is_refused():
    state, proposed = {"x": jnp.array(1.0)}, {"x": jnp.array(2.0)}
    for log_ratio in [-jnp.inf, jnp.nan]:
        kept, info = accept(jax.random.key(0), jnp.array(log_ratio), proposed, state)
        assert kept["x"] == 1.0 and info["acceptance"] == 0 and info["accepted"] == 0
