"""Training steps that `jdl bench` times."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Model, Objective, Tree
from jdl.models.convnets import lenet5
from jdl.models.mlp import mlp
from jdl.models.transformers import gpt2, next_token
from jdl.train import classification, descent, gradient


class TimedStep(NamedTuple):
    """A step and what it is called with: `benchmark(*timed, carry=True)`."""

    step: Callable
    state: Any
    batch: Tree
    key: jax.Array


def mlp_step() -> TimedStep:
    """784-512-512-10, 128 examples, Adam."""
    batch = jax.random.normal(jax.random.key(1), [128, 784]), _labels()
    return _adam_step(mlp([784, 512, 512, 10]), classification, batch)


def lenet_step() -> TimedStep:
    """LeNet-5, 128 images of 32 x 32, Adam."""
    batch = jax.random.normal(jax.random.key(1), [128, 32, 32, 1]), _labels()
    return _adam_step(lenet5(), classification, batch)


def gpt2_step() -> TimedStep:
    """GPT-2 of 4 layers, 128 features and 96 tokens, 16 sequences of 128, no dropout, Adam."""
    model = gpt2(96, 128, 128, num_layers=4, num_heads=4, dropout_rate=0.0)
    return _adam_step(model, next_token, jax.random.randint(jax.random.key(1), [16, 129], 0, 96))


STEPS = {"gpt2": gpt2_step, "lenet5": lenet_step, "mlp": mlp_step}


def _labels():
    return jax.random.randint(jax.random.key(2), [128], 0, 10, jnp.int32)


def _adam_step(model: Model, objective: Callable[[Model], Objective], batch: Tree) -> TimedStep:
    algorithm = descent(gradient(objective(model)), optax.adam(1e-3))
    state = algorithm.init(model.init(jax.random.key(0)))
    return TimedStep(algorithm.step, state, batch, jax.random.key(3))
