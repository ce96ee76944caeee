"""Recurrent layers with the weights of PyTorch's and Keras's, over padded sequences too."""

import functools
import os

import numpy as np
import pytest

from jdl.core import Variables
from jdl.functional import functional
from jdl.models.recurrent.conversion import (
    elman_from_torch,
    gru_from_keras,
    gru_from_torch,
    lstm_from_keras,
    lstm_from_torch,
)
from jdl.nn.elman import ElmanCell
from jdl.nn.gru_cells import GRUCell
from jdl.nn.lstm_cells import LSTMCell
from jdl.nn.recurrent_layers import RecurrentStack
from tests.conformance.case import quick

# The warning is Keras's own, about NumPy 2 and tensors of PyTorch, on which it runs here.
KERAS_WARNING = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings(KERAS_WARNING)]
RANDOM = np.random.default_rng(0)
XS = RANDOM.normal(size=[3, 5, 3]).astype(np.float32)
LENGTHS = np.array([5, 3, 2])
MASK = np.arange(5)[None] < LENGTHS[:, None]
GRU_AFTER = functools.partial(GRUCell, reset="after")


def stack(cell, params, mask=None, **options):
    """Outputs and state of a stack of these cells' params, layer by layer."""
    model = functional(
        lambda rngs: RecurrentStack(3, 4, len(params), cell=cell, rngs=rngs, **options)
    )
    layers = {str(number): weights for number, weights in enumerate(params)}
    variables = Variables({"layers": layers}, {})
    return quick(lambda v: model.apply(v, XS, mask=mask)[0])(variables)


@pytest.mark.parametrize(
    ("name", "cell", "converted"),
    [
        ("RNN", ElmanCell, elman_from_torch),
        ("LSTM", LSTMCell, lstm_from_torch),
        ("GRU", GRU_AFTER, gru_from_torch),
    ],
)
def test_two_bidirectional_layers_of_pytorch_over_packed_sequences(oracle, name, cell, converted):
    torch = oracle("torch")
    theirs = getattr(torch.nn, name)(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    arrays = {key: x.detach().numpy() for key, x in theirs.named_parameters()}

    def weights(layer, direction):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return {"cell": converted(*(arrays[f"{n}_l{layer}{direction}"] for n in names))}

    params = [{"forward": weights(n, ""), "backward": weights(n, "_reverse")} for n in range(2)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(XS), torch.tensor(LENGTHS), batch_first=True
    )
    outputs, state = theirs(packed)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    found = stack(cell, params, MASK, bidirectional="concatenate")
    np.testing.assert_allclose(found.outputs, expected.detach(), rtol=1e-4, atol=1e-5)
    hidden = state[0] if name == "LSTM" else state
    both = np.concatenate(hidden.detach().numpy()[-2:], -1)
    np.testing.assert_allclose(found.last, both, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "cell", "converted"),
    [
        ("SimpleRNN", {}, ElmanCell, lstm_from_keras),
        ("LSTM", {}, LSTMCell, lstm_from_keras),
        ("GRU", {}, GRU_AFTER, gru_from_keras),
        ("GRU", {"reset_after": False}, GRUCell, gru_from_keras),
    ],
)
def test_a_layer_of_keras(oracle, name, options, cell, converted):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    torch, keras = oracle("torch"), oracle("keras")
    layer = getattr(keras.layers, name)(
        4, return_sequences=True, bias_initializer="glorot_uniform", **options
    )
    expected = layer(torch.tensor(XS), mask=torch.tensor(MASK)).detach().numpy()
    arrays = [np.asarray(weight) for weight in layer.get_weights()]
    found = stack(cell, [{"cell": converted(*arrays)}], MASK)
    np.testing.assert_allclose(
        np.asarray(found.outputs)[MASK], expected[MASK], rtol=1e-4, atol=1e-5
    )
