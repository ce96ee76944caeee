"""BlackJAX's microcanonical integrator and refreshment, on the same inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.bayes.mclmc import mclmc, minimal_norm
from jdl.core import Variables

pytestmark = pytest.mark.parity

START, VELOCITY = jnp.array([0.5, -1.0, 2.0]), jnp.array([0.6, -0.48, 0.64])
MASS = jnp.array([0.5, 2.0, 1.0])


def log_density(x):
    return -0.5 * jnp.sum(x**2) - (x[0] - x[1] ** 2) ** 2 / 4 + jnp.sin(x[2])


def test_a_trajectory_and_its_energy_are_theirs(oracle):
    integrators = oracle("blackjax.mcmc.integrators")
    flow = jax.value_and_grad(log_density)
    step = integrators.isokinetic_mclachlan(log_density, MASS)
    theirs = integrators.IntegratorState(START, VELOCITY, *flow(START))
    ours = (START, VELOCITY, *flow(START))
    for _ in range(9):
        before = theirs.logdensity
        theirs, kinetic = step(theirs, 0.4)
        ours, change = minimal_norm(flow, ours, 0.4, MASS)
        np.testing.assert_allclose(change, kinetic - (theirs.logdensity - before), atol=2e-5)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_the_refreshment_is_theirs(oracle):
    integrators = oracle("blackjax.mcmc.integrators")
    flow = jax.value_and_grad(log_density)
    (_, velocity, *_), _ = minimal_norm(flow, (START, VELOCITY, *flow(START)), 0.4)
    chain = mclmc(log_density, 0.4, 1.5)
    state = chain.init(Variables(START))._replace(velocity=VELOCITY)
    key = jax.random.key(3)
    after, _ = chain.step(state, None, key)
    own = jax.random.split(key, 1)[0]
    expected = integrators.partially_refresh_momentum(velocity, own, 0.4, 1.5)
    np.testing.assert_allclose(after.velocity, expected, atol=1e-6)
