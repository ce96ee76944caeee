from functools import partial

import jax
import jax.numpy as jnp
import optax
from numpyro import distributions as dist
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

from jdl.bayes.bayes_by_backprop import bayes_by_backprop, counted, geometric, variational
from jdl.bayes.densities import numpyro_model
from jdl.bayes.elbo import leave_one_out, score_function
from jdl.bayes.families import mean_field
from jdl.bayes.likelihoods import gaussian
from jdl.bayes.svi import from_svi
from jdl.bayes.variational_em import MixturePrior, mixture_posterior, variational_mixture
from jdl.core import Variables
from jdl.models.convnets import lenet5
from jdl.models.mlp import mlp
from jdl.nn.variational_layers import FlipoutConv, FlipoutLinear, LocalReparameterizationLinear
from jdl.train import descent, gradient
from tests.conformance.case import AlgorithmCase, ModelCase, quick

INPUTS = jax.random.normal(jax.random.key(0), [4, 3])
TARGETS = jnp.sin(INPUTS[:, :1])
NETWORK = mlp([3, 4, 1], jnp.tanh)


def _log_density(params, batch):
    fit = jnp.mean((batch @ params["w"] - params["b"]) ** 2)
    return -0.5 * sum(jnp.sum(x**2) for x in jax.tree.leaves(params)) - fit


def _score_function():
    family = mean_field(0.5)
    estimator = score_function(family, _log_density, num_draws=3, control_variate=leave_one_out)
    start = family.init({"w": jnp.ones([3]), "b": jnp.zeros([])})
    return descent(estimator, optax.sgd(0.01)), Variables(start)


def _bayes_by_backprop():
    prior, options = dist.Normal(0.0, 1.0), {"num_batches": 2, "complexity": geometric}
    loss = bayes_by_backprop(NETWORK, prior, gaussian(0.3), 8, **options)
    start = counted(quick(variational(NETWORK).init)(jax.random.key(0)))
    return descent(gradient(loss), optax.sgd(0.01)), start


def _svi():
    sites = numpyro_model(mlp([3, 1]), dist.Normal(0.0, 1.0), gaussian(0.3))
    batch = INPUTS, TARGETS
    svi = SVI(sites, AutoNormal(sites), optax.sgd(1e-3), Trace_ELBO())
    return from_svi(svi, batch), Variables({})


def _mixture():
    prior = MixturePrior(0.5, jnp.zeros(3), 0.3, 4.0, jnp.eye(3))
    guess = jax.nn.softmax(jax.random.normal(jax.random.key(2), [4, 2]))
    return variational_mixture(prior), Variables(quick(mixture_posterior)(prior, INPUTS, guess))


MODELS = {
    "jdl.bayes.bayes_by_backprop.variational": ModelCase(
        partial(variational, NETWORK), (INPUTS,), half=False
    ),
    "jdl.models.mlp.mlp (flipout)": ModelCase(
        partial(mlp, [3, 4, 1], jnp.tanh, linear=FlipoutLinear), (INPUTS,)
    ),
    "jdl.models.mlp.mlp (local reparameterization)": ModelCase(
        partial(mlp, [3, 4, 1], jnp.tanh, linear=LocalReparameterizationLinear), (INPUTS,)
    ),
    "jdl.models.convnets.lenet.lenet5 (flipout)": ModelCase(
        partial(lenet5, 3, conv=FlipoutConv, linear=FlipoutLinear),
        (jax.random.normal(jax.random.key(1), [2, 32, 32, 1]),),
    ),
}

ALGORITHMS = {
    "jdl.bayes.elbo.score_function": AlgorithmCase(_score_function, INPUTS),
    "jdl.bayes.svi.from_svi": AlgorithmCase(
        _svi, (INPUTS, TARGETS), keys_followed=False
    ),  # NumPyro's state has a field for a key, never used again
    "jdl.bayes.variational_em.variational_mixture": AlgorithmCase(_mixture, INPUTS),
    "jdl.train.descent.descent (Bayes by backprop)": AlgorithmCase(
        _bayes_by_backprop, (INPUTS, TARGETS)
    ),
}
