"""Weights of Flax's cells give its outputs here."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.models.recurrent.conversion import gru_from_flax, lstm_from_flax
from jdl.nn.gru_cells import GRUCell
from jdl.nn.lstm_cells import LSTMCell, LSTMState
from tests.conformance.case import quick

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("theirs", "ours", "converted"),
    [
        (nnx.LSTMCell, LSTMCell, lstm_from_flax),
        (nnx.GRUCell, functools.partial(GRUCell, reset="after"), gru_from_flax),
    ],
)
def test_a_cell_of_flax(theirs, ours, converted):
    theirs = _model(theirs)
    ours = _model(ours)
    params = jax.tree.map(
        lambda x: normal(*x.shape), jax.eval_shape(theirs.init, jax.random.key(0)).params
    )
    h, c, x = normal(2, 4), normal(2, 4), normal(2, 3)
    is_lstm = converted is lstm_from_flax
    carries = ((c, h), LSTMState(h, c)) if is_lstm else (h, h)

    @quick
    def both(params):
        expected = theirs.apply(Variables(params, {}), carries[0], x)[0][1]
        return expected, ours.apply(Variables(converted(params), {}), carries[1], x)[0][1]

    expected, found = both(params)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def _model(cell):
    return functional(lambda rngs: cell(3, 4, rngs=rngs))
