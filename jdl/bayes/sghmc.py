"""Stochastic gradient Hamiltonian Monte Carlo: momentum, and friction against the batches' noise.

    params   += velocity
    velocity += e g - friction velocity + sqrt(2 (friction - noise_estimate) e) noise

with g = d log density(params, batch) / d params at the new params, noise ~ N(0, I) and e the step
size, times M^-1 if there is a mass. In a stationary state the velocity has variance near e.

Source: Chen, Fox and Guestrin 2014, algorithm 2 in the variables of eq. 15: e is their eta,
friction their alpha = eps C / M, noise_estimate their beta = eps B / M. A gradient whose noise has
variance s^2 in each entry brings variance e^2 s^2 to the velocity, so that the right
noise_estimate is e s^2 / 2; 0, the usual choice, takes the noise for small. Without friction the
density would not be invariant (their corollary 3.1): the noise heats the draws. Departs from their
algorithm in that the momentum is never drawn afresh; eq. 15 does not either. The gradient is taken
after the move, as theirs; before it, as BlackJAX has it, is Euler's rule, which heats as well.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.bayes.metropolis import normal_like
from jdl.bayes.sgld import BatchDensity, Schedule, scheduled
from jdl.core import Algorithm, Tree, Variables


class SGHMCState(NamedTuple):
    """Where the walk is.

    Attributes:
        variables: its params are the draw.
        count: [], steps made.
        velocity: a tree like params, the next change of them.
    """

    variables: Variables
    count: jax.Array
    velocity: Tree


def sghmc(
    log_density: BatchDensity,
    step_size: float | Schedule,
    *,
    friction: float = 0.1,
    noise_estimate: Tree = 0.0,
    inverse_mass: Tree = 1.0,
) -> Algorithm:
    """Stochastic gradient Hamiltonian Monte Carlo.

    Args:
        log_density: (params, batch) -> nats [], the likelihood of the batch counted N/B times;
            `jdl.bayes.log_posterior` with `num_examples` is one.
        step_size: e, a learning rate: the square of the time of a step; a number, or an Optax
            schedule of the steps made.
        friction: the share of the velocity that a step loses, in (0, 1]; 1 less momentum.
        noise_estimate: the share of the friction that the batches' noise makes up for, at most
            friction; a number, or a tree like params.
        inverse_mass: diagonal of M^-1, the preconditioner; a number, or a tree like params. The
            variances of the density serve best.

    Returns:
        An Algorithm whose velocity starts at 0. Info, of this step: `log_density` of the batch
        after the move, nats; `step_size`; `kinetic`, velocity^2 / (2 e M^-1) summed, nats: near
        0.5 / (1 - friction/2) for each entry if step size and noise_estimate are right.

    Raises:
        ValueError: a number for friction outside of (0, 1], or for noise_estimate outside of
            [0, friction].

    Example:
        >>> from jdl.train import run
        >>> walk = sghmc(lambda x, batch: -0.5 * jnp.sum(x**2), 0.01)
        >>> state = walk.init(Variables(jnp.zeros(100)))
        >>> _, info = run(walk, state, None, jax.random.key(0), length=500)
        >>> bool(abs(info["kinetic"][100:].mean() / 50 - 1) < 0.1)
        True
    """
    _check(friction, noise_estimate)

    def init(variables, key=None):
        return SGHMCState(variables, jnp.int32(0), jax.tree.map(jnp.zeros_like, variables.params))

    def step(state, batch, key):
        params, buffers = state.variables
        size = scheduled(step_size, state.count)
        params = jax.tree.map(jnp.add, params, state.velocity)
        density, gradient = jax.value_and_grad(log_density)(params, batch)
        sizes = jax.tree.map(lambda v: size * v, jax.tree.broadcast(inverse_mass, params))

        def kicked(velocity, gradient, noise, e, estimate):
            spread = jnp.sqrt(2 * (friction - estimate) * e)
            after = (1 - friction) * velocity + e * gradient + spread * noise
            return after.astype(velocity.dtype)

        velocity = jax.tree.map(
            kicked,
            state.velocity,
            gradient,
            normal_like(key, params),
            sizes,
            jax.tree.broadcast(noise_estimate, params),
        )
        energies = jax.tree.map(lambda v, e: jnp.sum(v**2 / e) / 2, velocity, sizes)
        kinetic = sum(jax.tree.leaves(energies))
        info = {"log_density": density, "step_size": size, "kinetic": kinetic}
        return SGHMCState(Variables(params, buffers), state.count + 1, velocity), info

    return Algorithm(init, step)


def _check(friction, noise_estimate):
    highest = friction if isinstance(friction, float | int) else 1.0  # arrays may be traced
    estimates = [x for x in jax.tree.leaves(noise_estimate) if isinstance(x, float | int)]
    if not 0 < highest <= 1 or not all(0 <= x <= highest for x in estimates):
        raise ValueError(
            "expected 0 < friction <= 1 and 0 <= noise_estimate <= friction, as twice their "
            f"difference is the variance of the noise that is added; got {friction}, "
            f"{noise_estimate}"
        )
