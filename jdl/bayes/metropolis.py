"""Random-walk Metropolis.

    proposal = position + scale * noise,   noise ~ N(0, I)
    accept with probability min(1, density(proposal) / density(position))

The proposal is symmetric, so this leaves the density invariant. Source: Metropolis et al. 1953;
004 (Martinez-Ramon et al.), example 9.3.1, eq. 9.12, 9.13 and 9.17. Departs from 004 in two
points: the density is prior times likelihood, where 9.11 lacks the prior and has the ratio of
proposals inverted; and a covariance M enters as `scale`, whose square is the variance of each
entry. For a full M, chain over z with position = cholesky(M) z. M depends on no position (that
would need the ratio of proposals): the Hessian that 004 takes at each point is not that, it is
the inverse of a covariance, and indefinite where its example starts.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Algorithm, Key, Tree, Variables


class ChainState(NamedTuple):
    """Where the chain is.

    Attributes:
        variables: its params are the position.
        log_density: [], nats, at the position.
    """

    variables: Variables
    log_density: jax.Array


def metropolis(log_density: Callable[[Tree], jax.Array], scale: Tree) -> Algorithm:
    """A Metropolis chain over a tree of parameters.

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

    def init(variables, key=None):
        return ChainState(variables, log_density(variables.params))

    def step(state, batch, key):
        key_noise, key_accept = jax.random.split(key)
        position, buffers = state.variables
        proposal = jax.tree.map(
            lambda x, noise, s: x + s * noise,
            position,
            normal_like(key_noise, position),
            jax.tree.broadcast(scale, position),
        )
        density = log_density(proposal)
        proposed = ChainState(Variables(proposal, buffers), density)
        return accept(key_accept, density - state.log_density, proposed, state)

    return Algorithm(init, step)


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
