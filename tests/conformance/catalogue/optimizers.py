import jax
import numpy as np
import optax

from jdl.models.mlp import mlp
from jdl.train import descent, gradient, regression
from jdl.train.nesterov import nesterov
from jdl.train.optimizers import summed
from tests.conformance.case import AlgorithmCase

_random = np.random.default_rng(0)
BATCH = (
    _random.normal(size=[8, 3]).astype(np.float32),
    _random.normal(size=[8, 2]).astype(np.float32),
)
MODEL = mlp([3, 4, 2])
LOSS = regression(MODEL)


def _case(algorithm, **said):
    return AlgorithmCase(lambda: (algorithm, MODEL.init(jax.random.key(1))), BATCH, **said)


ALGORITHMS = {
    "jdl.train.nesterov.nesterov": _case(nesterov(gradient(LOSS), 0.1)),
    "jdl.train.optimizers.summed": _case(descent(summed(gradient(LOSS)), optax.sgd(0.01))),
}
