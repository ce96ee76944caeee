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
BITS = _random.integers(0, 2, size=[8, 5]).astype(np.float32)
MACHINE = rbm(5, 3)


def _persistent():
    variables = with_chains(MACHINE.init(jax.random.key(1)), BITS[:6])
    return descent(persistent_contrastive_divergence(MACHINE, 2), optax.sgd(0.1)), variables


MODELS = {
    "jdl.models.energy.rbm.rbm": ModelCase(partial(rbm, 5, 3), (BITS,)),
    "jdl.models.energy.rbm.rbm [hidden units]": ModelCase(
        partial(rbm, 5, 3),
        (BITS,),
        {"method": "hidden_logits"},
        unused=("visible_bias",),  # p(h | v) has none
    ),
}

ALGORITHMS = {
    "jdl.train.contrastive.contrastive_divergence": AlgorithmCase(
        lambda: (
            descent(contrastive_divergence(MACHINE, 2), optax.sgd(0.1)),
            MACHINE.init(jax.random.key(1)),
        ),
        BITS,
    ),
    "jdl.train.contrastive.persistent_contrastive_divergence": AlgorithmCase(_persistent, BITS),
}
