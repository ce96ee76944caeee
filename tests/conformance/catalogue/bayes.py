import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import NUTS

from jdl.bayes.adaptation import DIAGONAL, adapted, adaptive_hmc, adaptive_metropolis
from jdl.bayes.chees import chees_hmc
from jdl.bayes.hmc import hmc
from jdl.bayes.likelihoods import learned_noise
from jdl.bayes.metropolis import metropolis
from jdl.bayes.numpyro_kernels import from_numpyro, nuts
from jdl.core import Variables
from jdl.models.mlp import mlp
from tests.conformance.case import AlgorithmCase, ModelCase

START = Variables({"w": jnp.ones([3]), "b": jnp.zeros([])})


def _log_density(params):
    return -0.5 * sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


def _chain(make):
    return AlgorithmCase(lambda: (make(), START), None, rows=None)


MODELS = {
    "jdl.bayes.likelihoods.learned_noise": ModelCase(
        lambda: learned_noise(mlp([3, 2])), (np.ones([2, 3], np.float32),)
    ),
}

ALGORITHMS = {
    "jdl.bayes.metropolis.metropolis": _chain(lambda: metropolis(_log_density, 0.5)),
    "jdl.bayes.hmc.hmc": _chain(lambda: hmc(_log_density, 0.3, 3, jitter=0.1)),
    "jdl.bayes.numpyro_kernels.from_numpyro": _chain(
        lambda: from_numpyro(NUTS(potential_fn=lambda p: -_log_density(p), max_tree_depth=3), 5)
    )._replace(keys_followed=False),  # the kernel's state has a field for a key, never used again
    "jdl.bayes.numpyro_kernels.nuts": _chain(
        lambda: nuts(_log_density, 5, max_tree_depth=3)
    )._replace(keys_followed=False),  # as above
    "jdl.bayes.adaptation.adaptive_hmc": _chain(lambda: adaptive_hmc(_log_density, 5, num_steps=3)),
    "jdl.bayes.adaptation.adaptive_metropolis": _chain(
        lambda: adaptive_metropolis(_log_density, 5)
    ),
    "jdl.bayes.adaptation.adapted": _chain(
        lambda: adapted(
            lambda size, inverse_mass: hmc(_log_density, size, 2, inverse_mass),
            5,
            target=0.8,
            initial=0.1,
            mass=DIAGONAL,
        )
    ),
    "jdl.bayes.chees.chees_hmc": AlgorithmCase(
        lambda: (
            chees_hmc(_log_density, 5),
            Variables(jax.tree.map(lambda x: jnp.stack([x, x + 1]), START.params)),
        ),
        None,
        rows=None,
        info_shape=(2,),
        keys_followed=False,  # keys of the chains are split under vmap
    ),
}
