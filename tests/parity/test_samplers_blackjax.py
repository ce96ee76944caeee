"""BlackJAX's samplers, with the same noise where its keys can be given to ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jdl.bayes.elliptical_slice import elliptical_slice
from jdl.bayes.hmc import hmc, leapfrog
from jdl.bayes.metropolis import metropolis, metropolis_hastings
from jdl.bayes.sghmc import sghmc
from jdl.bayes.sgld import sgld
from jdl.core import Variables

pytestmark = pytest.mark.parity

START = jnp.array([0.5, -1.0, 2.0])
KEYS = jax.random.split(jax.random.key(7), 60)
SCALE = jnp.array([0.5, 1.0, 0.7])


def log_density(x):
    """Bent and skewed, so that no step is like another."""
    return -0.5 * jnp.sum(x**2) - (x[0] - x[1] ** 2) ** 2 / 4 + jnp.sin(x[2])


def positions(step, state, position, keys=KEYS):
    """The positions of a chain that steps by (state, key) -> state."""

    def body(state, key):
        state = step(state, key)
        return state, position(state)

    return np.asarray(jax.jit(lambda: jax.lax.scan(body, state, keys)[1])())


def ours(algorithm, batch=None, keys=KEYS):
    return positions(
        lambda state, key: algorithm.step(state, batch, key)[0],
        algorithm.init(Variables(START)),
        lambda state: state.variables.params,
        keys,
    )


def theirs(algorithm):
    return positions(
        lambda state, key: algorithm.step(key, state)[0],
        algorithm.init(START),
        lambda state: state.position,
    )


def test_a_random_walk_is_theirs_draw_by_draw(oracle):
    blackjax = oracle("blackjax")

    def step(key, position):  # normal_like has a key for each leaf, of which there is one
        return SCALE * jax.random.normal(jax.random.split(key, 1)[0], position.shape)

    found = ours(metropolis(log_density, SCALE))
    expected = theirs(blackjax.additive_step_random_walk(log_density, step))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert 10 < len(np.unique(found[:, 0])) < 60  # some are accepted, some refused


def test_an_asymmetric_proposal_is_theirs_draw_by_draw(oracle):
    blackjax = oracle("blackjax")

    def propose(position, key):
        return 0.7 * position + 0.8 * jax.random.normal(key, position.shape)

    def log_proposal(to, origin):
        return -0.5 * jnp.sum((to - 0.7 * origin) ** 2) / 0.64

    chain = blackjax.rmh(
        log_density,
        lambda key, position: propose(position, key),
        lambda origin, to: log_proposal(to.position, origin.position),
    )
    found = ours(metropolis_hastings(log_density, propose, log_proposal))
    np.testing.assert_allclose(found, theirs(chain), atol=1e-5)
    assert 10 < len(np.unique(found[:, 0])) < 60


def test_a_trajectory_of_hmc_and_its_acceptance_are_theirs(oracle):
    blackjax, integrators = oracle("blackjax"), oracle("blackjax.mcmc.integrators")
    metrics = oracle("blackjax.mcmc.metrics")
    inverse_mass, momentum = jnp.array([0.5, 2.0, 1.0]), jnp.array([1.0, -0.3, 0.4])
    metric = metrics.default_metric(inverse_mass)
    verlet = integrators.velocity_verlet(log_density, metric.kinetic_energy)
    flow = jax.value_and_grad(log_density)
    state = integrators.IntegratorState(START, momentum, *flow(START))
    for _ in range(9):
        state = verlet(state, 0.2)
    q, p, value, gradient = leapfrog(flow, START, momentum, 0.2, 9, inverse_mass)
    for mine, other in zip((q, p, value, gradient), state, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)

    # Means over chains of positions, of squares and of acceptance, by Welch's test.
    def average(step, state, position, acceptance):
        def one(key):
            def body(state, key):
                state, info = step(state, key)
                return state, (position(state), acceptance(info))

            x, rate = jax.lax.scan(body, state, jax.random.split(key, 150))[1]
            return jnp.concatenate([x[30:].mean(0), (x[30:] ** 2).mean(0), rate.mean()[None]])

        return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), 400))

    chain, other = (
        hmc(log_density, 0.4, 5, inverse_mass),
        blackjax.hmc(log_density, 0.4, inverse_mass, 5),
    )
    mine = average(
        lambda state, key: chain.step(state, None, key),
        chain.init(Variables(START)),
        lambda state: state.variables.params,
        lambda info: info["acceptance"],
    )
    said = average(
        lambda state, key: other.step(key, state),
        other.init(START),
        lambda state: state.position,
        lambda info: info.acceptance_rate,
    )
    assert np.all(scipy.stats.ttest_ind(mine, said, equal_var=False).pvalue > 1e-4)
    assert 0.5 < mine[:, -1].mean() < 0.99


def test_steps_of_the_elliptical_slice_are_distributed_as_theirs(oracle):
    blackjax = oracle("blackjax")
    mean, std = jnp.array([0.0, 1.0, -1.0]), jnp.array([1.0, 2.0, 0.5])
    chain = elliptical_slice(log_density, mean, std)
    other = blackjax.elliptical_slice(log_density, mean=mean, cov=std**2)
    keys = jax.random.split(jax.random.key(3), 20000)
    state, info = jax.jit(jax.vmap(lambda k: chain.step(chain.init(Variables(START)), None, k)))(
        keys
    )
    after, said = jax.jit(jax.vmap(lambda k: other.step(k, other.init(START))))(keys)
    for axis in range(3):
        pair = state.variables.params[:, axis], after.position[:, axis]
        assert scipy.stats.ks_2samp(*map(np.asarray, pair)).pvalue > 1e-4
    tries = np.stack(
        [np.bincount(np.minimum(t, 8), minlength=9)[1:] for t in (info["num_tries"], said.subiter)]
    )
    assert scipy.stats.chi2_contingency(tries).pvalue > 1e-4


BATCH = jnp.array([[0.3, -0.2, 1.0], [1.3, 0.5, 0.0]])


def of_batch(x, batch):
    return log_density(x) - 10 / 2 * jnp.sum((x[None] - batch) ** 4)


def test_sgld_is_theirs_step_by_step_at_half_the_step_size(oracle):
    blackjax = oracle("blackjax")
    gradient = jax.grad(of_batch)
    kernel = blackjax.sgld(gradient)
    expected = positions(
        lambda x, key: kernel.step(jax.random.split(key, 1)[0], x, BATCH, 0.005, 0.5),
        START,
        lambda x: x,
    )
    found = ours(sgld(of_batch, 0.01, temperature=0.5), BATCH)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_sghmc_is_their_diffusion_with_the_gradient_after_the_move(oracle):
    # Theirs, of Ma et al. 2015, is in momenta: velocity = e p, our step size e^2, our friction
    # alpha e, our estimate e^2 beta / 2. Their kernel takes the gradient before the move, which is
    # Euler's rule and heats up; Chen et al. take it after, so the diffusion is given that one.
    e, alpha, beta = 0.05, 2.0, 3.0
    diffusion = oracle("blackjax.sgmcmc.diffusions").sghmc(alpha, beta)

    def step(state, key):
        x, momentum = state
        gradient = jax.grad(of_batch)(x + e * momentum, BATCH)
        return diffusion(jax.random.split(key, 1)[0], x, momentum, gradient, e)

    expected = positions(step, (START, jnp.zeros(3)), lambda state: state[0])
    walk = sghmc(of_batch, e**2, friction=alpha * e, noise_estimate=e**2 * beta / 2)
    np.testing.assert_allclose(ours(walk, BATCH), expected, rtol=1e-3, atol=1e-4)
