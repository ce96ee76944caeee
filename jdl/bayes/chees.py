"""Hamiltonian Monte Carlo whose chains find the length of a trajectory together: ChEES.

    draw n follows the dynamics for u_n * time, in ceil(u_n * time / size) leapfrogs,
        u_n = 1/2, 1/4, 3/4, 1/8, ... (van der Corput), the same for all chains
    criterion = E[ (|q' - mean q'|^2 - |q - mean q|^2)^2 ] / 4
    its slope in log time, of chain m with end q', momentum p' and acceptance a:
        g_m = u_n * time * (|q' - mean q'|^2 - |q - mean q|^2) (q' - mean q')' p'
    log time = log time + Adam( sum_m a_m g_m / sum_m a_m )

All chains make the same number of leapfrogs in each draw, so none waits for another, as those of
NUTS under `jax.vmap` do: made for accelerators and many chains. Step size by dual averaging of the
harmonic mean of the acceptances, masses of the positions of all chains.

Source: Hoffman, Radul, Sountsov 2021 (An adaptive-MCMC scheme for setting trajectory lengths in
Hamiltonian Monte Carlo), eq. 11 and section 3.2, with acceptance 0.651. Departs in one point: a
mass is adapted in the windows of `jdl.bayes.adaptation`, norms being those of the whitened params;
with the first one the search for the time begins anew at pi/2, a quarter period of a unit normal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.bayes.adaptation import (
    DIAGONAL,
    UNIT,
    DualAveraging,
    Mass,
    Moments,
    close_window,
    dual_averaging,
    start_search,
    where,
    windows,
)
from jdl.bayes.hmc import draw_momentum, kinetic_energy, leapfrog
from jdl.bayes.metropolis import accept
from jdl.core import Algorithm, Tree, Variables


class Tuning(NamedTuple):
    """What the chains have learned.

    Attributes:
        search: for the step size.
        log_time: [], logarithm of the longest time.
        log_time_mean: [], its running mean, used after the warm-up.
        optimizer: Adam's state.
        moments: of the positions of all chains in the window.
        inverse_mass: in use, of one chain.
    """

    search: DualAveraging
    log_time: jax.Array
    log_time_mean: jax.Array
    optimizer: Any
    moments: Moments
    inverse_mass: Tree


class CheesState(NamedTuple):
    """Where all chains are.

    Attributes:
        variables: positions, leaves [chains, ...].
        log_density: [chains], nats.
        gradient: of it, like the positions.
        tuning: what they have learned.
        count: [], steps made.
    """

    variables: Variables
    log_density: jax.Array
    gradient: Tree
    tuning: Tuning
    count: jax.Array


def chees_hmc(
    log_density: Callable[[Tree], jax.Array],
    num_warmup: int,
    *,
    target: float = 0.651,
    initial: float = 0.01,
    max_num_steps: int = 1000,
    learning_rate: float = 0.05,
    mass: Mass = DIAGONAL,
    max_energy_error: float = 1000.0,
) -> Algorithm:
    """Chains over a density that tune step size, mass and length together.

    Args:
        log_density: params of one chain -> log density up to a constant, nats, shape [].
        num_warmup: steps that tune; leave their draws out.
        target: harmonic mean of the acceptances aimed at.
        initial: first step size; the first time is ten of them.
        max_num_steps: most leapfrogs of a draw.
        learning_rate: of Adam, on log time.
        mass: `DIAGONAL`, `UNIT`, or `DENSE` for params that are one vector.
        max_energy_error: see `hmc`.

    Returns:
        An Algorithm over all chains at once, for `jdl.bayes.sample_jointly`: the leaves of its
        variables have a leading axis of chains, at least two. The batch is ignored. Info, [chains]
        each: as of `hmc`, and `step_size`, `num_steps`.

    Raises:
        ValueError: from `init`, fewer than two chains.

    Example:
        >>> from jdl.train import run
        >>> chains = chees_hmc(lambda x: -0.5 * jnp.sum((x / jnp.array([0.1, 3.0])) ** 2), 200)
        >>> state = chains.init(Variables(jnp.ones([8, 2])))
        >>> state, info = run(chains, state, None, jax.random.key(0), length=300)
        >>> info["acceptance"].shape
        (300, 8)
    """
    value_and_gradient = jax.value_and_grad(log_density)
    adam = optax.adam(learning_rate, b1=0.0, b2=0.95)
    learn = _learner(num_warmup, target, max_num_steps, mass, adam)

    def init(variables, key=None):
        if (chains := len(jax.tree.leaves(variables.params)[0])) < 2:
            raise ValueError(f"chains that learn from each other are two or more; got {chains}")
        one = jax.tree.map(lambda x: x[0], variables.params)
        time = jnp.log(jnp.asarray(10 * initial, float))
        of_mass = mass.init(one), mass.identity(one)
        tuning = Tuning(start_search(initial), time, time, adam.init(time), *of_mass)
        start = jax.vmap(value_and_gradient)(variables.params)
        return CheesState(variables, *start, tuning, jnp.zeros([], int))

    def step(state, batch, key):
        warm, tuning = state.count < num_warmup, state.tuning
        size = jnp.exp(jnp.where(warm, tuning.search.log_size, tuning.search.log_final))
        longest = jnp.exp(jnp.where(warm, tuning.log_time, tuning.log_time_mean))
        time = van_der_corput(state.count) * longest
        num_steps = jnp.clip(jnp.ceil(time / size), 1, max_num_steps).astype(int)

        def trajectory(key, position, *start):
            mass, density = tuning.inverse_mass, start[0]
            momentum = draw_momentum(key, position, mass)
            end, turned, *rest = leapfrog(
                value_and_gradient, position, momentum, size, num_steps, mass, start
            )
            before, after = kinetic_energy(momentum, mass), kinetic_energy(turned, mass)
            return (end, *rest), turned, before - density, after - rest[0]

        chains, (position, buffers) = len(state.log_density), state.variables
        key_momentum, key_accept = (jax.random.split(k, chains) for k in jax.random.split(key))
        here = position, state.log_density, state.gradient
        there, momentum, before, after = jax.vmap(trajectory)(key_momentum, *here)
        (kept, *rest), info = jax.vmap(accept)(key_accept, before - after, there, here)

        weights = info["acceptance"]
        slope = time * length_slope(position, there[0], momentum, weights, tuning.inverse_mass)
        tuned = where(warm, learn(tuning, state.count, kept, weights, slope), tuning)
        state = CheesState(Variables(kept, buffers), *rest, tuned, state.count + 1)
        return state, info | {
            "energy": jnp.where(info["accepted"] > 0, after, before),
            "energy_error": after - before,
            "diverged": (~(after - before < max_energy_error)).astype(float),
            "step_size": jnp.full(chains, size),
            "num_steps": jnp.full(chains, num_steps),
        }

    return Algorithm(init, step)


def _learner(num_warmup, target, max_num_steps, mass, adam):
    """(tuning, steps made, positions, acceptances, slope in log time) -> tuning."""
    of_step = windows(0 if mass is UNIT else num_warmup)
    first = np.argmax(of_step[1])  # step with which a window ends

    def learn(tuning, count, positions, acceptance, slope):
        harmonic = 1 / jnp.mean(1 / jnp.maximum(acceptance, 1e-4))
        search = dual_averaging(tuning.search, harmonic, target=target)
        change, optimizer = adam.update(-slope, tuning.optimizer)
        log_time = tuning.log_time + jnp.clip(change, -0.35, 0.35)
        log_time = jnp.minimum(log_time, search.log_size + jnp.log(float(max_num_steps)))
        weight = search.count**-0.75
        log_time_mean = weight * log_time + (1 - weight) * tuning.log_time_mean

        def add(moments, position):
            return mass.update(moments, position), None

        collects, ended = (jnp.asarray(x)[jnp.minimum(count, len(x) - 1)] for x in of_step)
        added, _ = jax.lax.scan(add, tuning.moments, positions)
        moments = where(collects, added, tuning.moments)
        search, *of_mass = close_window(ended, mass, search, moments, tuning.inverse_mass)
        anew = jnp.log(jnp.pi / 2), jnp.log(jnp.pi / 2), adam.init(log_time)
        time = where(ended & (count == first), anew, (log_time, log_time_mean, optimizer))
        return Tuning(search, *time, *of_mass)

    return learn


def length_slope(
    before: Tree, after: Tree, momentum: Tree, acceptance: jax.Array, inverse_mass: Tree
) -> jax.Array:
    """The slope of the ChEES criterion in the time of a trajectory, over whitened params.

    Args:
        before: positions [chains, ...] at its start.
        after: at its end.
        momentum: at its end, like the positions.
        acceptance: [chains], the weights of the chains.
        inverse_mass: diagonal or dense, as for `hmc`.

    Returns:
        [], with the sign of the direction in which the criterion grows.
    """

    def centred(positions):
        return jax.tree.map(lambda x: x - x.mean(0, keepdims=True), positions)

    def sums(left, right):
        return sum(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum(x * y), left, right)))

    def whitened(position):
        if getattr(inverse_mass, "ndim", None) == 2 and jnp.ndim(position) == 1:
            return jnp.linalg.solve(inverse_mass, position)
        return jax.tree.map(jnp.divide, position, inverse_mass)

    def squared(position):
        return sums(position, whitened(position))

    start, end = centred(before), centred(after)
    growth = jax.vmap(squared)(end) - jax.vmap(squared)(start)
    slopes = growth * jax.vmap(sums)(end, momentum)
    usable = jnp.isfinite(slopes)
    weights = jnp.where(usable, acceptance, 0.0)
    total = jnp.sum(jnp.where(usable, weights * slopes, 0.0))
    slope = total / jnp.maximum(weights.sum(), 1e-10)
    return jnp.where(jnp.isfinite(slope), slope, 0.0)


def van_der_corput(index: jax.Array) -> jax.Array:
    """Entry `index` of the sequence 1/2, 1/4, 3/4, 1/8, ...: the bits of index + 1 reversed.

    Args:
        index: [], an integer from 0 to 2^24 - 2.

    Returns:
        [], in (0, 1).
    """
    bits = ((index + 1) >> jnp.arange(24)) & 1
    return jnp.sum(bits * 0.5 ** jnp.arange(1, 25))
