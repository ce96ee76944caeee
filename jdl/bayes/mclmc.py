"""Microcanonical Langevin Monte Carlo: a chain of constant speed, that refuses no step.

    velocity u, |u| = 1, in D dimensions;  position x;  scales s = sqrt(inverse mass)
    step = V(b) X(1/2) V(1 - 2 b) X(1/2) V(b), then R,  b = 0.1931833
        X(a):  x = x + a * step_size * s u
        V(a):  g = s * grad log density(x),  e = g / |g|,  d = a * step_size * |g| / (D - 1)
               u = [u + e (sinh d + e'u (cosh d - 1))] / (cosh d + e'u sinh d)
               kinetic energy = kinetic energy + (D - 1) log(cosh d + e'u sinh d)
        R:     u = (u + n z) / |u + n z|,  z ~ N(0, I),  n^2 = (exp(2 step_size / length) - 1) / D
    energy change = change of kinetic energy - change of log density, without R: 0 for small steps

Unadjusted: as no step is refused, the draws are biased, by as much as the step size is large. What
tells is the variance of the energy change of a step per dimension, which `adaptive_mclmc` aims at.
Where the bias matters, compare with a target ten times smaller, or with `adaptive_hmc`. Of networks
a few steps have energy changes far above all others, and the search gives them little weight: there
the mean was 10 to 2,000 times the target (the median is below it).

Source: Robnik, De Luca, Silverstein, Seljak 2023 (Microcanonical Hamiltonian Monte Carlo); Robnik
and Seljak 2024 (Fluctuation without dissipation: microcanonical Langevin Monte Carlo), with their
minimal norm integrator; V is of Steeg and Galstyan 2021 (Hamiltonian dynamics with non-Newtonian
momentum for rapid sampling).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.bayes.adaptation import DIAGONAL, UNIT, Mass, Moments, where, windows
from jdl.core import Algorithm, Variables

MINIMAL_NORM = 0.1931833275037836  # b
MEMORY = 150  # steps that the search for a step size remembers
TRUST = 6 * 1.5  # standard deviation of the weight of an observation, in log energy change^2
SMALLEST = 1e-8  # times the target, so that there is a logarithm
REFUSED = 64.0  # times the target, what a refused step counts for: half the step size

LogDensity = Callable[[jax.Array], jax.Array]
Point = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


class MCLMCState(NamedTuple):
    """Where the chain is, and where it goes.

    Attributes:
        variables: its params are the position [D].
        velocity: [D], of length 1, of position / sqrt(inverse mass).
        log_density: [], nats, at the position.
        gradient: of it, [D].
    """

    variables: Variables
    velocity: jax.Array
    log_density: jax.Array
    gradient: jax.Array


def mclmc(
    log_density: LogDensity,
    step_size: jax.Array | float,
    length: jax.Array | float,
    inverse_mass: jax.Array | float = 1.0,
    *,
    num_steps: int = 1,
) -> Algorithm:
    """A microcanonical Langevin chain over one vector of params.

    Args:
        log_density: vector [D] -> log density up to a constant, nats, shape [].
        step_size: distance that a step covers, in units of sqrt(inverse mass). The bias grows with
            it.
        length: distance after which the velocity is forgotten, in these units; about the diameter
            of the density, sqrt(D) if it is white. `jnp.inf` never forgets.
        inverse_mass: [D] or one number; the variances of the density serve best.
        num_steps: steps for a draw, of two gradients each.

    Returns:
        An Algorithm; the batch is ignored. Info: `log_density`, nats; `energy_change`, of all steps
        of the draw together, nats; `energy_variance`, the mean over these steps of
        energy change^2 / D; `diverged`, 1 if that of a step was not finite: it is not made, and the
        velocity drawn again. The first velocity is drawn with the key of `init`; without one, all
        its entries are equal.

    Raises:
        ValueError: from `init`, params that are not one vector of two entries or more.

    Example:
        >>> from jdl.train import run
        >>> chain = mclmc(lambda x: -0.5 * jnp.sum(x**2), step_size=1.0, length=3.0)
        >>> state = chain.init(Variables(jnp.ones(10)))
        >>> _, info = run(chain, state, None, jax.random.key(0), length=500)
        >>> bool(info["energy_variance"].mean() < 5e-3)
        True
    """
    flow = jax.value_and_grad(log_density)

    def init(variables, key=None):
        return _begin(flow, variables, key)

    def step(state, batch, key):
        def body(state, key):
            return _langevin(flow, state, step_size, length, inverse_mass, key)

        state, changes = jax.lax.scan(body, state, jax.random.split(key, num_steps))
        return state, _info(state, *changes)

    return Algorithm(init, step)


class StepSearch(NamedTuple):
    """Where the search for a step size is.

    Attributes:
        log_size: [], to be used for the next step.
        log_final: [], the running mean of it, to be used after the search.
        weight: [], of all observations, the old ones forgotten.
        rate: [], their weighted sum of energy change^2 / (target D step_size^6).
        count: [], observations.
    """

    log_size: jax.Array
    log_final: jax.Array
    weight: jax.Array
    rate: jax.Array
    count: jax.Array


class AdaptiveMCLMCState(NamedTuple):
    """A chain and what it has learned of its density.

    Attributes:
        variables: its params are the position [D].
        chain: its MCLMCState, without the variables.
        search: for the step size.
        moments: of the draws of the window.
        length: [], in use.
        inverse_mass: [D], in use.
        count: [], draws made.
    """

    variables: Variables
    chain: MCLMCState
    search: StepSearch
    moments: Moments
    length: jax.Array
    inverse_mass: jax.Array
    count: jax.Array


def adaptive_mclmc(
    log_density: LogDensity,
    num_warmup: int,
    *,
    steps_per_draw: int = 32,
    target: float = 5e-4,
    initial: float = 0.01,
    length_factor: float = 3.0,
    mass: Mass = UNIT,
) -> Algorithm:
    """Microcanonical Langevin Monte Carlo that finds its step size and length.

        step size:  (weighted mean of energy change^2 / (target D step_size^6))^(-1/6)
        length:     length_factor * sqrt(sum of the variances of the params)

    the weights being normal in the logarithm of energy change^2 / (target D), times 149/151 with
    each step to come. The variances are those of a window of `jdl.bayes.adaptation`. After the
    warm-up the step size is the mean of its logarithm in the search, a step counting as much as
    its number.

    Args:
        log_density: vector [D] -> log density up to a constant, nats, shape [];
            `jdl.bayes.sample` makes a vector of any params.
        num_warmup: draws that tune; leave them out.
        steps_per_draw: steps for a draw, of two gradients each. For a network take 100 to 1,000:
            as many as make draws that are hardly correlated.
        target: variance of the energy change of a step per dimension. The bias falls with it, the
            step size as its sixth root.
        initial: first step size; the search starts well from a small one.
        length_factor: 1 in the paper; 3 gave 0.9 to 2.3 times its effective draws in single runs of
            a logistic regression and of networks of 16 and 471 params.
        mass: `UNIT`, or `DIAGONAL` for params of different scales.

    Returns:
        An Algorithm; the batch is ignored. Info: as of `mclmc`, and `step_size`, which is the mean
        so far in the warm-up, `length`, `num_steps`.

    Raises:
        ValueError: another mass; from `init`, params that are not one vector of two or more.

    Source: Robnik et al. 2023, section 4; Robnik, Cohn-Gordon, Seljak 2024 (Black-box unadjusted
    Hamiltonian Monte Carlo), with their constants. Departs in four points: the step size is that
    mean, not the last; it grows by a tenth at most from a step to the next, so that the search may
    start small; the first steps, on the way to the typical set, are forgotten sooner; and a refused
    step counts as one of twice the right size. Of their two estimates of the length it has the
    first, times a factor; the second, 0.4 * step size * autocorrelation time, needs draws that are
    independent already.

    Example:
        >>> from jdl.train import run
        >>> chain = adaptive_mclmc(lambda x: -0.5 * jnp.sum(x**2), 200, steps_per_draw=8)
        >>> state = chain.init(Variables(jnp.ones(10)), jax.random.key(0))
        >>> state, info = run(chain, state, None, jax.random.key(1), length=400)
        >>> bool(1e-4 < info["energy_variance"][200:].mean() < 2e-3)
        True
    """
    if mass is not UNIT and mass is not DIAGONAL:
        raise ValueError("the mass is `UNIT` or `DIAGONAL`; this chain has no other")
    flow = jax.value_and_grad(log_density)
    learn = _learner(num_warmup, length_factor, mass)

    def init(variables, key=None):
        chain, position = _begin(flow, variables, key), variables.params
        return AdaptiveMCLMCState(
            variables,
            chain._replace(variables=None),
            _start_search(jnp.log(jnp.asarray(initial, float))),
            DIAGONAL.init(position),
            length_factor * jnp.sqrt(jnp.asarray(position.size, float)),
            jnp.ones_like(position),
            jnp.zeros([], int),
        )

    def step(state, batch, key):
        warm, unit = state.count < num_warmup, target * state.variables.params.size

        def body(carry, key):
            chain, search = carry
            size = jnp.exp(jnp.where(warm, search.log_size, search.log_final))
            chain, (change, finite) = _langevin(
                flow, chain, size, state.length, state.inverse_mass, key
            )
            observed = jnp.where(finite, change**2 / unit, REFUSED)
            return (chain, where(warm, _searched(search, observed), search)), (change, finite)

        carry = state.chain._replace(variables=state.variables), state.search
        carry, changes = jax.lax.scan(body, carry, jax.random.split(key, steps_per_draw))
        chain, search = carry
        info = _info(chain, *changes) | {
            "step_size": jnp.exp(search.log_final),
            "length": state.length,
            "num_steps": jnp.asarray(steps_per_draw),
        }
        tuned = state._replace(variables=chain.variables, search=search)
        tuned = where(warm, learn(tuned), tuned)
        return tuned._replace(chain=chain._replace(variables=None), count=state.count + 1), info

    return Algorithm(init, step)


def _learner(num_warmup, length_factor, mass):
    """State with the position of the last draw -> state with what it tells."""
    collects, ends = windows(num_warmup)

    def learn(state):
        index = jnp.minimum(state.count, len(ends) - 1)
        moments = DIAGONAL.update(state.moments, state.variables.params)
        moments = where(jnp.asarray(collects)[index], moments, state.moments)
        inverse_mass = mass.inverse_mass(moments)
        variances = moments.scatter / jnp.maximum(moments.count - 1, 1)
        diameter = jnp.sqrt(jnp.sum(variances / inverse_mass))
        length = length_factor * jnp.maximum(diameter, jnp.exp(state.search.log_final))
        learned = state._replace(
            search=state.search if mass is UNIT else _start_search(state.search.log_size),
            moments=DIAGONAL.init(moments.mean),
            length=length,
            inverse_mass=inverse_mass,
        )
        return where(jnp.asarray(ends)[index], learned, state._replace(moments=moments))

    return learn


def _start_search(log_size):
    zero = jnp.zeros_like(log_size)
    return StepSearch(log_size, log_size, zero, zero, zero)


def _searched(search, observed):
    """The search after a step whose energy change^2 was `observed` times the target's."""
    observed = observed + SMALLEST
    weight = jnp.exp(-0.5 * (jnp.log(observed) / TRUST) ** 2)
    memory = jnp.minimum(1 + search.count / 8, MEMORY)
    kept = (memory - 1) / (memory + 1)
    total = kept * search.weight + weight
    rate = kept * search.rate + weight * observed * jnp.exp(-6 * search.log_size)
    log_size = (jnp.log(total) - jnp.log(rate)) / 6
    log_size = jnp.minimum(log_size, search.log_size + jnp.log(1.1))
    count = search.count + 1
    log_final = search.log_final + 2 / (count + 1) * (log_size - search.log_final)
    return StepSearch(log_size, log_final, total, rate, count)


def minimal_norm(
    value_and_gradient: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    start: Point,
    step_size: jax.Array | float,
    inverse_mass: jax.Array | float = 1.0,
) -> tuple[Point, jax.Array]:
    """One step of the dynamics without noise, of two gradients.

    Args:
        value_and_gradient: position [D] -> (log density, its gradient).
        start: position, unit velocity, and the log density and gradient there.
        step_size: positive; with the velocity turned around, the way back.
        inverse_mass: [D] or one number.

    Returns:
        Where it ends, as `start`, and the energy change, nats [], O(step_size^3).
    """
    position, unit, before, gradient = start
    scales, middle = jnp.sqrt(inverse_mass), 1 - 2 * MINIMAL_NORM

    unit, first = _turned(unit, scales * gradient, MINIMAL_NORM * step_size)
    position = position + step_size / 2 * scales * unit
    unit, second = _turned(unit, scales * value_and_gradient(position)[1], middle * step_size)
    position = position + step_size / 2 * scales * unit
    after, gradient = value_and_gradient(position)
    unit, third = _turned(unit, scales * gradient, MINIMAL_NORM * step_size)
    return (position, unit, after, gradient), first + second + third - (after - before)


def _turned(unit, gradient, time):
    """V of the formula, divided by exp(d) so that nothing overflows, and its kinetic energy."""
    norm = jnp.linalg.norm(gradient)
    along = gradient / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny)
    cosine, angle = along @ unit, time * norm / (unit.size - 1)
    less = jnp.exp(-angle)
    turned = along * (1 - less) * (1 + less + cosine * (1 - less)) + 2 * less * unit
    gained = angle + jnp.log1p((1 - cosine) / 2 * jnp.expm1(-2 * angle))
    return turned / jnp.linalg.norm(turned), (unit.size - 1) * gained


def _begin(flow, variables, key):
    position = variables.params
    if getattr(position, "ndim", None) != 1 or position.size < 2:
        raise ValueError(
            "this chain is over params that are one vector of two entries or more; got the tree "
            f"{jax.tree.map(jnp.shape, position)}. `jdl.bayes.sample` makes a vector of any"
        )
    noise = jnp.ones_like(position)
    if key is not None:
        noise = jax.random.normal(key, position.shape, position.dtype)
    return MCLMCState(variables, noise / jnp.linalg.norm(noise), *flow(position))


def _langevin(flow, state, step_size, length, inverse_mass, key):
    """The state after a step; its energy change, 0 if it is not finite, and whether it was."""
    (position, buffers), *rest = state
    start = position, *rest
    end, change = minimal_norm(flow, start, step_size, inverse_mass)
    finite = jnp.isfinite(change) & jnp.isfinite(end[3]).all()
    position, velocity, value, gradient = where(finite, end, start)
    noise = jax.random.normal(key, position.shape, position.dtype)
    amount = jnp.sqrt(jnp.expm1(2 * step_size / length) / position.size)
    velocity = jnp.where(finite, velocity + amount * noise, noise)
    velocity = velocity / jnp.linalg.norm(velocity)
    state = MCLMCState(Variables(position, buffers), velocity, value, gradient)
    return state, (jnp.where(finite, change, 0.0), finite)


def _info(state, changes, finite):
    return {
        "log_density": state.log_density,
        "energy_change": changes.sum(),
        "energy_variance": jnp.mean(changes**2) / state.velocity.size,
        "diverged": (~finite.all()).astype(float),
    }
