import functools

import numpy as np

from jdl.models.recurrent.rnn import jordan_network, one_to_many, recurrent_network
from jdl.nn.lstm_cells import LSTMCell
from tests.conformance.case import ModelCase

XS = np.random.default_rng(0).normal(size=[2, 3, 3]).astype(np.float32)

MODELS = {
    "jdl.models.recurrent.rnn.recurrent_network": ModelCase(
        functools.partial(recurrent_network, 3, 2, 4), (XS,)
    ),
    "jdl.models.recurrent.rnn.recurrent_network [carried LSTM]": ModelCase(
        functools.partial(recurrent_network, 3, 2, 4, cell=LSTMCell, carried_batch=2), (XS,)
    ),
    "jdl.models.recurrent.rnn.jordan_network": ModelCase(
        functools.partial(jordan_network, 3, 2, 4), (XS,)
    ),
    "jdl.models.recurrent.rnn.one_to_many": ModelCase(
        functools.partial(one_to_many, 3, 2, 2, 4), (XS[:, 0],)
    ),
}
