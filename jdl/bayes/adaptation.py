"""Chains that tune themselves in their first steps: the step size, and the scales of the density.

Step size, by dual averaging of the acceptance:

    h_t         = (1 - 1/(t + 10)) h_{t-1} + (target - acceptance_t) / (t + 10)
    log size_t  = log(10 * initial) - sqrt(t) / 0.05 * h_t
    log final_t = t^-0.75 log size_t + (1 - t^-0.75) log final_{t-1}

Scales: the (co)variances of the draws of a window are the inverse mass of the next, which is twice
as long; the search for the step size begins anew there. For the first 15 % and the last 10 % of the
warm-up the mass stays (at most 75 and 50 steps).

Source: Hoffman and Gelman 2014 (The No-U-Turn Sampler), algorithm 5, with its constants t0 = 10,
gamma = 0.05, kappa = 0.75, mu = log(10 * initial). Windows and shrinkage: Stan Reference Manual,
section "Automatic parameter tuning". Departs in one point: variances are shrunk towards their
geometric mean, and correlations towards 0, by as much as variances are towards 0.001 there.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.bayes.hmc import hmc
from jdl.bayes.metropolis import metropolis
from jdl.core import Algorithm, Tree, Variables

SMALLEST = 1e-12  # variance, of params that never moved

LogDensity = Callable[[Tree], jax.Array]


class DualAveraging(NamedTuple):
    """Where the search for a step size is.

    Attributes:
        log_size: [], to be used for the next draw.
        log_final: [], the running mean of it, to be used after the search.
        shortfall: [], mean of target - acceptance.
        count: [], draws so far.
        log_initial: [], what the search started from.
    """

    log_size: jax.Array
    log_final: jax.Array
    shortfall: jax.Array
    count: jax.Array
    log_initial: jax.Array


def start_search(initial: jax.Array | float) -> DualAveraging:
    """A search that starts from a step size."""
    log_initial = jnp.log(jnp.asarray(initial, float))
    zero = jnp.zeros_like(log_initial)
    return DualAveraging(log_initial, log_initial, zero, zero, log_initial)


def dual_averaging(state: DualAveraging, acceptance: jax.Array, *, target: float) -> DualAveraging:
    """Moves the step size towards the one whose mean acceptance is `target`.

    Args:
        state: of the search.
        acceptance: [], probability of acceptance of the last draw.
        target: the acceptance aimed at.

    Returns:
        The state after the draw.
    """
    count = state.count + 1
    shortfall = state.shortfall + (target - acceptance - state.shortfall) / (count + 10)
    log_size = jnp.log(10.0) + state.log_initial - jnp.sqrt(count) / 0.05 * shortfall
    weight = count**-0.75
    log_final = weight * log_size + (1 - weight) * state.log_final
    return DualAveraging(log_size, log_final, shortfall, count, state.log_initial)


class Moments(NamedTuple):
    """Running moments of draws (Welford 1962).

    Attributes:
        count: [], draws so far.
        mean: of them, a tree like params.
        scatter: sum of squared deviations, a tree like params, or all products of a vector [D, D].
    """

    count: jax.Array
    mean: Tree
    scatter: Tree


class Mass(NamedTuple):
    """How the inverse mass is made of draws: `UNIT`, `DIAGONAL` or `DENSE`.

    Attributes:
        identity: position -> the inverse mass before there are draws.
        init: position -> Moments of no draws.
        update: (Moments, position) -> Moments of one draw more.
        inverse_mass: Moments -> the inverse mass, as for `hmc`.
    """

    identity: Callable[[Tree], Tree]
    init: Callable[[Tree], Moments]
    update: Callable[[Moments, Tree], Moments]
    inverse_mass: Callable[[Moments], Tree]


def _ones(position):
    return jax.tree.map(jnp.ones_like, position)


def _no_draws(position):
    zeros = jax.tree.map(jnp.zeros_like, position)
    return Moments(jnp.zeros([]), zeros, zeros)


def _no_draws_dense(position):
    return _no_draws(position)._replace(scatter=jnp.zeros_like(_eye(position)))


def _eye(position):
    if getattr(position, "ndim", None) != 1:
        raise ValueError(
            "a dense mass is of params that are one vector; got the tree "
            f"{jax.tree.map(jnp.shape, position)}. `jdl.bayes.sample` makes a vector of any"
        )
    return jnp.eye(position.size, dtype=position.dtype)


def _welford(product):
    def update(moments, position):
        count = moments.count + 1
        before = jax.tree.map(jnp.subtract, position, moments.mean)
        mean = jax.tree.map(lambda m, d: m + d / count, moments.mean, before)
        after = jax.tree.map(jnp.subtract, position, mean)
        added = jax.tree.map(product, before, after)
        return Moments(count, mean, jax.tree.map(jnp.add, moments.scatter, added))

    return update


def _shrunk(moments):
    """Geometrically, n/(n+5) of the variance and 5/(n+5) of the mean: the unit does not matter."""
    count = moments.count
    logs = jax.tree.map(
        lambda s: jnp.log(s / jnp.maximum(count - 1, 1) + SMALLEST), moments.scatter
    )
    mean = _mean(logs)
    return jax.tree.map(lambda x: jnp.exp((count * x + 5 * mean) / (count + 5)), logs)


def _shrunk_dense(moments):
    """Correlations, n/(n+5) of them."""
    covariance = moments.scatter / jnp.maximum(moments.count - 1, 1) + SMALLEST * _eye(moments.mean)
    diagonal = jnp.diag(jnp.diag(covariance))
    return (moments.count * covariance + 5 * diagonal) / (moments.count + 5)


UNIT = Mass(_ones, _no_draws, lambda moments, position: moments, lambda m: _ones(m.mean))
DIAGONAL = Mass(_ones, _no_draws, _welford(jnp.multiply), _shrunk)
DENSE = Mass(_eye, _no_draws_dense, _welford(jnp.outer), _shrunk_dense)


class AdaptedState(NamedTuple):
    """A chain and what it has learned of its density.

    Attributes:
        variables: its params are the position.
        chain: the state of the chain, without the variables.
        search: for the step size.
        moments: of the draws of the window.
        inverse_mass: in use.
        count: [], steps made.
    """

    variables: Variables
    chain: Any
    search: DualAveraging
    moments: Moments
    inverse_mass: Tree
    count: jax.Array


def adapted(
    build: Callable[[jax.Array, Tree], Algorithm],
    num_warmup: int,
    *,
    target: float,
    initial: float,
    mass: Mass = DIAGONAL,
) -> Algorithm:
    """Any chain that has a step size and an inverse mass, tuned in its first steps.

    Args:
        build: (step size, inverse mass) -> the chain, whose state does not depend on either and
            whose info has `acceptance`.
        num_warmup: steps that tune; leave their draws out. None do with 0.
        target: mean acceptance aimed at.
        initial: first step size; the next tries sizes near ten times that.
        mass: what the draws tell.

    Returns:
        An Algorithm; the batch is ignored. Info: that of the chain, and `step_size`. Chains by
        `jax.vmap` each have their own.

    Raises:
        ValueError: from `init`, a dense mass for params that are not one vector.
    """
    of_step = windows(0 if mass is UNIT else num_warmup)

    def init(variables, key=None):
        inverse_mass = mass.identity(variables.params)
        chain = build(jnp.asarray(initial, float), inverse_mass).init(variables, key)
        return AdaptedState(
            variables,
            chain._replace(variables=None),
            start_search(initial),
            mass.init(variables.params),
            inverse_mass,
            jnp.zeros([], int),
        )

    def step(state, batch, key):
        warm = state.count < num_warmup
        size = jnp.exp(jnp.where(warm, state.search.log_size, state.search.log_final))
        chain = state.chain._replace(variables=state.variables)
        chain, info = build(size, state.inverse_mass).step(chain, batch, key)
        acceptance = jnp.where(jnp.isfinite(info["acceptance"]), info["acceptance"], 0.0)

        search = dual_averaging(state.search, acceptance, target=target)
        collects, ended = (jnp.asarray(x)[jnp.minimum(state.count, len(x) - 1)] for x in of_step)
        moments = mass.update(state.moments, chain.variables.params)
        moments = where(collects, moments, state.moments)
        before = state.search, state.moments, state.inverse_mass
        after = close_window(ended, mass, search, moments, state.inverse_mass)
        tuned = where(warm, after, before)
        state = AdaptedState(
            chain.variables, chain._replace(variables=None), *tuned, state.count + 1
        )
        return state, info | {"step_size": size}

    return Algorithm(init, step)


def adaptive_hmc(
    log_density: LogDensity,
    num_warmup: int,
    *,
    num_steps: int = 32,
    target: float = 0.8,
    initial: float = 0.01,
    jitter: float = 0.2,
    mass: Mass = DIAGONAL,
) -> Algorithm:
    """Hamiltonian Monte Carlo that finds its step size and mass.

    Args:
        log_density: params -> log density up to a constant, nats, shape [].
        num_warmup: steps that tune; leave their draws out.
        num_steps: leapfrogs for a draw. For a network take more, some 100 to 1,000, as long as
            the effective draws a second grow; NUTS and `chees_hmc` find the length themselves.
        target: mean acceptance aimed at, 0.65 to 0.95: the higher, the fewer divergences.
        initial: first step size.
        jitter: see `hmc`.
        mass: `DIAGONAL`, `UNIT`, or `DENSE` for params that are one vector.

    Returns:
        An Algorithm; info as of `hmc`, and `step_size`.

    Example:
        >>> from jdl.train import run
        >>> chain = adaptive_hmc(lambda x: -0.5 * jnp.sum((x / jnp.array([0.1, 3.0])) ** 2), 300)
        >>> state = chain.init(Variables(jnp.ones(2)))
        >>> state, info = run(chain, state, None, jax.random.key(0), length=400)
        >>> bool(0.6 < info["acceptance"][300:].mean() < 0.99)
        True
    """

    def build(step_size, inverse_mass):
        return hmc(log_density, step_size, num_steps, inverse_mass, jitter=jitter)

    return adapted(build, num_warmup, target=target, initial=initial, mass=mass)


def adaptive_metropolis(
    log_density: LogDensity,
    num_warmup: int,
    *,
    target: float = 0.234,
    initial: float = 0.1,
    mass: Mass = DIAGONAL,
) -> Algorithm:
    """Random-walk Metropolis that finds its scale, for densities without a gradient.

    Args:
        log_density: params -> log density up to a constant, nats, shape [].
        num_warmup: steps that tune; leave their draws out.
        target: mean acceptance aimed at; 0.234 is best in many dimensions, 0.44 in one (Roberts,
            Gelman, Gilks 1997).
        initial: first scale.
        mass: `DIAGONAL` or `UNIT`.

    Returns:
        An Algorithm; info as of `metropolis`, and `step_size`.

    Raises:
        ValueError: a dense mass.
    """
    if mass is DENSE:
        raise ValueError(
            "the walk of `metropolis` takes a scale for each entry: mass is DIAGONAL or UNIT; got "
            "DENSE. Over positions cholesky(C) z, the walk over z has covariance C"
        )

    def build(step_size, inverse_mass):
        return metropolis(log_density, jax.tree.map(lambda v: step_size * v**0.5, inverse_mass))

    return adapted(build, num_warmup, target=target, initial=initial, mass=mass)


def windows(num_warmup: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each step of a warm-up adds to the moments, and whether a window ends with it.

    Args:
        num_warmup: steps.

    Returns:
        Two arrays of bool, [num_warmup] or [1].
    """
    first, last = min(75, num_warmup * 15 // 100), min(50, num_warmup // 10)
    collects, ends = np.zeros([2, max(num_warmup, 1)], bool)
    begin, length, end = first, 25, num_warmup - last
    while begin < end:
        stop = begin + length if begin + 3 * length <= end else end
        collects[begin:stop], ends[stop - 1] = True, True
        begin, length = stop, 2 * length
    return collects, ends


def close_window(
    ended: jax.Array, mass: Mass, search: DualAveraging, moments: Moments, inverse_mass: Tree
) -> tuple[DualAveraging, Moments, Tree]:
    """What a chain goes on with after a step: a window that ended gives a mass, all else is anew.

    Args:
        ended: [], whether a window ended with the step; if not, nothing changes.
        mass: what the draws tell.
        search: for the step size, which begins anew where it was.
        moments: of the draws of the window.
        inverse_mass: in use until now.

    Returns:
        The last three arguments, after the step.
    """
    anew = start_search(jnp.exp(search.log_final)), mass.init(moments.mean)
    return where(ended, (*anew, mass.inverse_mass(moments)), (search, moments, inverse_mass))


def _mean(tree):
    leaves = jax.tree.leaves(tree)
    return sum(x.sum() for x in leaves) / sum(x.size for x in leaves)


def where(condition: jax.Array, new: Tree, old: Tree) -> Tree:
    """`jnp.where` of two trees with one condition []."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), new, old)
