"""Warm-up: the acceptance aimed at is reached, the scales of the density are found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.bayes.hmc import hmc
from jdl.bayes.metropolis import metropolis
from jdl.bayes.warmup import DualAveraging, dual_averaging, tuned_step_size, warmed_up
from jdl.core import Variables
from jdl.train import run

SCALES = jnp.array([0.1, 1.0, 3.0])


def stretched(x):
    return -0.5 * jnp.sum((x / SCALES) ** 2)


def test_dual_averaging_equals_algorithm_5_in_numpy():
    acceptances, target, initial = [0.9, 0.2, 0.75, 1.0, 0.6], 0.65, 0.1
    state = DualAveraging(jnp.log(initial), jnp.zeros([]), jnp.zeros([]), jnp.zeros([]))
    mean, log_final = 0.0, 0.0
    for m, acceptance in enumerate(acceptances, start=1):
        state = dual_averaging(state, jnp.array(acceptance), target=target, initial=initial)
        mean = (1 - 1 / (m + 10)) * mean + (target - acceptance) / (m + 10)
        log_size = np.log(10 * initial) - np.sqrt(m) / 0.05 * mean
        log_final = m**-0.75 * log_size + (1 - m**-0.75) * log_final
    np.testing.assert_allclose(state.log_size, log_size, rtol=1e-4)
    np.testing.assert_allclose(state.log_final, log_final, rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "target"),
    [
        (lambda size: hmc(lambda x: -0.5 * jnp.sum(x**2), size, 5), 0.8),
        (lambda size: metropolis(lambda x: -0.5 * jnp.sum(x**2), size), 0.3),
    ],
    ids=["hmc", "metropolis"],
)
def test_the_tuned_step_size_gives_the_acceptance_aimed_at(build, target, key):
    def acceptance(key):
        key_tune, key_run = jax.random.split(key)
        size, state = tuned_step_size(
            build, Variables(jnp.ones(10)), key_tune, length=600, target=target
        )
        return run(build(size), state, None, key_run, length=400)[1]["acceptance"].mean()

    reached = jax.jit(jax.vmap(acceptance))(jax.random.split(key, 8))
    np.testing.assert_allclose(reached.mean(), target, atol=0.04)


def test_the_scale_of_metropolis_agrees_with_the_theory_of_many_dimensions(key):
    # Roberts, Gelman, Gilks 1997: acceptance 0.234 at scale 2.38 / sqrt(dimensions).
    def scale(key):
        return tuned_step_size(
            lambda size: metropolis(lambda x: -0.5 * jnp.sum(x**2), size),
            Variables(jax.random.normal(key, [50])),
            key,
            length=2000,
            target=0.234,
        )[0]

    scales = jax.jit(jax.vmap(scale))(jax.random.split(key, 8))
    np.testing.assert_allclose(scales.mean(), 2.38 / np.sqrt(50), rtol=0.05)


def test_warm_up_finds_the_variances_and_the_chain_then_has_the_right_moments(key):
    def chain(key):
        key_warm, key_run = jax.random.split(key)
        tuned = warmed_up(stretched, 20, Variables(SCALES), key_warm, length=600, jitter=0.2)
        _, draws = run(
            tuned.algorithm,
            tuned.state,
            None,
            key_run,
            length=400,
            keep=lambda state, info: (state.variables.params, info["acceptance"]),
        )
        return *draws, tuned.inverse_mass

    draws, acceptance, inverse_mass = jax.jit(jax.vmap(chain))(jax.random.split(key, 16))
    assert 0.6 < acceptance.mean() < 0.95
    assert np.all(np.diff(np.median(inverse_mass, axis=0)) > 0)
    np.testing.assert_allclose(draws.std((0, 1)), SCALES, rtol=0.1)


def test_a_warm_up_too_short_is_refused(key):
    with pytest.raises(ValueError, match="at least 20 draws"):
        warmed_up(stretched, 5, Variables(SCALES), key, length=10)
