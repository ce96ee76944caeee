from functools import partial

import jax
import numpy as np
import optax

from jdl.models.energy.rbm import rbm
from jdl.train import descent
from jdl.train.contrastive import (
    contrastive_divergence,
    persistent_contrastive_divergence,
    with_chains,
)
from tests.conformance.case import AlgorithmCase, ModelCase

_random = np.random.default_rng(0)
STATES = _random.integers(0, 2, size=[8, 5]).astype(np.float32)
MODEL = rbm(5, 3)


def _persistent():
    variables = with_chains(MODEL.init(jax.random.key(1)), STATES[::-1])
    return descent(persistent_contrastive_divergence(MODEL), optax.sgd(0.1)), variables


MODELS = {
    "jdl.models.energy.rbm.rbm": ModelCase(partial(rbm, 5, 3), (STATES,)),
}

ALGORITHMS = {
    "jdl.train.contrastive.contrastive_divergence": AlgorithmCase(
        lambda: (
            descent(contrastive_divergence(MODEL, 2), optax.sgd(0.1)),
            MODEL.init(jax.random.key(1)),
        ),
        STATES,
    ),
    "jdl.train.contrastive.persistent_contrastive_divergence": AlgorithmCase(_persistent, STATES),
}
