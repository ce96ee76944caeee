"""Fine-tuning and compression: models in part frozen, and what descends with them."""

from functools import partial

import numpy as np

from jdl.models.mlp import mlp
from jdl.train.finetune import frozen, in_evaluation
from tests.conformance.case import ModelCase

INPUTS = np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)
NETWORK = mlp([3, 4, 2])

MODELS = {
    "jdl.train.finetune.frozen": ModelCase(
        partial(frozen, NETWORK, "layers.1.*"),
        (INPUTS,),
        unused=("layers.0.bias", "layers.0.kernel"),  # frozen
    ),
    "jdl.train.finetune.in_evaluation": ModelCase(partial(in_evaluation, NETWORK, "*"), (INPUTS,)),
}
