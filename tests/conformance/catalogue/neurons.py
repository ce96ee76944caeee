from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.models.array_mlp import array_mlp
from jdl.models.historical.cortex import cortex
from jdl.models.historical.hmax import hmax
from jdl.models.historical.mark1 import mark1
from jdl.models.historical.neocognitron import neocognitron
from jdl.models.linear import linear
from jdl.models.maxout import maxout_mlp
from jdl.models.mlp import mlp
from jdl.train import descent
from jdl.train.backpropagation import BERNOULLI, TANH, backpropagation
from jdl.train.mmse import mmse
from jdl.train.rematerialization import rematerialized
from tests.conformance.case import AlgorithmCase, ModelCase

_random = np.random.default_rng(0)
ROWS = _random.normal(size=[3, 4]).astype(np.float32)
GRIDS = _random.normal(size=[3, 2, 3]).astype(np.float32)
SIGNS = np.sign(_random.normal(size=[8])).astype(np.float32)
INPUTS = _random.normal(size=[8, 3]).astype(np.float32)
RETINAS = _random.integers(0, 2, size=[3, 20, 20, 1]).astype(np.float32)
GREY = _random.uniform(size=[2, 8, 8, 1]).astype(np.float32)
LARGER = _random.uniform(size=[2, 14, 14, 1]).astype(np.float32)
NEURON = mlp([3, 1])
NETWORK = mlp([3, 4, 2], jnp.tanh)

MODELS = {
    "jdl.models.array_mlp.array_mlp": ModelCase(
        partial(array_mlp, [(2, 3), (3, 4), (2,)], jnp.tanh), (GRIDS,)
    ),
    "jdl.models.historical.cortex.cortex": ModelCase(
        # Zeros, the default, answer zero to everything.
        partial(
            cortex,
            2,
            num_projections=30,
            num_associations=40,
            kernel_init=jax.nn.initializers.normal(),
        ),
        (RETINAS,),
    ),
    "jdl.models.historical.hmax.hmax": ModelCase(
        partial(
            hmax,
            2,
            num_prototypes=3,
            patch_sizes=[2],
            num_bands=1,
            kernel_init=jax.nn.initializers.normal(),
        ),
        (LARGER,),
    ),
    "jdl.models.historical.mark1.mark1": ModelCase(
        # Zeros, the default, answer zero to everything.
        partial(mark1, 2, num_associations=50, kernel_init=jax.nn.initializers.normal()),
        (RETINAS,),
    ),
    "jdl.models.historical.neocognitron.neocognitron": ModelCase(
        partial(neocognitron, [3, 2], selectivity=[4.0, 1.5], field=3), (GREY,)
    ),
    "jdl.models.linear.linear": ModelCase(
        # Zeros, the default, are the same for each key.
        partial(linear, 4, 2, kernel_init=jax.nn.initializers.normal()),
        (ROWS,),
    ),
    "jdl.models.maxout.maxout_mlp": ModelCase(
        partial(maxout_mlp, [4, 3, 2], 2, dropout_rate=0.5), (ROWS,)
    ),
    "jdl.train.rematerialization.rematerialized": ModelCase(
        partial(rematerialized, mlp([4, 5, 2], dropout_rate=0.5)), (ROWS,)
    ),
}
ALGORITHMS = {
    "jdl.train.mmse.mmse": AlgorithmCase(
        lambda: (descent(mmse(NEURON, jnp.tanh), optax.sgd(0.1)), NEURON.init(jax.random.key(1))),
        (INPUTS, SIGNS),
    ),
    "jdl.train.backpropagation.backpropagation": AlgorithmCase(
        lambda: (
            descent(backpropagation(TANH, BERNOULLI, reduction="mean"), optax.sgd(0.1)),
            NETWORK.init(jax.random.key(1)),
        ),
        (INPUTS, np.stack([SIGNS, -SIGNS], 1) / 2 + 0.5),
    ),
}
