"""Hamiltonian Monte Carlo.

    momentum p ~ N(0, M),   energy H(q, p) = -log density(q) + p' M^-1 p / 2
    repeat num_steps times (leapfrog):
        p = p + step_size/2 * grad log density(q)
        q = q + step_size * M^-1 p
        p = p + step_size/2 * grad log density(q)
    accept with probability min(1, exp(H before - H after))

The leapfrog is reversible and keeps volume, and its error of H after a fixed time is
O(step_size^2). Source: Neal 2011 (MCMC using Hamiltonian dynamics), sections 2.3 and 3; 004
(Martinez-Ramon et al.), eq. 9.18 to 9.24, whose 9.22 prints k/2 for the half step k - 1/2. The
temperature T of 9.19 is this chain over `log_density(q) / T`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.bayes.metropolis import accept, normal_like
from jdl.core import Algorithm, Key, Tree, Variables


class HMCState(NamedTuple):
    """Where the chain is.

    Attributes:
        variables: its params are the position.
        log_density: [], nats, at the position.
        gradient: of the log density there, a tree like params.
    """

    variables: Variables
    log_density: jax.Array
    gradient: Tree


def hmc(
    log_density: Callable[[Tree], jax.Array],
    step_size: jax.Array | float,
    num_steps: int,
    inverse_mass: Tree = 1.0,
    *,
    jitter: float = 0.0,
    max_energy_error: float = 1000.0,
) -> Algorithm:
    """A Hamiltonian Monte Carlo chain over a tree of parameters.

    Few large leaves are faster than many small ones; one vector, as `jdl.bayes.sample` makes it, is
    the fastest.

    Args:
        log_density: params -> log density up to a constant, nats, shape [].
        step_size: of the leapfrog; `adaptive_hmc` finds it.
        num_steps: leapfrogs for a draw. Too few make a random walk.
        inverse_mass: diagonal of M^-1, a number or a tree like params; or, if params is one
            vector [D], all of M^-1 [D, D]. The (co)variances of the density serve best.
        jitter: each draw takes its step size uniformly from step_size * [1 - jitter, 1 + jitter],
            lest a trajectory closes upon itself (Neal 2011, section 3.2).
        max_energy_error: nats; a larger error, or none that is finite, is a divergence.

    Returns:
        An Algorithm; the batch is ignored. Info: `acceptance`, the probability of the proposal;
        `accepted`, 0 or 1; `energy`, H of the state that the draw ends in, and `energy_error`,
        H after - H before, nats; `diverged`, 0 or 1. Chains by `jax.vmap`.

    Example:
        >>> from jdl.train import run
        >>> chain = hmc(lambda x: -0.5 * jnp.sum(x**2), step_size=0.3, num_steps=5)
        >>> state = chain.init(Variables(jnp.zeros(2)))
        >>> _, info = run(chain, state, None, jax.random.key(0), length=100)
        >>> bool(info["acceptance"].mean() > 0.95)
        True
    """
    value_and_gradient = jax.value_and_grad(log_density)

    def init(variables, key=None):
        return HMCState(variables, *value_and_gradient(variables.params))

    def step(state, batch, key):
        key_momentum, key_jitter, key_accept = jax.random.split(key, 3)
        position, buffers = state.variables
        momentum = draw_momentum(key_momentum, position, inverse_mass)
        size = step_size * jax.random.uniform(key_jitter, [], minval=1 - jitter, maxval=1 + jitter)

        position, end, density, gradient = leapfrog(
            value_and_gradient, position, momentum, size, num_steps, inverse_mass, state[1:]
        )
        before = kinetic_energy(momentum, inverse_mass) - state.log_density
        after = kinetic_energy(end, inverse_mass) - density
        proposed = HMCState(Variables(position, buffers), density, gradient)
        state, info = accept(key_accept, before - after, proposed, state)
        return state, info | {
            "energy": jnp.where(info["accepted"] > 0, after, before),
            "energy_error": after - before,
            "diverged": (~(after - before < max_energy_error)).astype(float),
        }

    return Algorithm(init, step)


def leapfrog(
    value_and_gradient: Callable[[Tree], tuple[jax.Array, Tree]],
    position: Tree,
    momentum: Tree,
    step_size: jax.Array | float,
    num_steps: int,
    inverse_mass: Tree = 1.0,
    start: tuple[jax.Array, Tree] | None = None,
) -> tuple[Tree, Tree, jax.Array, Tree]:
    """Follows the Hamiltonian dynamics for `num_steps * step_size`, one gradient per step.

    Args:
        value_and_gradient: position -> (log density, its gradient).
        position: a tree.
        momentum: a tree like position.
        step_size: positive; with the momentum turned around, the way back.
        num_steps: leapfrogs.
        inverse_mass: M^-1, as for `hmc`.
        start: what `value_and_gradient` gives at `position`, if known.

    Returns:
        Position, momentum, log density and its gradient at the end.
    """
    value, gradient = value_and_gradient(position) if start is None else start

    def kick(momentum, gradient, time):
        return jax.tree.map(lambda p, g: p + time * g, momentum, gradient)

    def body(_, carry):
        position, momentum, _, gradient = carry
        momentum = kick(momentum, gradient, step_size / 2)
        position = jax.tree.map(
            lambda q, v: q + step_size * v, position, velocity(momentum, inverse_mass)
        )
        value, gradient = value_and_gradient(position)
        return position, kick(momentum, gradient, step_size / 2), value, gradient

    return jax.lax.fori_loop(0, num_steps, body, (position, momentum, value, gradient))


def velocity(momentum: Tree, inverse_mass: Tree = 1.0) -> Tree:
    """The velocity M^-1 p, a tree like the momentum; arguments as for `kinetic_energy`."""
    if _is_dense(inverse_mass, momentum):
        return inverse_mass @ momentum
    return jax.tree.map(lambda p, v: v * p, momentum, jax.tree.broadcast(inverse_mass, momentum))


def kinetic_energy(momentum: Tree, inverse_mass: Tree = 1.0) -> jax.Array:
    """The kinetic energy p' M^-1 p / 2.

    Args:
        momentum: a tree.
        inverse_mass: M^-1, as for `hmc`.

    Returns:
        [], nats.
    """
    terms = jax.tree.map(lambda p, v: jnp.sum(p * v), momentum, velocity(momentum, inverse_mass))
    return sum(jax.tree.leaves(terms)) / 2


def draw_momentum(key: Key, position: Tree, inverse_mass: Tree = 1.0) -> Tree:
    """Draws p ~ N(0, M).

    Args:
        key: of the draw.
        position: a tree.
        inverse_mass: M^-1, as for `hmc`.

    Returns:
        A tree like position.
    """
    noise = normal_like(key, position)
    if _is_dense(inverse_mass, position):
        # M = L^-T L^-1 for M^-1 = L L', so p = L^-T noise.
        lower = jnp.linalg.cholesky(inverse_mass)
        return jax.scipy.linalg.solve_triangular(lower.T, noise, lower=False)
    return jax.tree.map(
        lambda n, v: n / jnp.sqrt(v), noise, jax.tree.broadcast(inverse_mass, position)
    )


def _is_dense(inverse_mass, position):
    return getattr(position, "ndim", None) == 1 and getattr(inverse_mass, "ndim", None) == 2
