import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.models.recurrent.bptt import backpropagation_through_time
from jdl.models.recurrent.rnn import jordan_network, one_to_many, recurrent_network
from jdl.models.recurrent.rtrl import real_time_recurrent_learning
from jdl.nn.lstm_cells import LSTMCell
from jdl.train.backpropagation import HALF_SQUARED_ERROR
from jdl.train.descent import descent
from tests.conformance.case import AlgorithmCase, ModelCase

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

ELMAN = recurrent_network(3, 2, 4, readout="each")
BATCH = tuple(np.random.default_rng(1).normal(size=[2, 4, 3, 3]).astype(np.float32))
BATCH = (BATCH[0], BATCH[1][..., :2])


def _learned(estimator):
    return descent(estimator, optax.sgd(0.1)), ELMAN.init(jax.random.key(1))


ALGORITHMS = {
    "jdl.models.recurrent.bptt.backpropagation_through_time": AlgorithmCase(
        lambda: _learned(backpropagation_through_time(HALF_SQUARED_ERROR)), BATCH
    ),
    "jdl.models.recurrent.rtrl.real_time_recurrent_learning": AlgorithmCase(
        lambda: _learned(
            real_time_recurrent_learning(ELMAN, lambda y, target: jnp.mean((y - target) ** 2, -1))
        ),
        BATCH,
    ),
}
