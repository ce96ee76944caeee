"""Gradients through time by hand, and forward in time, against autodiff."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.functional import functional
from jdl.models.recurrent.bptt import (
    backpropagation_through_time,
    gru_step_gradients,
    lstm_step_gradients,
)
from jdl.models.recurrent.rnn import recurrent_network
from jdl.models.recurrent.rtrl import real_time_recurrent_learning
from jdl.nn.gru_cells import GRUCell
from jdl.nn.lstm_cells import LSTMCell, LSTMState
from jdl.train.backpropagation import HALF_SQUARED_ERROR, MULTINOULLI, SQUARED_ERROR
from tests.conformance.case import quick

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


XS, TARGETS = normal(2, 4, 3), normal(2, 4, 2)
LABELS = np.eye(2, dtype=np.float32)[RANDOM.integers(0, 2, size=[2, 4])]


def close(found, expected, tolerance=1e-4):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def random_params(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return jax.tree.map(lambda x: 0.7 * normal(*x.shape), params)


@pytest.mark.parametrize(
    ("output", "targets", "bidirectional"),
    [(MULTINOULLI, LABELS, None), (HALF_SQUARED_ERROR, TARGETS, "concatenate")],
)
def test_bptt_by_hand_is_the_gradient(output, targets, bidirectional):
    model = recurrent_network(3, 2, 4, readout="each", bidirectional=bidirectional)
    params = random_params(model)

    def loss(params):
        z, _ = model.apply(Variables(params, {}), XS)
        return output.loss(z, targets).sum() / 2

    estimator = backpropagation_through_time(output)

    @quick
    def both(params):
        return estimator(params, {}, (XS, targets), None), jax.value_and_grad(loss)(params)

    (direction, _, info), (value, slope) = both(params)
    close(direction, slope)
    np.testing.assert_allclose(info["loss"], value, rtol=1e-5)


def test_bptt_of_000_s_net_has_the_right_numbers():
    """Its listing has others, for the gradient that it prints is none."""
    one = np.ones([1, 1], np.float32)
    params = {
        "stack": {
            "layers": {
                "0": {
                    "cell": {
                        "kernel": 0.5 * one,
                        "recurrent_kernel": 0.5 * one,
                        "bias": 0 * one[0],
                    }
                }
            }
        },
        "head": {"kernel": one, "bias": 0 * one[0]},
    }
    x, targets = np.array([[[1.0], [2.0]]], "f4"), np.array([[[0.5], [1.0]]], "f4")
    estimator = quick(backpropagation_through_time(SQUARED_ERROR))
    direction, _, info = estimator(params, {}, (x, targets), jax.random.key(0))
    cell, head = direction["stack"]["layers"]["0"]["cell"], direction["head"]
    found = [info["loss"], cell["kernel"], cell["recurrent_kernel"], head["kernel"]]
    expected = [0.02611989, -0.27732715, -0.04204456, -0.29987086]
    np.testing.assert_allclose([float(np.squeeze(x)) for x in found], expected, rtol=1e-5)


def step_of(cell):
    model = functional(lambda rngs: cell(3, 4, rngs=rngs))
    return random_params(model), lambda p, carry, x: model.apply(Variables(p, {}), carry, x)[0][0]


def test_an_lstm_step_backwards_by_hand_is_its_derivative():
    params, step = step_of(LSTMCell)
    carry, errors = LSTMState(*normal(2, 2, 4)), LSTMState(*normal(2, 2, 4))
    x = normal(2, 3)

    @quick
    def both(params):
        by_hand = lstm_step_gradients(params, carry, x, errors)
        return tuple(by_hand), jax.vjp(step, params, carry, x)[1](errors)

    close(*both(params))


def test_a_gru_step_backwards_by_hand_is_its_derivative():
    params, step = step_of(GRUCell)
    h, error, x = normal(2, 4), normal(2, 4), normal(2, 3)

    @quick
    def both(params):
        by_hand = gru_step_gradients(params, h, x, error)
        return by_hand, jax.vjp(lambda p, h: step(p, h, x), params, h)[1](error)

    close(*both(params))


@pytest.mark.parametrize(
    "options",
    [{"learned_start": True}, pytest.param({"cell": LSTMCell}, marks=pytest.mark.slow)],
)
def test_rtrl_is_bptt_at_the_end_of_a_sequence(options):
    model = recurrent_network(3, 2, 3, readout="each", **options)
    params = random_params(model)

    def loss(y, target):
        return jnp.mean((y - target) ** 2, -1)

    def whole(params):
        return loss(model.apply(Variables(params, {}), XS)[0], TARGETS).mean()

    estimator = real_time_recurrent_learning(model, loss)

    @quick
    def both(params):
        return estimator(params, {}, (XS, TARGETS), None), jax.value_and_grad(whole)(params)

    (direction, _, info), (value, slope) = both(params)
    close(direction, slope)
    np.testing.assert_allclose(info["loss"], value, rtol=1e-5)


def test_other_networks_and_reductions_are_refused():
    with pytest.raises(ValueError, match="reduction"):
        backpropagation_through_time(MULTINOULLI, reduction="none")
    for options, said in [
        ({"num_layers": 2}, "one layer"),
        ({"bidirectional": "sum"}, "sum them"),
        ({"learned_start": True}, "h_0 = 0"),
    ]:
        model = recurrent_network(3, 2, 4, readout="each", **options)
        params = jax.eval_shape(model.init, jax.random.key(0)).params
        estimate = functools.partial(backpropagation_through_time(MULTINOULLI), key=None)
        with pytest.raises(ValueError, match=said):
            jax.eval_shape(lambda p, e=estimate: e(p, {}, (XS, LABELS)), params)
