import jax
import jax.numpy as jnp
from numpyro.infer import NUTS

from jdl.bayes.hmc import hmc
from jdl.bayes.metropolis import metropolis
from jdl.bayes.numpyro_kernels import from_numpyro
from jdl.core import Variables
from tests.conformance.case import AlgorithmCase

START = Variables({"w": jnp.ones([3]), "b": jnp.zeros([])})


def _log_density(params):
    return -0.5 * sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


def _chain(make):
    return AlgorithmCase(lambda: (make(), START), None, rows=None)


ALGORITHMS = {
    "jdl.bayes.metropolis.metropolis": _chain(lambda: metropolis(_log_density, 0.5)),
    "jdl.bayes.hmc.hmc": _chain(lambda: hmc(_log_density, 0.3, 3, jitter=0.1)),
    "jdl.bayes.numpyro_kernels.from_numpyro": _chain(
        lambda: from_numpyro(NUTS(potential_fn=lambda p: -_log_density(p), max_tree_depth=3), 5)
    )._replace(keys_followed=False),  # the kernel's state has a field for a key, never used again
}
