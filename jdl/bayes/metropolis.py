"""Metropolis-Hastings: a proposal, and the chance that the chain takes it.

    proposal ~ q(. | position)
    accept with probability min(1, ratio)
    ratio = density(proposal) q(position | proposal) / [density(position) q(proposal | position)]

    metropolis          q = N(position, scale^2 I): symmetric, so that q falls out of the ratio
    hessian_metropolis  q = N(position, scale^2 M(position)^-1): it does not
        M = V diag(m) V',  m = h / tanh(h / floor),  Hessian of -log density = V diag(h) V'

Source: Metropolis et al. 1953; Hastings 1970; 004 (Martinez-Ramon et al.), example 9.3.1, eq. 9.11
to 9.13 and 9.17; for m, the SoftAbs metric, Betancourt 2013 (A general metric for Riemannian
manifold HMC). Departs from 004 in three points: its 9.11 has the ratio of proposals inverted and
lacks the prior, while the density is prior times likelihood; its 9.13 takes the Hessian for the
covariance of the proposal, but a Hessian is the inverse of one, and indefinite where the example
starts; and since M depends on the position, 9.12, the symmetric case, does not apply to it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jdl.core import Algorithm, Key, Tree, Variables


class ChainState(NamedTuple):
    """Where the chain is.

    Attributes:
        variables: its params are the position.
        log_density: [], nats, at the position.
    """

    variables: Variables
    log_density: jax.Array


def metropolis_hastings(
    log_density: Callable[[Tree], jax.Array],
    propose: Callable[[Tree, Key], Tree],
    log_proposal: Callable[[Tree, Tree], jax.Array | float],
) -> Algorithm:
    """A chain with any proposal.

    Args:
        log_density: params -> log density up to a constant, nats, shape [].
        propose: (position, key) -> proposal, a tree like params.
        log_proposal: (to, origin) -> log density of proposing `to` at `origin`, nats [], up to a
            constant that depends on neither.

    Returns:
        An Algorithm; the batch is ignored. Info: `acceptance`, the probability of the proposal,
        and `accepted`, 0 or 1. Chains by `jax.vmap`.

    Example:
        Steps of a random factor, for a positive number. The step is symmetric in log x, which is
        the density 1 / to in x.

        >>> from jdl.train import run
        >>> chain = metropolis_hastings(
        ...     lambda x: -x,  # the exponential distribution, of mean 1
        ...     lambda x, key: x * jnp.exp(jax.random.normal(key)),
        ...     lambda to, origin: -jnp.log(to))
        >>> _, draws = run(
        ...     chain, chain.init(Variables(jnp.array(1.0))), None, jax.random.key(0), length=5000,
        ...     keep=lambda state, info: state.variables.params)
        >>> bool(abs(draws.mean() - 1) < 0.1)
        True
    """

    def init(variables, key=None):
        return ChainState(variables, log_density(variables.params))

    def step(state, batch, key):
        key_proposal, key_accept = jax.random.split(key)
        position, buffers = state.variables
        proposal = propose(position, key_proposal)
        density = log_density(proposal)
        log_ratio = density - state.log_density
        log_ratio += log_proposal(position, proposal) - log_proposal(proposal, position)
        proposed = ChainState(Variables(proposal, buffers), density)
        return accept(key_accept, log_ratio, proposed, state)

    return Algorithm(init, step)


def metropolis(log_density: Callable[[Tree], jax.Array], scale: Tree) -> Algorithm:
    """A random walk over a tree of parameters, whose proposal is symmetric.

    For a dense covariance C, chain over z with position = cholesky(C) z.

    Args:
        log_density: params -> log density up to a constant, nats, shape [].
        scale: standard deviation of a proposal; a number, or a tree like params.

    Returns:
        An Algorithm; the batch is ignored. Info: `acceptance`, the probability of the proposal,
        and `accepted`, 0 or 1. Chains by `jax.vmap`.

    Example:
        >>> from jdl.train import run
        >>> chain = metropolis(lambda x: -0.5 * x**2, scale=2.4)
        >>> _, draws = run(
        ...     chain, chain.init(Variables(jnp.zeros([]))), None, jax.random.key(0), length=500,
        ...     keep=lambda state, info: state.variables.params)
        >>> draws.shape
        (500,)
    """

    def propose(position, key):
        return jax.tree.map(
            lambda x, noise, s: x + s * noise,
            position,
            normal_like(key, position),
            jax.tree.broadcast(scale, position),
        )

    return metropolis_hastings(log_density, propose, lambda to, origin: 0.0)


class HessianState(NamedTuple):
    """Where the chain of `hessian_metropolis` is, and the metric there.

    Attributes:
        variables: its params are the position.
        log_density: [], nats, at the position.
        values: [D], the eigenvalues m of the metric.
        vectors: [D, D], its eigenvectors, in columns.
    """

    variables: Variables
    log_density: jax.Array
    values: jax.Array
    vectors: jax.Array


def hessian_metropolis(
    log_density: Callable[[Tree], jax.Array], scale: jax.Array | float, *, floor: float = 1e-2
) -> Algorithm:
    """A random walk that steps far where the density is flat and little where it bends.

    A step costs a Hessian and its eigenvalues: D gradients and D^3 operations for D entries.

    Args:
        log_density: params -> log density up to a constant, nats, shape []; twice differentiable.
        scale: the standard deviation of a proposal along an eigenvector of the Hessian is
            scale / sqrt(curvature); 2.4 / sqrt(D) fits a normal density.
        floor: least curvature of the metric, taken where that of the density is 0: no proposal
            has a standard deviation above scale / sqrt(floor). Positive.

    Returns:
        An Algorithm; the batch is ignored. Info: `acceptance`, the probability of the proposal,
        and `accepted`, 0 or 1. Chains by `jax.vmap`.

    Raises:
        ValueError: floor is not positive.

    Example:
        >>> chain = hessian_metropolis(lambda x: -0.5 * jnp.sum(x**2 / jnp.array([1.0, 1e4])), 1.0,
        ...     floor=1e-6)
        >>> state = chain.init(Variables(jnp.zeros(2)))
        >>> [round(float(m), 4) for m in state.values]
        [0.0001, 1.0]
    """
    if not floor > 0:
        raise ValueError(f"floor is the least curvature of the metric, positive; got {floor}")

    def at(variables):
        flat, unravel = ravel_pytree(variables.params)
        hessian = jax.hessian(lambda x: -log_density(unravel(x)))(flat)
        curvatures, vectors = jnp.linalg.eigh(hessian)
        return HessianState(
            variables, log_density(variables.params), soft_absolute(curvatures, floor), vectors
        )

    def log_proposal(move, origin):
        along = origin.vectors.T @ (move / scale)
        return (jnp.sum(jnp.log(origin.values)) - jnp.sum(origin.values * along**2)) / 2

    def step(state, batch, key):
        key_noise, key_accept = jax.random.split(key)
        flat, unravel = ravel_pytree(state.variables.params)
        # The symmetric root of the covariance: no sign or order of eigenvectors enters.
        noise = state.vectors.T @ jax.random.normal(key_noise, flat.shape, flat.dtype)
        move = scale * (state.vectors @ (noise / jnp.sqrt(state.values)))
        proposed = at(Variables(unravel(flat + move), state.variables.buffers))
        log_ratio = proposed.log_density - state.log_density
        log_ratio += log_proposal(-move, proposed) - log_proposal(move, state)
        return accept(key_accept, log_ratio, proposed, state)

    return Algorithm(lambda variables, key=None: at(variables), step)


def soft_absolute(x: jax.Array, floor: float) -> jax.Array:
    """A smooth absolute value that is at least `floor`: x / tanh(x / floor).

    Args:
        x: any shape.
        floor: its value at 0, positive.

    Returns:
        An array like x; from 3 * floor on it is |x| to half a percent.

    Source: Betancourt 2013, SoftAbs with floor = 1 / alpha.
    """
    x = jnp.maximum(jnp.abs(x), 1e-4 * floor)  # at 0 the quotient is 0 / 0
    return x / jnp.tanh(x / floor)


def accept(key: Key, log_ratio: jax.Array, proposed: Tree, state: Tree) -> tuple[Tree, dict]:
    """Takes `proposed` with probability min(1, exp(log_ratio)), else stays at `state`.

    Args:
        key: of the decision.
        log_ratio: [], nats; NaN is a refusal.
        proposed: state after acceptance.
        state: state after refusal.

    Returns:
        The state, and info: `acceptance`, the probability, and `accepted`, 0 or 1.
    """
    log_ratio = jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio)
    accepted = jnp.log(jax.random.uniform(key)) < log_ratio
    state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state)
    return state, {
        "acceptance": jnp.exp(jnp.minimum(log_ratio, 0.0)),
        "accepted": accepted.astype(float),
    }


def normal_like(key: Key, tree: Tree) -> Tree:
    """Standard normal noise shaped like `tree`, one key per leaf."""
    leaves, structure = jax.tree.flatten(tree)
    noise = [
        jax.random.normal(own, x.shape, x.dtype)
        for own, x in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noise)
