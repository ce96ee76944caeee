from functools import partial

import jax
import numpy as np

from jdl.models.mlp import mlp
from jdl.train.lora import lora
from tests.conformance.case import ModelCase

NETWORK = mlp([3, 4, 2])
INPUTS = np.random.default_rng(0).normal(size=[2, 3]).astype(np.float32)
BASE = jax.tree.map(
    lambda x: np.full(x.shape, 0.1, x.dtype), jax.eval_shape(NETWORK.init, jax.random.key(0))
)

MODELS = {"jdl.train.lora.lora": ModelCase(partial(lora, NETWORK, BASE, rank=1), (INPUTS,))}
