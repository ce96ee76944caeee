"""Schedules in closed form: ours, and the calls of Optax that the books' are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.train import descent, gradient, run
from jdl.train.schedules import divided_per_update, inverse_square_root

T = np.arange(0, 20)
CASES = {
    "step": (
        optax.piecewise_constant_schedule(0.1, {6: 0.1, 12: 0.5}),
        np.where(T < 6, 0.1, np.where(T < 12, 0.01, 0.005)),
    ),
    "halved every 5": (
        optax.exponential_decay(0.8, 5, 0.5, staircase=True),
        0.8 * 0.5 ** (T // 5),
    ),
    "exponential": (optax.exponential_decay(0.8, 5, 0.5), 0.8 * 0.5 ** (T / 5)),
    "cosine": (
        optax.cosine_decay_schedule(0.2, 10),
        0.1 * (1 + np.cos(np.pi * np.minimum(T, 10) / 10)),
    ),
    "linear to zero": (optax.linear_schedule(0.2, 0.0, 10), 0.2 * np.maximum(0, 1 - T / 10)),
    "warm-up, then linear": (
        optax.join_schedules(
            [optax.linear_schedule(0.0, 0.2, 4), optax.linear_schedule(0.2, 0.0, 16)], [4]
        ),
        0.2 * np.minimum(T / 4, (20 - T) / 16),
    ),
    "warm-up, then cosine": (
        optax.warmup_cosine_decay_schedule(0.0, 0.2, 4, 20),
        np.where(T < 4, 0.05 * T, 0.1 * (1 + np.cos(np.pi * (T - 4) / 16))),
    ),
    "divided": (divided_per_update(0.1, 1.5, 0.004), np.maximum(0.004, 0.1 / 1.5**T)),
    "the transformer's": (
        inverse_square_root(512, 8),
        512**-0.5 * np.minimum((T + 1) ** -0.5, (T + 1) * 8**-1.5),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_schedule_is_its_formula(name):
    schedule, expected = CASES[name]
    found = jax.jit(jax.vmap(schedule))(jnp.array(T))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)


def test_dividing_by_1_00004_reaches_the_floor_of_1e6_at_update_287_829():
    schedule = divided_per_update(0.1, 1.00004, 1e-6)  # ln 1e5 / ln 1.00004 = 287 828.9
    early, late = schedule(jnp.array(287_700)), schedule(jnp.array(287_829))
    assert float(early) > 1e-6 and float(late) == pytest.approx(1e-6, rel=1e-5)


def test_a_factor_in_float32_drifts_and_ours_does_not():
    t = jnp.array(200_000)
    exact = 0.1 / 1.00004**200_000
    by_optax = float(optax.exponential_decay(0.1, 1, 1 / 1.00004)(t))
    assert float(divided_per_update(0.1, 1.00004)(t)) == pytest.approx(exact, rel=1e-5)
    assert by_optax != pytest.approx(exact, rel=1e-4)


def test_the_transformer_is_fastest_at_the_end_of_its_warm_up():
    rates = jax.vmap(inverse_square_root(512, 4000))(jnp.arange(10_000))
    assert int(rates.argmax()) == 3999  # the 4000th step
    assert float(rates.max()) == pytest.approx((512 * 4000) ** -0.5, rel=1e-5)


def plateau(losses, *, factor, patience, cooldown):
    """Keras' rule: the rate of each step."""
    scale, best, bad, wait, scales = 1.0, np.inf, 0, 0, []
    for loss in losses:
        if loss < best * (1 - 1e-4):
            best, bad = loss, 0
        else:
            bad += 1
        if wait:
            wait, bad = wait - 1, 0
        elif bad >= patience:
            scale, bad, wait = scale * factor, 0, cooldown
        scales.append(scale)
    return np.array(scales)


WATCHED = np.array([5, 4, 3, 3, 3, 3, 3, 3, 2, 2.5, 2.5, 2.5, 2.5, 1, 1, 1, 1, 1], np.float32)


@pytest.mark.parametrize("watched", ["loss", "accuracy"])
def test_the_rate_falls_on_a_plateau_of_what_is_watched_under_descent(watched):
    def given(params, buffers, batch, key):
        value = batch if watched == "loss" else jnp.float32(0.5)
        loss = params - jax.lax.stop_gradient(params) + value
        return loss, (buffers, {"accuracy": 1 - batch / 10})

    optimizer = optax.chain(
        optax.sgd(1.0), optax.contrib.reduce_on_plateau(factor=0.5, patience=2, cooldown=1)
    )
    watch = (lambda info: 1 - info["accuracy"]) if watched == "accuracy" else None
    algorithm = descent(gradient(given), optimizer, watch=watch)
    state = algorithm.init(Variables(jnp.array(0.0)))
    keep = lambda state, info: state.variables.params  # noqa: E731
    _, path = run(algorithm, state, WATCHED, jax.random.key(0), keep=keep)
    rates = -np.diff(np.concatenate([[0], path]))
    expected = plateau(WATCHED, factor=0.5, patience=2, cooldown=1)
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    assert rates[-1] < 0.3


def test_wrong_settings_are_refused():
    for wrong in (
        lambda: divided_per_update(0.1, 0.9),
        lambda: divided_per_update(0.1, 1.1, 0.2),
        lambda: inverse_square_root(512, 0),
    ):
        with pytest.raises(ValueError, match="got"):
            wrong()
