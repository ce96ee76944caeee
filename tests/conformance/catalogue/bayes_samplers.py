import jax
import jax.numpy as jnp

from jdl.bayes.elliptical_slice import elliptical_slice
from jdl.bayes.gibbs import gibbs, random_scan_gibbs
from jdl.bayes.metropolis import hessian_metropolis, metropolis_hastings, normal_like
from jdl.bayes.sghmc import sghmc
from jdl.bayes.sgld import cyclical, psgld, sgld
from jdl.core import Variables
from tests.conformance.case import AlgorithmCase

START = Variables({"w": jnp.ones([3]), "b": jnp.zeros([])})
BATCH = (jax.random.normal(jax.random.key(0), [8, 3]), jnp.linspace(-1.0, 1.0, 8))


def _log_density(params):
    return -0.5 * sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


def _of_batch(params, batch):
    inputs, targets = batch
    outputs = inputs @ params["w"] + params["b"]
    return _log_density(params) - 0.5 * jnp.sum((targets - outputs) ** 2)


def _drawn(name):
    return lambda params, key: jax.random.normal(key, params[name].shape)


def _autoregressive(position, key):
    noise = normal_like(key, position)
    return jax.tree.map(lambda x, n: 0.8 * x + 0.6 * n, position, noise)


def _log_autoregressive(to, origin):
    return -0.5 * sum(jnp.sum((to[name] - 0.8 * origin[name]) ** 2) for name in to) / 0.36


def _chain(make):
    return AlgorithmCase(lambda: (make(), START), None, rows=None)


def _walk(make):
    return AlgorithmCase(lambda: (make(), START), BATCH)


ALGORITHMS = {
    "jdl.bayes.metropolis.metropolis_hastings": _chain(
        lambda: metropolis_hastings(_log_density, _autoregressive, _log_autoregressive)
    ),
    "jdl.bayes.metropolis.hessian_metropolis": _chain(
        lambda: hessian_metropolis(_log_density, 0.5)
    ),
    "jdl.bayes.gibbs.gibbs": _chain(lambda: gibbs({"w": _drawn("w"), "b": _drawn("b")})),
    "jdl.bayes.gibbs.random_scan_gibbs": _chain(
        lambda: random_scan_gibbs({"w": _drawn("w"), "b": _drawn("b")})
    ),
    "jdl.bayes.elliptical_slice.elliptical_slice": _chain(lambda: elliptical_slice(_log_density)),
    "jdl.bayes.sgld.sgld": _walk(lambda: sgld(_of_batch, 0.01)),
    "jdl.bayes.sgld.psgld": _walk(lambda: psgld(_of_batch, 0.01)),
    "jdl.bayes.sgld.cyclical": _walk(lambda: cyclical(_of_batch, 0.01, 4, exploration=0.5)),
    "jdl.bayes.sghmc.sghmc": _walk(lambda: sghmc(_of_batch, 0.01)),
}
