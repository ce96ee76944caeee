"""Warm-up of a chain: the step size by dual averaging, the scales from a first batch of draws.

    h_t         = (1 - 1/(t + 10)) h_{t-1} + (target - acceptance_t) / (t + 10)
    log size_t  = log(10 * initial) - sqrt(t) / 0.05 * h_t
    log final_t = t^-0.75 log size_t + (1 - t^-0.75) log final_{t-1}

Source: Hoffman and Gelman 2014 (The No-U-Turn Sampler), algorithm 5, with its constants t0 = 10,
gamma = 0.05, kappa = 0.75, mu = log(10 * initial).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.bayes.hmc import hmc
from jdl.core import Algorithm, Key, Tree, Variables
from jdl.train.run import run


class DualAveraging(NamedTuple):
    """Where the search for a step size is.

    Attributes:
        log_size: [], to be used for the next draw.
        log_final: [], the running mean of it, to be used after the search.
        shortfall: [], mean of target - acceptance.
        count: [], draws so far.
    """

    log_size: jax.Array
    log_final: jax.Array
    shortfall: jax.Array
    count: jax.Array


def dual_averaging(
    state: DualAveraging, acceptance: jax.Array, *, target: float, initial: float
) -> DualAveraging:
    """Moves the step size towards the one whose mean acceptance is `target`.

    Args:
        state: of the search.
        acceptance: [], probability of acceptance of the last draw.
        target: the acceptance aimed at.
        initial: the step size that the search started from.

    Returns:
        The state after the draw.
    """
    count = state.count + 1
    shortfall = state.shortfall + (target - acceptance - state.shortfall) / (count + 10)
    log_size = jnp.log(10 * initial) - jnp.sqrt(count) / 0.05 * shortfall
    weight = count**-0.75
    return DualAveraging(
        log_size, weight * log_size + (1 - weight) * state.log_final, shortfall, count
    )


def tuned_step_size(
    build: Callable[[jax.Array], Algorithm],
    variables: Variables,
    key: Key,
    *,
    length: int,
    target: float = 0.8,
    initial: float = 0.01,
) -> tuple[jax.Array, Any]:
    """Finds the step size of any chain whose info has `acceptance`.

    Args:
        build: step size -> Algorithm, such as `lambda size: hmc(log_density, size, 20)`.
        variables: where the chain starts.
        key: of the draws.
        length: draws.
        target: mean acceptance aimed at: 0.65 to 0.9 for HMC, 0.234 for Metropolis.
        initial: step size of the first draw; the second tries sizes near ten times that.

    Returns:
        The step size [], and the state of the chain after the last draw.
    """
    log_initial = jnp.log(jnp.asarray(initial, float))
    search = DualAveraging(log_initial, jnp.zeros([]), jnp.zeros([]), jnp.zeros([]))

    def body(carry, key):
        search, state = carry
        state, info = build(jnp.exp(search.log_size)).step(state, None, key)
        search = dual_averaging(search, info["acceptance"], target=target, initial=initial)
        return (search, state), None

    start = (search, build(initial).init(variables))
    (search, state), _ = jax.lax.scan(body, start, jax.random.split(key, length))
    return jnp.exp(search.log_final), state


class Tuned(NamedTuple):
    """What warm-up found.

    Attributes:
        algorithm: the tuned chain.
        state: its state.
        step_size: [].
        inverse_mass: a tree like params.
    """

    algorithm: Algorithm
    state: Any
    step_size: jax.Array
    inverse_mass: Tree


def warmed_up(
    log_density: Callable[[Tree], jax.Array],
    num_steps: int,
    variables: Variables,
    key: Key,
    *,
    length: int = 500,
    target: float = 0.8,
    initial: float = 0.01,
    jitter: float = 0.0,
) -> Tuned:
    """An HMC chain with step size and diagonal mass tuned to the density.

    Three phases: the step size at unit mass (30 % of the draws), the variances of the params
    (40 %), the step size at that mass (30 %). The variances of n draws are shrunk as Stan does it:
    n/(n+5) * variance + 5/(n+5) * mean variance, here towards the mean of all entries.

    Args:
        log_density: params -> log density up to a constant, nats, shape [].
        num_steps: leapfrogs for a draw.
        variables: where the chain starts.
        key: of the draws.
        length: draws of the warm-up.
        target: mean acceptance aimed at.
        initial: first step size.
        jitter: see `hmc`.

    Returns:
        The chain, its state, its step size and inverse mass. Within a function that is mapped
        over chains, each has its own.

    Raises:
        ValueError: fewer than 20 draws.
    """
    if length < 20:
        raise ValueError(f"warm-up needs at least 20 draws; got length={length}")
    keys, part = jax.random.split(key, 3), length * 3 // 10

    def build(size, inverse_mass=1.0):
        return hmc(log_density, size, num_steps, inverse_mass, jitter=jitter)

    size, state = tuned_step_size(
        build, variables, keys[0], length=part, target=target, initial=initial
    )
    state, draws = run(
        build(size),
        state,
        None,
        keys[1],
        length=length - 2 * part,
        keep=lambda state, info: state.variables.params,
    )
    inverse_mass = shrunk_variances(draws)
    size, state = tuned_step_size(
        lambda size: build(size, inverse_mass),
        state.variables,
        keys[2],
        length=part,
        target=target,
        initial=size / jnp.sqrt(_mean(inverse_mass)),
    )
    return Tuned(build(size, inverse_mass), state, size, inverse_mass)


def shrunk_variances(draws: Tree) -> Tree:
    """Variances of draws, drawn towards their common mean by five draws' worth.

    Args:
        draws: tree of arrays [n, ...].

    Returns:
        Tree of arrays [...].
    """
    count = jax.tree.leaves(draws)[0].shape[0]
    variances = jax.tree.map(lambda x: jnp.var(x, axis=0), draws)
    mean = _mean(variances)
    return jax.tree.map(lambda v: (count * v + 5 * mean) / (count + 5), variances)


def _mean(tree):
    leaves = jax.tree.leaves(tree)
    return sum(x.sum() for x in leaves) / sum(x.size for x in leaves)
