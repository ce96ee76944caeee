"""A run with all that a resume must bring back: dropout, batch statistics, Adam, an order."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.train import EarlyStopping, descent, fit, gradient

KEY = 1


class Net(nnx.Module):
    def __init__(self, rngs):
        self.dense1 = nnx.Linear(4, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.3)
        self.dense2 = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        return self.dense2(self.dropout(nnx.relu(self.norm(self.dense1(x))), rngs=rngs))


model = functional(Net)


def objective(params, buffers, batch, key):
    x, y = batch
    outputs, buffers = model.apply(Variables(params, buffers), x, key=key, train=True)
    return jnp.mean((outputs - y) ** 2), (buffers, {"mean": jnp.mean(outputs)})


def data(seed=0, size=50):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=[size, 4]).astype(np.float32)
    return x, np.sin(x.sum(1, keepdims=True)).astype(np.float32)


def evaluate(variables):
    x, y = data(seed=1)
    outputs, _ = model.apply(variables, jnp.asarray(x))
    return {"loss": jnp.mean((outputs - y) ** 2)}


algorithm = descent(gradient(objective), optax.adam(1e-2))


def start():
    return algorithm.init(model.init(jax.random.key(0)))


def run(steps=60, checkpoints=None, data=data(), key=KEY, **options):  # noqa: B008
    options = {
        "batch_size": 8,
        "evaluate": evaluate,
        "evaluate_every": 9,
        "stop": EarlyStopping("loss", patience=None),
        **options,
    }
    return fit(
        algorithm,
        start(),
        data,
        jax.random.key(key),
        steps=steps,
        checkpoints=checkpoints,
        **options,
    )
