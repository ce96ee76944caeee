"""Sweeps by vmap, and optimizers by path."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.train import descent, gradient, regression, run
from jdl.train.by_path import by_path
from jdl.train.sweep import best_index, grid, log_uniform, member, random_settings, sweep

MODEL = mlp([2, 4, 1], jnp.tanh)
INPUTS = jax.random.normal(jax.random.key(1), [8, 2])
BATCHES = jax.tree.map(lambda x: jnp.stack([x] * 10), (INPUTS, INPUTS[:, :1]))


def build(setting):
    optimizer = optax.adamw(setting["learning_rate"], weight_decay=setting["decay"])
    return descent(gradient(regression(MODEL)), optimizer)


def test_a_sweep_of_64_settings_equals_64_runs():
    settings = grid({"learning_rate": np.logspace(-4, 0, 16), "decay": [0.0, 0.1, 0.3, 1.0]})
    variables = MODEL.init(jax.random.key(0))
    algorithm = sweep(build, settings)
    together, info = jax.jit(lambda state: run(algorithm, state, BATCHES, jax.random.key(2)))(
        algorithm.init(variables)
    )
    assert info["loss"].shape == (10, 64)

    @jax.jit
    def alone(setting):
        one = build(setting)
        return run(one, one.init(variables), BATCHES, jax.random.key(2))[0]

    for index in (0, 21, 63):
        expected = alone(member(settings, index)).variables.params
        found = member(together.variables.params, index)
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5), found, expected
        )
    best = member(together.variables, best_index(info["loss"][-1]))
    assert jax.tree.map(jnp.shape, best) == jax.tree.map(jnp.shape, variables)


def test_of_random_restarts_the_best_is_taken_and_a_diverged_one_is_not():
    assert int(best_index(jnp.array([3.0, jnp.nan, 1.0, 2.0]))) == 2
    with pytest.raises(ValueError, match="one a member"):
        best_index(jnp.ones([2, 2]))


def test_log_uniform_draws_fall_alike_into_each_decade():
    settings = random_settings({"rate": log_uniform(1e-4, 1.0)}, 4000, jax.random.key(0))
    counts, _ = np.histogram(np.log10(settings["rate"]), [-4, -3, -2, -1, 0])
    assert counts.sum() == 4000 and np.abs(counts - 1000).max() < 110  # 4 standard deviations


def test_names_are_drawn_independently():
    draws = {"a": log_uniform(0.1, 1.0), "b": log_uniform(0.1, 1.0)}
    settings = random_settings(draws, 2000, jax.random.key(0))
    assert abs(np.corrcoef(settings["a"], settings["b"])[0, 1]) < 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: grid({}),
        lambda: grid({"a": []}),
        lambda: log_uniform(0.0, 1.0),
        lambda: sweep(build, {"a": jnp.ones(2), "b": jnp.ones(3)}),
        lambda: sweep(build, {}),
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        wrong()


def test_each_path_moves_at_the_rate_of_its_first_pattern():
    params = {
        "layers": {"0": {"kernel": jnp.ones(2)}, "1": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}}
    }
    optimizer = by_path(
        {"*.bias": optax.set_to_zero(), "layers.0.*": optax.sgd(0.1), "*": optax.sgd(0.26)}
    )
    slope = jax.tree.map(jnp.ones_like, params)
    updates, _ = jax.jit(optimizer.update)(slope, optimizer.init(params), params)
    found = jax.tree.map(lambda x: round(float(x[0]), 6), updates)
    assert found == {"layers": {"0": {"kernel": -0.1}, "1": {"kernel": -0.26, "bias": 0.0}}}


def test_a_parameter_without_a_pattern_and_a_pattern_without_a_parameter_are_refused():
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    with pytest.raises(ValueError, match="matches b"):
        by_path({"a": optax.sgd(0.1)}).init(params)
    with pytest.raises(ValueError, match=r"\['a'\] are first for no"):
        by_path({"*": optax.sgd(0.1), "a": optax.sgd(0.2)}).init(params)


def test_by_path_under_descent_freezes_what_it_says():
    optimizer = by_path({"layers.0.*": optax.set_to_zero(), "*": optax.adam(0.1)})
    algorithm = descent(gradient(regression(MODEL)), optimizer)
    start = MODEL.init(jax.random.key(0))
    state, _ = jax.jit(algorithm.step)(algorithm.init(start), member(BATCHES, 0), jax.random.key(0))
    before, after = start.params["layers"], state.variables.params["layers"]
    np.testing.assert_array_equal(before["0"]["kernel"], after["0"]["kernel"])
    assert (before["1"]["kernel"] != after["1"]["kernel"]).all()
    assert isinstance(state.variables, Variables)
