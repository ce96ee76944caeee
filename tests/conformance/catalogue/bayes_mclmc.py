import jax.numpy as jnp

from jdl.bayes.mclmc import adaptive_mclmc, mclmc
from jdl.core import Variables
from tests.conformance.case import AlgorithmCase


def _log_density(vector):
    return -0.5 * jnp.sum(vector**2)


def _chain(make):
    return AlgorithmCase(lambda: (make(), Variables(jnp.array([1.0, 0.5, -0.5]))), None, rows=None)


ALGORITHMS = {
    "jdl.bayes.mclmc.mclmc": _chain(lambda: mclmc(_log_density, 0.3, 1.0, num_steps=3)),
    "jdl.bayes.mclmc.adaptive_mclmc": _chain(
        lambda: adaptive_mclmc(_log_density, 5, steps_per_draw=3)
    ),
}
