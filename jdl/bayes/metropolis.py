"""Random-walk Metropolis.

    proposal   = position + scale * normal
    accept with probability min(1, density(proposal) / density(position))

Source: seed 004, eq. 9.13 and 9.17, lines 8134-8186; Metropolis et al. 1953.
Leaves the density invariant because the proposal is symmetric; the seed's version with a
covariance M is `scale` given as a tree shaped like the position.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Algorithm, Variables


class ChainState(NamedTuple):
    variables: Variables
    log_density: jax.Array  # [], nats, at variables.params


def metropolis(log_density: Callable, scale) -> Algorithm:
    """Metropolis chain over a tree of parameters.

    Args:
        log_density: params -> log density up to a constant, nats, shape [].
        scale: standard deviation of a proposal; a number, or a tree like params.

    Returns:
        An Algorithm. `batch` is ignored. Info: `accepted`, 0 or 1.
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
            _like(scale, position),
        )
        density = log_density(proposal)
        accepted = jnp.log(jax.random.uniform(key_accept)) < density - state.log_density
        proposed = ChainState(Variables(proposal, buffers), density)
        state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state)
        return state, {"accepted": accepted.astype(float)}

    return Algorithm(init, step)


def normal_like(key, tree):
    """Standard normal noise shaped like `tree`, one key per leaf."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        structure, [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves)]
    )


def _like(scale, tree):
    return (
        jax.tree.map(lambda _: scale, tree)
        if jnp.ndim(scale) == 0 and not isinstance(scale, dict)
        else scale
    )
