"""Stochastic gradient Langevin dynamics: draws from a posterior by gradients of mini-batches.

    sgld      params += e/2 g + sqrt(e) noise
    psgld     square = decay square + (1 - decay) g^2,   G = 1 / (damping + sqrt(square))
              params += e/2 G g + sqrt(e G) noise
    cyclical  sgld with e_k = e_0/2 (1 + cos(pi r_k)),   r_k = (k mod period) / period,
              without noise while r_k < exploration

with g = d log density(params, batch) / d params, e the step size of this step, noise ~ N(0, I).
Source: Welling and Teh 2011, eq. 4; Li et al. 2016 (Preconditioned SGLD), algorithm 1; Zhang et
al. 2020 (Cyclical stochastic gradient MCMC), eq. 1 and algorithm 1, whose step size is e/2, as is
BlackJAX's.

Nothing is refused, so there is a bias of order e. For a density of curvature h and gradients with
noise of variance s^2, the variance of the draws is (1 + e s^2/4) / (1 - e h/4) / h in place of
1/h, and from e h = 4 on they diverge. Step sizes that sum to infinity while their squares do not
remove it (Welling and Teh, eq. 2). Departs from Li et al. in two points. Their drift has the
further term Gamma/2, Gamma_i = dG_i/dparams_i, left out here as in their experiments. What it
leaves is a bias that no small step size removes: where the memory 1/(1 - decay) is not long against
the steps in which the walk forgets, G follows the position. And theirs is the square of the mean
gradient of an example's likelihood, ours that of the whole g; which is N^2 times larger, so that
damping is to be compared with g, and G is 1/N times theirs.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.bayes.metropolis import normal_like
from jdl.core import Algorithm, Tree, Variables

Schedule = Callable[[jax.Array], jax.Array | float]
BatchDensity = Callable[[Tree, Tree], jax.Array]


class LangevinState(NamedTuple):
    """Where the walk is.

    Attributes:
        variables: its params are the draw.
        count: [], steps made.
    """

    variables: Variables
    count: jax.Array


def sgld(
    log_density: BatchDensity,
    step_size: float | Schedule,
    *,
    temperature: float | Schedule = 1.0,
) -> Algorithm:
    """Stochastic gradient Langevin dynamics.

    Args:
        log_density: (params, batch) -> nats [], the likelihood of the batch counted N/B times;
            `jdl.bayes.log_posterior` with `num_examples` is one.
        step_size: e, the variance of the noise; a number, or an Optax schedule of the steps made.
            The drift is e/2 times the gradient.
        temperature: of the noise, whose variance is e times it; a number or a schedule. At 1 the
            draws are of the density, at 0 the walk climbs to its top.

    Returns:
        An Algorithm. Info, of this step: `log_density` of the batch before it, nats, and
        `step_size`.

    Example:
        The mean of N(0, 1) numbers, under a flat prior: N(mean of the data, 1/N).

        >>> import optax
        >>> from jdl.train import run
        >>> data = jnp.arange(8.0).reshape(4, 2)  # two batches in turn; the mean is 3.5
        >>> def log_density(mean, batch):
        ...     return -0.5 * 8 / 2 * jnp.sum((batch - mean) ** 2)
        >>> walk = sgld(log_density, optax.polynomial_schedule(0.1, 0.001, 1, 1000))
        >>> state = walk.init(Variables(jnp.zeros([])))
        >>> state, info = run(walk, state, jnp.tile(data, (500, 1)), jax.random.key(0))
        >>> bool(abs(state.variables.params - 3.5) < 1)
        True
    """

    def init(variables, key=None):
        return LangevinState(variables, jnp.int32(0))

    def step(state, batch, key):
        params, buffers = state.variables
        density, gradient = jax.value_and_grad(log_density)(params, batch)
        size, heat = (scheduled(x, state.count) for x in (step_size, temperature))
        params = _moved(params, gradient, normal_like(key, params), size, heat)
        info = {"log_density": density, "step_size": size}
        return LangevinState(Variables(params, buffers), state.count + 1), info

    return Algorithm(init, step)


class PreconditionedState(NamedTuple):
    """Where the walk of `psgld` is.

    Attributes:
        variables: its params are the draw.
        count: [], steps made.
        square: running mean of the squared gradient, a tree like params.
    """

    variables: Variables
    count: jax.Array
    square: Tree


def psgld(
    log_density: BatchDensity,
    step_size: float | Schedule,
    *,
    decay: float = 0.99,
    damping: float = 1e-5,
) -> Algorithm:
    """Stochastic gradient Langevin dynamics with the preconditioner of RMSProp.

    Args:
        log_density: (params, batch) -> nats [], the likelihood of the batch counted N/B times.
        step_size: e; a number, or an Optax schedule of the steps made. In the units of
            params * gradient, for G divides by the size of a gradient.
        decay: of the running mean of the squared gradient; the nearer to 1, the less bias.
        damping: of a gradient, nats per unit of params; keeps G below 1 / damping.

    Returns:
        An Algorithm; the running mean starts at the square of the first gradient. Info, of this
        step: `log_density` of the batch before it, nats, `step_size`, and `preconditioner`, the
        mean of G over the params.

    Raises:
        ValueError: decay outside of [0, 1), or damping not positive.
    """
    if not 0 <= decay < 1 or not damping > 0:
        raise ValueError(f"expected 0 <= decay < 1 and damping > 0; got {decay}, {damping}")

    def init(variables, key=None):
        return PreconditionedState(
            variables, jnp.int32(0), jax.tree.map(jnp.zeros_like, variables.params)
        )

    def step(state, batch, key):
        params, buffers = state.variables
        density, gradient = jax.value_and_grad(log_density)(params, batch)
        share = jnp.where(state.count == 0, 1.0, 1 - decay)  # from 0, the first G would be huge
        square = jax.tree.map(
            lambda v, g: (v + share * (g**2 - v)).astype(v.dtype), state.square, gradient
        )
        factor = jax.tree.map(lambda v: 1 / (damping + jnp.sqrt(v)), square)
        size = scheduled(step_size, state.count)
        sizes = jax.tree.map(lambda f: size * f, factor)
        params = _moved(params, gradient, normal_like(key, params), sizes)
        total = sum(jnp.sum(x) for x in jax.tree.leaves(factor))
        mean = total / sum(x.size for x in jax.tree.leaves(factor))
        info = {"log_density": density, "step_size": size, "preconditioner": mean}
        return PreconditionedState(Variables(params, buffers), state.count + 1, square), info

    return Algorithm(init, step)


def cyclical(
    log_density: BatchDensity, step_size: float, period: int, *, exploration: float = 0.8
) -> Algorithm:
    """Stochastic gradient Langevin dynamics in cycles: each finds a mode, then draws around it.

    Args:
        log_density: (params, batch) -> nats [], the likelihood of the batch counted N/B times.
        step_size: e_0, of the first step of a cycle; twice that of Zhang et al.
        period: steps of a cycle.
        exploration: the share of a cycle that climbs without noise; the draws are those after it.

    Returns:
        An Algorithm. Info, of this step: `log_density` of the batch before it, nats, `step_size`,
        and `sampling`, 1 if it made a draw and 0 if it explored.

    Raises:
        ValueError: exploration outside of [0, 1], or no positive period.

    Example:
        >>> from jdl.train import run
        >>> walk = cyclical(lambda x, batch: -0.5 * x**2, 0.1, 4, exploration=0.5)
        >>> state = walk.init(Variables(jnp.ones([])))
        >>> _, info = run(walk, state, None, jax.random.key(0), length=6)
        >>> info["sampling"].tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    """
    if not 0 <= exploration <= 1:
        raise ValueError(f"exploration is a share of a cycle, in [0, 1]; got {exploration}")
    first = math.ceil(exploration * period - 1e-9)  # the first step that samples

    def sampling(count):
        return (count % period >= first).astype(float)

    walk = sgld(log_density, cosine_cycles(step_size, period), temperature=sampling)

    def step(state, batch, key):
        after, info = walk.step(state, batch, key)
        return after, info | {"sampling": sampling(state.count)}

    return Algorithm(walk.init, step)


def cosine_cycles(peak: float, period: int) -> Schedule:
    """A schedule that falls from `peak` towards 0 along half a cosine, again and again.

        value(k) = peak/2 * (1 + cos(pi * (k mod period) / period)),   k = 0, 1, ...

    Args:
        peak: of the first step of a cycle.
        period: steps of a cycle, positive.

    Returns:
        A function of the number of steps made; an Optax schedule.

    Raises:
        ValueError: the period is not positive.

    Source: Zhang et al. 2020, eq. 1, and Loshchilov and Hutter 2017 with constant cycles.
    """
    if period < 1:
        raise ValueError(f"period is a number of steps, at least 1; got {period}")
    return lambda count: peak / 2 * (1 + jnp.cos(jnp.pi * (count % period) / period))


def scheduled(value: float | Schedule, count: jax.Array) -> jax.Array:
    """What a number, or a schedule of the steps made, is at this step; []."""
    return jnp.asarray(value(count) if callable(value) else value, float)


def _moved(params, gradient, noise, size, temperature=1.0):
    return jax.tree.map(
        lambda x, g, n, e: (x + e / 2 * g + jnp.sqrt(e * temperature) * n).astype(x.dtype),
        params,
        gradient,
        noise,
        jax.tree.broadcast(size, params),
    )
