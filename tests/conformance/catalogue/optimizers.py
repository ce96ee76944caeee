import jax
import numpy as np
import optax

from jdl.models.mlp import mlp
from jdl.train import descent, gradient, regression
from jdl.train.line_search import line_searched
from jdl.train.nesterov import nesterov
from jdl.train.optimizers import summed
from jdl.train.search import random_search, simulated_annealing
from jdl.train.second_order import newton, pseudo_newton
from jdl.train.sweep import grid, sweep
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


def _of_rate(setting):
    return descent(gradient(LOSS), optax.adam(setting["rate"]))


ALGORITHMS = {
    "jdl.train.nesterov.nesterov": _case(nesterov(gradient(LOSS), 0.1)),
    "jdl.train.optimizers.summed": _case(descent(summed(gradient(LOSS)), optax.sgd(0.01))),
    "jdl.train.line_search.line_searched": _case(line_searched(LOSS, optax.lbfgs())),
    "jdl.train.second_order.newton": _case(descent(newton(LOSS, 1.0), optax.sgd(0.1))),
    "jdl.train.second_order.pseudo_newton": _case(
        descent(pseudo_newton(LOSS, 1.0), optax.sgd(0.1))
    ),
    "jdl.train.search.simulated_annealing": _case(
        simulated_annealing(LOSS, lambda t: 0.1, lambda t: 100.0)
    ),
    "jdl.train.search.random_search": _case(random_search(LOSS, lambda t: 0.1)),
    "jdl.train.sweep.sweep": _case(sweep(_of_rate, grid({"rate": [0.1, 0.2]})), info_shape=(2,)),
}
