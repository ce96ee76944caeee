import jax.numpy as jnp
import optax

from jdl.bayes.swag import with_swag
from jdl.core import Variables
from jdl.train import descent, gradient
from tests.conformance.case import AlgorithmCase

BATCH = jnp.linspace(-1.0, 1.0, 24).reshape(8, 3)


def _objective(params, buffers, batch, key):
    error = batch @ params["w"] + params["b"] - 1.0
    return jnp.mean(error**2), (buffers, {"error": jnp.mean(error)})


def _swag():
    algorithm = descent(gradient(_objective), optax.sgd(0.1))
    start = Variables({"w": jnp.ones([3]), "b": jnp.zeros([])})
    return with_swag(algorithm, start=1, every=1, rank=2), start


ALGORITHMS = {"jdl.bayes.swag.with_swag": AlgorithmCase(_swag, BATCH)}
