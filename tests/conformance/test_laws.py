"""The laws themselves: each refuses a system that breaks it, and accepts one that does not."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Algorithm, Model, Variables
from tests.conformance import test_algorithms as algorithms
from tests.conformance import test_models as models
from tests.conformance.case import AlgorithmCase, ModelCase

ROWS = np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)
CALLS = itertools.count()


class State(NamedTuple):
    variables: Variables


def _algorithm(move):
    """An algorithm whose step is (params, batch, key) -> params, info."""

    def step(state, batch, key):
        params, info = move(state.variables.params, batch, key)
        return State(Variables(params)), info

    made = Algorithm(lambda variables, key=None: State(variables), step), Variables(jnp.ones(3))
    return algorithms.Prepared(AlgorithmCase(lambda: made, ROWS))


def _good_move(params, batch, key):
    return params + batch.mean(0) + jax.random.normal(key, [3]), {"size": jnp.sum(params)}


def _hidden_state():
    shape = jax.ShapeDtypeStruct([], np.float32)
    return jax.pure_callback(lambda: np.float32(next(CALLS)), shape)


BAD_MOVES = {
    "test_a_step_keeps_the_type_of_the_state": lambda p, b, k: (p.astype(jnp.bfloat16), {}),
    "test_a_step_depends_on_its_arguments_alone": lambda p, b, k: (p + _hidden_state(), {}),
    "test_a_step_changes_params_and_keeps_them_finite": lambda p, b, k: (p / 0, {}),
    "test_info_has_the_same_scalar_entries_at_each_step": lambda p, b, k: (p, {"a": p}),
    "test_members_by_vmap_equal_a_loop": lambda p, b, k: (p + _hidden_state(), {}),
}


def test_a_good_algorithm_obeys():
    prepared = _algorithm(_good_move)
    for name, law in vars(algorithms).items():
        if name.startswith("test_"):
            law(prepared)


@pytest.mark.parametrize("law", BAD_MOVES)
def test_a_bad_algorithm_is_refused(law):
    prepared = _algorithm(BAD_MOVES[law])
    with pytest.raises(AssertionError):
        getattr(algorithms, law)(prepared)


def test_a_weak_type_that_a_step_makes_strong_is_traced_twice():
    made = (
        Algorithm(
            lambda variables, key=None: State(variables),
            lambda state, batch, key: (State(Variables(jnp.float32(state.variables.params))), {}),
        ),
        Variables(jnp.asarray(1.0)),
    )
    prepared = algorithms.Prepared(AlgorithmCase(lambda: made, ROWS))
    with pytest.raises(AssertionError):
        algorithms.test_a_step_is_traced_once_and_uses_each_key_once(prepared)


def test_a_key_used_twice_is_refused():
    def move(params, batch, key):
        return params + jax.random.normal(key, [3]) * jax.random.uniform(key, [3]), {}

    with pytest.raises(jax.errors.KeyReuseError):
        _algorithm(move)


def _model(function):
    """A model of (params, buffers, inputs, key, train) -> outputs, buffers."""

    def init(key):
        return Variables({"w": jax.random.normal(key, [3]), "b": jnp.zeros([])}, {"n": jnp.ones(3)})

    def apply(variables, inputs, *, key=None, train=False):
        return function(*variables, inputs, key, train)

    return models.Prepared(ModelCase(lambda: Model(init, apply), (ROWS,)))


def _good(params, buffers, inputs, key, train):
    buffers = {"n": 0.9 * buffers["n"] + 0.1 * inputs.mean(0)} if train else buffers
    return jnp.tanh(inputs @ params["w"] + params["b"]), buffers


def _counting(params, buffers, inputs, key, train):
    return _good(params, buffers, inputs, key, train)[0] + float(next(CALLS)), buffers


BAD_MODELS = {
    "test_evaluation_repeats_and_leaves_the_buffers_alone": lambda p, b, x, k, t: _good(
        p, b, x, k, True
    ),
    "test_training_leaves_no_trace_in_the_model": _counting,
    "test_a_finite_gradient_reaches_every_parameter_and_each_key_is_used_once": (
        lambda p, b, x, k, t: (x @ p["w"], b)
    ),
    "test_an_ensemble_is_a_vmap": lambda p, b, x, k, t: (x @ p["w"] + _hidden_state(), b),
}


def test_a_good_model_obeys():
    prepared = _model(_good)
    for name, law in vars(models).items():
        if name.startswith("test_") and not name.startswith("test_half"):
            law(prepared)


@pytest.mark.parametrize("law", BAD_MODELS)
def test_a_bad_model_is_refused(law):
    prepared = _model(BAD_MODELS[law])
    with pytest.raises(AssertionError):
        getattr(models, law)(prepared)
