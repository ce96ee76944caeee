"""Laplace approximations: a normal posterior about the params of a trained network.

    params ~ N(params_MAP, S),    S^-1 = H = curvature of -log likelihood + precision of the prior
    outputs of x ~ N(f(x), J(x) S J(x)'),    J = d f / d params at the MAP
    log evidence = log p(data | params_MAP) + log p(params_MAP) + P/2 log 2 pi - 1/2 log det H

The curvature is any of `jdl.bayes.curvature`, over all params or over those that patterns choose,
the others held: `over="head.*"` is the last-layer Laplace. The precision of the prior is the
negative second derivative of its log density at each entry. Source: MacKay 1992 (A practical
Bayesian framework for backpropagation networks); Daxberger et al. 2021 (Laplace Redux).

The GGN is the curvature of the linearised network, so predictions are those of
`linearised_outputs` (Immer, Korzepa, Bauer 2021), not of the network at `laplace_draws`, which
underfits: such draws leave the region where the network is nearly linear.
"""

import fnmatch
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.bayes.curvature import Curvature, Leaves, Measure, full_ggn, summed
from jdl.bayes.likelihoods import Likelihood, log_likelihood
from jdl.bayes.metropolis import normal_like
from jdl.bayes.priors import Prior, entry_prior, prior_terms
from jdl.core import Key, Model, Tree, Variables
from jdl.train.records import flat


class Laplace(NamedTuple):
    """A normal posterior, all of it arrays.

    Attributes:
        variables: the trained network.
        mean: the leaves that are uncertain, by path.
        curvature: of the negative log likelihood in them.
        prior_precision: leaves like `mean`.
        log_likelihood: [], nats, of all data at the mean.
        log_prior: [], nats, of the uncertain leaves at the mean.
    """

    variables: Variables
    mean: Leaves
    curvature: Curvature
    prior_precision: Leaves
    log_likelihood: jax.Array
    log_prior: jax.Array


class NormalOutputs(NamedTuple):
    """Outputs whose distribution is normal.

    Attributes:
        mean: a tree of outputs [B, ...].
        variance: of each output, a tree like `mean`.
        covariance: [B, K, K], among the K raveled outputs of an example.
    """

    mean: Tree
    variance: Tree
    covariance: jax.Array


def laplace(
    model: Model,
    prior: Prior,
    likelihood: Likelihood,
    variables: Variables,
    data: tuple[Tree, jax.Array],
    *,
    curvature: Measure = full_ggn,
    over: str | Sequence[str] = "*",
    batch_size: int = 64,
) -> Laplace:
    """The normal distribution of the curvature of the posterior at its maximum.

    Args:
        model: evaluated with `train=False` and without noise, one example apart from the others.
        prior: of the params, the one that they were trained with.
        likelihood: outputs -> distribution of the targets.
        variables: at a maximum of the posterior; its buffers stay.
        data: (inputs, targets), all of the training data.
        curvature: `full_ggn`, `full_hessian`, `diagonal_ggn` or `kronecker_ggn`.
        over: patterns of paths, as of the shell, of the leaves that are uncertain.
        batch_size: examples at a time; each needs its Jacobian, outputs times uncertain params.

    Returns:
        A `Laplace`. Under `jax.jit` nothing checks that it is positive definite.

    Raises:
        ValueError: no leaf fits a pattern; targets of another shape than the likelihood's; a
            precision that is not positive definite.

    Example:
        >>> from jdl.bayes.likelihoods import gaussian
        >>> from jdl.models.mlp import mlp
        >>> model, data = mlp([1, 1]), (jnp.array([[-1.0], [1.0]]), jnp.array([[0.0], [0.0]]))
        >>> variables = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
        >>> fitted = laplace(model, dist.Normal(0.0, 1.0), gaussian(1.0), variables, data)
        >>> outputs = linearised_outputs(model, fitted, jnp.array([[0.0], [2.0]]))
        >>> [round(v, 4) for v in outputs.variance.ravel().tolist()]  # 1/3 + x^2/3
        [0.3333, 1.6667]
    """
    leaves = _chosen(variables.params, over)
    network, unravel = _of_one(model, variables, data[0])

    def log_prob(outputs, target):
        one = jax.tree.map(lambda x: x[None], unravel(outputs))
        return jnp.sum(log_likelihood(likelihood(one), target[None]))

    def of_batch(batch, shares):
        each = jax.vmap(lambda x, y: log_prob(network(leaves, x), y))(*batch)
        return jnp.sum(shares * each)

    found = Laplace(
        variables,
        leaves,
        curvature(network, log_prob, leaves, data, batch_size),
        leaves,
        summed(of_batch, data, batch_size),
        jnp.zeros([]),
    )
    return with_prior(found, prior)


def with_prior(fitted: Laplace, prior: Prior) -> Laplace:
    """The same curvature of the likelihood under another prior, the mean held where it is.

    Args:
        fitted: from `laplace`.
        prior: of all params.

    Returns:
        A `Laplace`, differentiable in the parameters of the prior.

    Raises:
        ValueError: a precision that is not positive definite.
    """
    terms = prior_terms(prior, fitted.variables.params)

    def precision(path, leaf):
        log_prob = entry_prior(prior, path).log_prob
        return -jax.vmap(jax.grad(jax.grad(log_prob)))(leaf.ravel()).reshape(leaf.shape)

    changed = fitted._replace(
        prior_precision={path: precision(path, leaf) for path, leaf in fitted.mean.items()},
        log_prior=sum((terms[path] for path in fitted.mean), start=jnp.zeros([])),
    )
    _check_definite(changed)
    return changed


def laplace_draws(fitted: Laplace, key: Key, num_draws: int) -> Tree:
    """Draws of params from the normal posterior.

    Args:
        fitted: from `laplace`.
        key: of the draws.
        num_draws: their number.

    Returns:
        Params with a first axis of draws; leaves that are held repeat.
    """
    precision = fitted.curvature.precision(fitted.prior_precision)

    def draw(key):
        moved = jax.tree.map(jnp.add, fitted.mean, precision.color(normal_like(key, fitted.mean)))
        return _with_leaves(fitted.variables.params, moved)

    return jax.vmap(draw, axis_size=num_draws)(jax.random.split(key, num_draws))


def linearised_outputs(
    model: Model, fitted: Laplace, inputs: Tree, *, batch_size: int = 64
) -> NormalOutputs:
    """The outputs of the network linearised at its params, which the posterior makes normal.

        f(x) + J(x) (params - params_MAP) ~ N(f(x), J(x) S J(x)')

    Args:
        model: the one of `laplace`.
        fitted: from `laplace`.
        inputs: [B, ...].
        batch_size: examples at a time.

    Returns:
        The distribution for each example, without the noise of targets: the covariance is the
        epistemic part.

    Source: Immer, Korzepa, Bauer 2021, eq. 11 and 12 (the GLM predictive).
    """
    network, unravel = _of_one(model, fitted.variables, inputs)
    precision = fitted.curvature.precision(fitted.prior_precision)

    def of_example(one):
        white = precision.whiten(jax.jacrev(network)(fitted.mean, one))
        variance = unravel(jnp.sum(white**2, axis=1))
        return NormalOutputs(unravel(network(fitted.mean, one)), variance, white @ white.T)

    inputs = jax.tree.map(jnp.asarray, inputs)
    return jax.lax.map(of_example, inputs, batch_size=batch_size)


def output_draws(outputs: NormalOutputs, key: Key, num_draws: int) -> Tree:
    """Draws of outputs, for predictions by Monte Carlo: `softmax(output_draws(...)).mean(0)`.

    Args:
        outputs: from `linearised_outputs`.
        key: of the draws.
        num_draws: their number.

    Returns:
        Outputs with a first axis of draws.
    """
    values, vectors = jnp.linalg.eigh(outputs.covariance)
    # Outputs that move together leave eigenvalues of 0, which rounding may turn negative.
    roots = vectors * jnp.sqrt(jnp.maximum(values, 0.0))[:, None]
    noise = jax.random.normal(key, (num_draws, *roots.shape[:2]), roots.dtype)
    moves = jnp.einsum("bkl,dbl->dbk", roots, noise)
    unravel = ravel_pytree(jax.tree.map(lambda x: x[0], outputs.mean))[1]
    drawn = jax.vmap(jax.vmap(unravel))(moves)
    return jax.tree.map(lambda mean, move: mean[None] + move, outputs.mean, drawn)


def probit_bernoulli(outputs: NormalOutputs) -> jax.Array:
    """The probability of 1 for normal log odds, in closed form: sigmoid(m / sqrt(1 + pi v / 8)).

    Source: MacKay 1992 (The evidence framework applied to classification networks), eq. 10. The
    error is below 0.02.

    Args:
        outputs: log odds [B, ...].

    Returns:
        Probabilities like the mean.
    """
    return jax.nn.sigmoid(outputs.mean / jnp.sqrt(1 + math.pi / 8 * outputs.variance))


def probit_categorical(outputs: NormalOutputs) -> jax.Array:
    """The probabilities of classes for normal logits: softmax(m / sqrt(1 + pi v / 8)).

    Source: Gibbs 1997, eq. 5.32 in the form of Daxberger et al. 2021. Covariances between logits
    are left out; `output_draws` has them.

    Args:
        outputs: logits [B, classes].

    Returns:
        Probabilities [B, classes].
    """
    return jax.nn.softmax(outputs.mean / jnp.sqrt(1 + math.pi / 8 * outputs.variance))


def log_evidence(fitted: Laplace) -> jax.Array:
    """Laplace's approximation of the log marginal likelihood, by which models and priors compare.

        log p(data) = log likelihood + log prior + P/2 log 2 pi - 1/2 log det H

    Args:
        fitted: from `laplace`. Over a part of the leaves it is the evidence given the others.

    Returns:
        [], nats; exact where the posterior is normal.
    """
    count = sum(leaf.size for leaf in fitted.mean.values())
    determinant = fitted.curvature.precision(fitted.prior_precision).log_determinant
    density = fitted.log_likelihood + fitted.log_prior
    return density + count / 2 * math.log(2 * math.pi) - determinant / 2


def best_prior_std(fitted: Laplace, candidates: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The standard deviation of a prior N(0, std^2) of all params that has the largest evidence.

    The params stay, as in Daxberger et al. 2021, section 3; training with the new prior and
    approximating again, in turn, is MacKay's evidence framework. For a search by gradient,
    `log_evidence(with_prior(fitted, dist.Normal(0.0, jnp.exp(log_std))))` is differentiable.

    Args:
        fitted: from `laplace`, with any prior.
        candidates: [C], positive, `jnp.logspace(-2, 2, 41)`.

    Returns:
        The best of them, [], and the log evidence of each, nats [C].
    """
    candidates = jnp.asarray(candidates, float)
    values = jax.lax.map(
        lambda std: log_evidence(with_prior(fitted, dist.Normal(0.0, std))), candidates
    )
    return candidates[jnp.nanargmax(values)], values


def _chosen(params, over):
    leaves, patterns = flat(params), [over] if isinstance(over, str) else list(over)
    idle = [p for p in patterns if not fnmatch.filter(leaves, p)]
    if idle or not patterns:
        raise ValueError(
            f"each pattern of `over` fits some leaf; {idle} fit none of {list(leaves)}"
        )
    return {
        path: jnp.asarray(leaf)
        for path, leaf in leaves.items()
        if any(fnmatch.fnmatchcase(path, p) for p in patterns)
    }


def _with_leaves(params, leaves):
    """The params with some leaves replaced, by path."""
    merged = [leaves.get(path, leaf) for path, leaf in flat(params).items()]
    return jax.tree.unflatten(jax.tree.structure(params), merged)


def _of_one(model, variables, inputs):
    """(leaves, inputs of one example) -> outputs [K], and what makes a tree of outputs of [K]."""

    def outputs(leaves, one):
        params = _with_leaves(variables.params, leaves)
        batch = jax.tree.map(lambda x: x[None], one)
        found, _ = model.apply(Variables(params, variables.buffers), batch)
        return jax.tree.map(lambda x: x[0], found)

    one = jax.eval_shape(lambda x: jax.tree.map(lambda leaf: jnp.asarray(leaf)[0], x), inputs)
    shapes = jax.eval_shape(outputs, flat(variables.params), one)
    unravel = ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))[1]
    return lambda leaves, one: ravel_pytree(outputs(leaves, one))[0], unravel


def _check_definite(fitted):
    determinant = fitted.curvature.precision(fitted.prior_precision).log_determinant
    if isinstance(determinant, jax.core.Tracer) or bool(jnp.isfinite(determinant)):
        return
    smallest = float(fitted.curvature.smallest_eigenvalue(fitted.prior_precision))
    raise ValueError(
        "the precision of a normal posterior is positive definite; got one whose smallest "
        f"eigenvalue is {smallest:.3g}. The params may be no maximum of the posterior: train "
        "further. Or take curvature=full_ggn, a prior of positive precision (a narrower normal "
        "one), or float64 if the eigenvalue is a rounding error"
    )
