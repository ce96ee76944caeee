"""Microcanonical Langevin: its step on the sphere, moments of known densities, and its tuning."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.bayes.adaptation import DENSE, DIAGONAL
from jdl.bayes.densities import density_target
from jdl.bayes.mclmc import adaptive_mclmc, mclmc, minimal_norm
from jdl.bayes.sampling import sample
from jdl.core import Variables
from jdl.train import run

FACTOR = jnp.array(
    [[0.3, 0.0, 0.0, 0.0], [0.5, 1.0, 0.0, 0.0], [-1.0, 0.4, 2.0, 0.0], [0.0, 0.1, 0.5, 1.5]]
)
PRECISION = jnp.linalg.inv(FACTOR @ FACTOR.T)
SCALES = jnp.array([0.3, 1.0, 1.0, 2.0, 3.0, 0.5])
CHAINS = 128


def correlated(x):
    return -0.5 * x @ PRECISION @ x


def stretched(x):
    return -0.5 * jnp.sum((x / SCALES) ** 2)


def bent(x):
    return -0.5 * jnp.sum(x**2) - (x[0] - x[1] ** 2) ** 2 / 4 + jnp.sin(x[2])


def begun(position, velocity, flow):
    return (position, velocity / jnp.linalg.norm(velocity), *flow(position))


def trajectory(flow, start, step_size, num_steps, inverse_mass=1.0):
    """Where `num_steps` steps lead, and the energy change of all."""

    def body(start, _):
        return minimal_norm(flow, start, step_size, inverse_mass)

    end, changes = jax.jit(lambda start: jax.lax.scan(body, start, None, length=num_steps))(start)
    return end, changes.sum()


def test_the_velocity_stays_a_unit_vector_and_turned_around_leads_back():
    with jax.enable_x64(True):
        flow, inverse_mass = jax.value_and_grad(bent), jnp.array([0.5, 2.0, 1.0])
        start = begun(jnp.array([0.5, -1.0, 2.0]), jnp.array([1.0, -0.3, 0.4]), flow)
        end, change = trajectory(flow, start, 0.3, 20, inverse_mass)
        np.testing.assert_allclose(jnp.linalg.norm(end[1]), 1.0, rtol=1e-12)
        assert np.abs(end[0] - start[0]).max() > 0.5
        back, undone = trajectory(flow, (end[0], -end[1], *end[2:]), 0.3, 20, inverse_mass)
        np.testing.assert_allclose(back[0], start[0], atol=1e-10)
        np.testing.assert_allclose(back[1], -start[1], atol=1e-10)
        np.testing.assert_allclose(undone, -change, atol=1e-10)


def test_the_energy_changes_by_the_square_of_the_step():
    with jax.enable_x64(True):
        flow = jax.value_and_grad(bent)
        start = begun(jnp.array([0.5, -1.0, 2.0]), jnp.array([1.0, -0.3, 0.4]), flow)
        coarse, fine = (float(trajectory(flow, start, 4.0 / n, n)[1]) for n in (20, 40))
    assert 1e-6 < abs(coarse) < 1e-1
    np.testing.assert_allclose(coarse / fine, 4.0, rtol=0.05)


def test_the_velocity_turns_towards_the_gradient_by_its_part_across_over_d_minus_1():
    with jax.enable_x64(True):
        flow = jax.value_and_grad(bent)
        start = begun(jnp.array([0.5, -1.0, 2.0]), jnp.array([1.0, -0.3, 0.4]), flow)
        (_, velocity, *_), _ = minimal_norm(flow, start, 1e-5)
        gradient, unit = start[3], start[1]
        expected = (gradient - unit * (unit @ gradient)) / (3 - 1)  # du/dt of the paper
        np.testing.assert_allclose((velocity - unit) / 1e-5, expected, atol=1e-4)


@pytest.fixture(scope="module")
def by_step():
    """Draws [steps, CHAINS, draws, 4] of chains that start with exact ones, and energies."""

    def one(step_size, key):
        key_start, key_init, key_run = jax.random.split(key, 3)
        chain = mclmc(correlated, step_size, 2.0, num_steps=8)
        state = chain.init(Variables(FACTOR @ jax.random.normal(key_start, [4])), key_init)
        keep = lambda state, info: (state.variables.params, info["energy_variance"])  # noqa: E731
        return run(chain, state, None, key_run, length=80, keep=keep)[1]

    keys = jax.random.split(jax.random.key(3), CHAINS)
    program = jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))
    draws, energy = program(jnp.array([0.1, 0.5, 1.1]), keys)
    return np.asarray(draws), np.asarray(energy).mean((1, 2))


def z_scores(by_chain, expected):
    return (by_chain.mean(0) - expected) / (by_chain.std(0) / np.sqrt(CHAINS))


def squares(draws):
    """The mean of x' precision x of each chain; 4 is right."""
    return np.einsum("cti,ij,ctj->ct", draws, PRECISION, draws).mean(1)


def test_small_steps_have_the_moments_of_a_correlated_gaussian(by_step):
    draws = by_step[0][0]
    assert np.abs(z_scores(draws.mean(1), 0.0)).max() < 4.5
    products = np.einsum("cti,ctj->cij", draws, draws) / draws.shape[1]
    assert np.abs(z_scores(products, FACTOR @ FACTOR.T)).max() < 4.5
    assert abs(z_scores(squares(draws), 4.0)) < 4.5


def test_the_bias_grows_with_the_step_and_the_energy_tells(by_step):
    draws, energy = by_step
    _, medium, large = (squares(x) for x in draws)
    assert abs(z_scores(large, 4.0)) > 4.5
    assert abs(medium.mean() - 4.0) < abs(large.mean() - 4.0) / 2
    assert energy[0] < energy[1] / 100 < energy[2] / 1000


def test_a_step_without_a_finite_energy_is_not_made_and_the_velocity_is_drawn_anew():
    chain = mclmc(lambda x: jnp.where(x[0] > 1.0, -jnp.inf, -0.5 * x @ x), 2.0, 5.0)
    state = chain.init(Variables(jnp.array([0.9, 0.0, 0.0])))
    state = state._replace(velocity=jnp.array([1.0, 0.0, 0.0]))
    after, info = chain.step(state, None, jax.random.key(0))
    assert info["diverged"] == 1 and info["energy_change"] == 0
    np.testing.assert_array_equal(after.variables.params, state.variables.params)
    assert after.velocity[0] < 0.99
    np.testing.assert_allclose(jnp.linalg.norm(after.velocity), 1.0, rtol=1e-5)


WARMUP, TARGET = 300, 5e-4


@pytest.fixture(scope="module")
def tuned():
    target = density_target(stretched, lambda key: jax.random.normal(key, [6]))
    sampler = partial(adaptive_mclmc, steps_per_draw=10, target=TARGET, length_factor=1.0)
    return sample(target, sampler, jax.random.key(0), chains=8, warmup=WARMUP, draws=600)


def test_it_finds_the_step_size_for_the_energy_asked_for_and_the_length(tuned):
    assert TARGET / 3 < tuned.info["energy_variance"].mean() < 3 * TARGET
    np.testing.assert_allclose(tuned.info["length"].mean(), jnp.sqrt(jnp.sum(SCALES**2)), rtol=0.3)


def test_it_draws_from_the_density(tuned):
    assert tuned.diagnosis.params.r_hat < 1.02
    np.testing.assert_allclose(tuned.draws.std((0, 1)), SCALES, rtol=0.08)


def test_after_the_warmup_nothing_is_tuned(tuned):
    for name in ("step_size", "length"):
        assert np.ptp(tuned.info[name], axis=1).max() == 0
        assert np.ptp(tuned.info[name][:, 0]) > 0, "each chain has its own"


def test_a_diagonal_mass_whitens():
    chain = adaptive_mclmc(stretched, 300, steps_per_draw=5, mass=DIAGONAL, length_factor=1.0)
    state = chain.init(Variables(jnp.ones(6)), jax.random.key(0))
    state, _ = jax.jit(lambda s, k: run(chain, s, None, k, length=300))(state, jax.random.key(1))
    np.testing.assert_allclose(state.inverse_mass, SCALES**2, rtol=0.6)
    np.testing.assert_allclose(state.length, np.sqrt(6), rtol=0.3)


@pytest.mark.parametrize("params", [jnp.ones(1), jnp.ones([2, 2]), {"w": jnp.ones(3)}])
def test_other_params_than_a_vector_are_refused(params):
    for chain in (mclmc(stretched, 0.1, 1.0), adaptive_mclmc(stretched, 10)):
        with pytest.raises(ValueError, match="one vector of two entries or more"):
            chain.init(Variables(params))


def test_a_dense_mass_is_refused():
    with pytest.raises(ValueError, match="`UNIT` or `DIAGONAL`"):
        adaptive_mclmc(stretched, 10, mass=DENSE)
