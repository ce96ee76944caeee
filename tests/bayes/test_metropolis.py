"""Metropolis against a density known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

from jdl.bayes.metropolis import metropolis
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
