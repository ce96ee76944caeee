"""The posterior of the params of a model: a plain function, and the same as a NumPyro model.

    log density(params, batch) = log prior(params) + N/B * sum over the batch of log likelihood

It is up to a constant (the evidence) the logarithm of 004 (Martinez-Ramon et al.), eq. 9.7 and
9.20. Maximising it is MAP: with a normal prior of variance s^2, the negative log likelihood with
weight decay of 1/s^2 (004, eq. 9.6). Two kinds of tempering: `likelihood_power` b gives
prior * likelihood^b, from the prior at 0 to the posterior at 1 (Friel and Pettitt 2008);
`log_density / T` is the cold or hot posterior of temperature T (004, eq. 9.19).

Samplers run fastest over one vector, which `jdl.bayes.sample` makes of the params.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro

from jdl.bayes.likelihoods import Likelihood, log_likelihood
from jdl.bayes.priors import Prior, entry_prior, log_prior, prior_terms
from jdl.core import Key, Model, Tree, Variables
from jdl.train.records import flat

PROBES = 64  # inputs of the data at which chains are compared


class Posterior(NamedTuple):
    """What samplers and approximations know of a model with its data.

    Attributes:
        init: key -> params to start from.
        log_density: params -> nats [], up to a constant.
        terms: params -> what the density is the sum of: the prior by path, `likelihood`.
        outputs: params -> outputs of the model at some inputs, for diagnostics.
    """

    init: Callable[[Key], Tree]
    log_density: Callable[[Tree], jax.Array]
    terms: Callable[[Tree], dict[str, jax.Array]]
    outputs: Callable[[Tree], Tree]


def model_log_likelihood(
    model: Model,
    likelihood: Likelihood,
    *,
    buffers: Tree = (),
    num_examples: int | None = None,
) -> Callable[[Tree, Tree], jax.Array]:
    """The log likelihood of the params of a model, as `log_posterior` without its prior.

    Args:
        model: evaluated with `train=False` and without noise.
        likelihood: outputs -> distribution of the targets.
        buffers: of the model, which stay.
        num_examples: N, if batches are parts of the data; None if the batch is all of it.

    Returns:
        (params, (inputs, targets)) -> nats [].

    Raises:
        ValueError: at the call, targets of another shape than the likelihood's.
    """

    def of_params(params, batch):
        inputs, targets = batch
        outputs, _ = model.apply(Variables(params, buffers), inputs)
        total = jnp.sum(log_likelihood(likelihood(outputs), targets))
        scale = 1.0 if num_examples is None else num_examples / len(jax.tree.leaves(targets)[0])
        return scale * total

    return of_params


def log_posterior(
    model: Model,
    prior: Prior,
    likelihood: Likelihood,
    *,
    buffers: Tree = (),
    num_examples: int | None = None,
    likelihood_power: float | jax.Array = 1.0,
) -> Callable[[Tree, Tree], jax.Array]:
    """The unnormalised log posterior of the params of a model, on any batch.

    Args:
        model: evaluated with `train=False` and without noise.
        prior: see `jdl.bayes.priors.log_prior`.
        likelihood: outputs -> distribution of the targets, see `jdl.bayes.likelihoods`.
        buffers: of the model, which stay.
        num_examples: N, if batches are parts of the data; None if the batch is all of it.
        likelihood_power: exponent of the likelihood.

    Returns:
        (params, batch) -> nats [], with batch = (inputs, targets).

    Raises:
        ValueError: at the call, for targets of another shape than the likelihood's, or a prior
            that misses a parameter.

    Example:
        >>> from numpyro.distributions import Normal
        >>> from jdl.bayes.likelihoods import gaussian
        >>> from jdl.models.mlp import mlp
        >>> model = mlp([1, 5, 1], jnp.tanh)
        >>> density = log_posterior(model, Normal(0.0, 10.0**0.5), gaussian(0.3))
        >>> params = model.init(jax.random.key(0)).params
        >>> density(params, (jnp.zeros([4, 1]), jnp.zeros([4, 1]))).shape
        ()
    """
    of_prior = log_prior(prior)
    of_data = model_log_likelihood(model, likelihood, buffers=buffers, num_examples=num_examples)
    return lambda params, batch: of_prior(params) + likelihood_power * of_data(params, batch)


def posterior(
    model: Model,
    prior: Prior,
    likelihood: Likelihood,
    data: tuple[Tree, jax.Array],
    *,
    buffers: Tree | None = None,
    likelihood_power: float | jax.Array = 1.0,
    probe: Tree | None = None,
) -> Posterior:
    """The posterior of a model given all of its data.

    Args:
        model: evaluated with `train=False` and without noise.
        prior: see `jdl.bayes.priors.log_prior`.
        likelihood: outputs -> distribution of the targets, see `jdl.bayes.likelihoods`.
        data: inputs [N, ...] and targets.
        buffers: of a trained model, to be held while the params vary; None for a model without.
        likelihood_power: exponent of the likelihood.
        probe: inputs at which chains are compared; None takes up to 64 of the data's.

    Returns:
        A Posterior, for `jdl.bayes.sample`.

    Raises:
        ValueError: a model with buffers (batch statistics) and none given; targets of another
            shape than the likelihood's, or outside of its support; a prior that misses a
            parameter or has two densities for it.

    Example:
        >>> from numpyro.distributions import Normal
        >>> from jdl.bayes.likelihoods import bernoulli
        >>> from jdl.models.mlp import mlp
        >>> data = jnp.ones([4, 2]), jnp.ones([4, 1])
        >>> target = posterior(mlp([2, 1]), Normal(0.0, 1.0), bernoulli, data)
        >>> sorted(target.terms(target.init(jax.random.key(0))))
        ['likelihood', 'prior.layers.0.bias', 'prior.layers.0.kernel']
    """
    inputs, targets = data
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    held = _checked_buffers(shapes.buffers, buffers)

    if probe is None:
        probe = jax.tree.map(lambda x: x[:: -(-len(x) // PROBES)], inputs)

    def outputs(params, inputs=probe):
        return model.apply(Variables(params, held), inputs)[0]

    def terms(params):
        of_data = jnp.sum(log_likelihood(likelihood(outputs(params, inputs)), targets))
        of_prior = {f"prior.{path}": x for path, x in prior_terms(prior, params).items()}
        return of_prior | {"likelihood": likelihood_power * of_data}

    def log_density(params):
        return sum(terms(params).values(), start=jnp.zeros([]))

    jax.eval_shape(log_density, shapes.params)
    _check_support(likelihood, jax.eval_shape(outputs, shapes.params, inputs), targets)
    return Posterior(lambda key: model.init(key).params, log_density, terms, outputs)


def density_target(
    log_density: Callable[[Tree], jax.Array], init: Callable[[Key], Tree]
) -> Posterior:
    """Any log density as a target of `jdl.bayes.sample`.

    Args:
        log_density: params -> nats [], up to a constant.
        init: key -> params to start from.

    Returns:
        A Posterior of one term, whose chains are compared by their params.
    """
    return Posterior(
        init,
        log_density,
        lambda params: {"log_density": log_density(params)},
        lambda params: params,
    )


def sample_like(tree: Tree, prior: Prior) -> Tree:
    """Params as sites of a NumPyro model, one a leaf, named by its path.

    Args:
        tree: of arrays or of their shapes, `jax.eval_shape(model.init, key).params`.
        prior: of the params.

    Returns:
        A tree of the same shapes, drawn or substituted by NumPyro's handlers.
    """
    sites = [
        numpyro.sample(path, entry_prior(prior, path).expand(x.shape).to_event(len(x.shape)))
        for path, x in flat(tree).items()
    ]
    return jax.tree.unflatten(jax.tree.structure(tree), sites)


def numpyro_model(
    model: Model, prior: Prior, likelihood: Likelihood, *, buffers: Tree = ()
) -> Callable[..., Any]:
    """The posterior as a NumPyro model, for its kernels, guides and `Predictive`.

    Args:
        model: evaluated with `train=False` and without noise.
        prior: see `jdl.bayes.priors.log_prior`.
        likelihood: outputs -> distribution of the targets.
        buffers: of the model, which stay.

    Returns:
        (inputs, targets=None, num_examples=None) -> the model's outputs. Sites: the leaves by
        path, and `targets`, whose likelihood counts N/B times if `num_examples` N is given.

    Example:
        >>> from numpyro.distributions import Normal
        >>> from numpyro.infer.util import log_density
        >>> from jdl.bayes.likelihoods import gaussian
        >>> from jdl.models.mlp import mlp
        >>> sites = numpyro_model(mlp([1, 1]), Normal(0.0, 1.0), gaussian(1.0))
        >>> values = {"layers.0.kernel": jnp.zeros([1, 1]), "layers.0.bias": jnp.zeros([1])}
        >>> nats, _ = log_density(sites, (jnp.zeros([1, 1]), jnp.zeros([1, 1])), {}, values)
        >>> round(float(nats), 4)  # three standard normal variables at 0
        -2.7568
    """
    shapes = jax.eval_shape(model.init, jax.random.key(0)).params

    def sites(inputs, targets=None, num_examples=None):
        params = sample_like(shapes, prior)
        outputs, _ = model.apply(Variables(params, buffers), inputs)
        distribution = likelihood(outputs)
        if targets is not None:
            log_likelihood(distribution, targets)  # for its check of shapes
        shape = distribution.batch_shape
        scale = 1.0 if num_examples is None else num_examples / shape[0]
        with numpyro.handlers.scale(scale=scale):
            numpyro.sample("targets", distribution, obs=targets)
        return outputs

    return sites


def _checked_buffers(expected, given):
    if given is not None:
        return given
    if jax.tree.leaves(expected):
        raise ValueError(
            f"the model has buffers ({', '.join(flat(expected))}): statistics such as those of "
            "BatchNorm are made by training for one setting of the params, and draws of params "
            "have no draws of them. Take LayerNorm or GroupNorm, or hold those of a trained "
            "network with buffers=variables.buffers"
        )
    return expected


def _check_support(likelihood, outputs, targets):
    """Of data that are known: tracers have no values."""
    if isinstance(targets, jax.core.Tracer):
        return
    distribution = likelihood(jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), outputs))
    inside = jnp.broadcast_to(distribution.support(targets), jnp.shape(targets))
    if not bool(inside.all()):
        raise ValueError(
            f"targets of a {type(distribution).__name__} likelihood lie in its support; got "
            f"{jnp.asarray(targets)[~inside][:3].tolist()}"
        )
