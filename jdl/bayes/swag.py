"""SWAG: a normal posterior from the iterates of a run, stochastic weight averaging - Gaussian.

    at every `every`-th step from `start` on, with params p the n-th visited, n = 0, 1, ...
        mean      = (n mean + p) / (n + 1)
        variance  = mean over the visited of (p - mean)^2, by entry
        deviation = p - mean, a column of D, which has the last `rank` of them (n > 0)
    SWAG           mean + sqrt(variance / 2) z + D u / sqrt(2 (columns - 1)),    z, u ~ N(0, I)
    SWAG-diagonal  mean + sqrt(variance) z

Source: Maddox, Garipov, Izmailov, Vetrov, Wilson 2019, algorithm 1 and eq. 1. Departs from it in
that the variance is kept in place of the mean of squares, of which the square of the mean would be
taken off: the two agree but for rounding, which loses most digits where params hardly move. The
learning rate from `start` on is constant or cyclic, and high, or the iterates do not spread.

A draw has other batch statistics than the run: after each, take new ones by
`jdl.train.averaging.reestimated(model, Variables(draw, state.variables.buffers), batches)`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.bayes.metropolis import normal_like
from jdl.core import Algorithm, Key, Tree, Variables
from jdl.train.averaging import swa


class SwagState(NamedTuple):
    """What `with_swag` keeps.

    Attributes:
        variables: what the algorithm changes.
        mean: of the visited params.
        variance: of each entry, a tree like the params.
        deviations: leaves [rank, ...], in a ring; columns not yet filled are 0.
        columns: [], deviations ever kept.
        steps: [], made so far.
        rest: of the algorithm's state.
    """

    variables: Variables
    mean: Tree
    variance: Tree
    deviations: Tree
    columns: jax.Array
    steps: jax.Array
    rest: Any


def with_swag(algorithm: Algorithm, *, start: int, every: int, rank: int) -> Algorithm:
    """The same Algorithm, which gathers the moments of its iterates.

    Args:
        algorithm: any; nothing changes in it.
        start: the step of the first iterate that counts; up to it the mean is the last iterate.
        every: steps from one to the next, an epoch in the paper.
        rank: deviations kept, 20 in the paper; memory is `rank` times the params.

    Returns:
        An Algorithm; `swag_draws(state, key, num_draws)` draws params,
        `Variables(state.mean, state.variables.buffers)` are those of SWA.

    Raises:
        ValueError: a start below 0, steps below 1, or a rank below 2.

    Example:
        >>> import optax
        >>> from jdl.train import descent, gradient
        >>> def square(params, buffers, batch, key):
        ...     return jnp.sum(params**2), (buffers, {})
        >>> algorithm = descent(gradient(square), optax.sgd(0.25))
        >>> algorithm = with_swag(algorithm, start=1, every=1, rank=2)
        >>> state = algorithm.init(Variables(jnp.array(4.0)))
        >>> for _ in range(2):  # visits 2, then 1
        ...     state, _ = algorithm.step(state, None, jax.random.key(0))
        >>> float(state.mean), float(state.variance), state.deviations.tolist()
        (1.5, 0.25, [-0.5, 0.0])
    """
    weight = swa(start, every)
    if rank < 2:
        raise ValueError(f"a covariance needs a rank of at least 2 deviations; got rank={rank}")

    def init(variables, key=None):
        inner = algorithm.init(variables, key)
        params = inner.variables.params
        return SwagState(
            inner.variables,
            jax.tree.map(jnp.copy, params),
            jax.tree.map(jnp.zeros_like, params),
            jax.tree.map(lambda p: jnp.zeros((rank, *jnp.shape(p)), p.dtype), params),
            jnp.int32(0),
            jnp.int32(0),
            inner._replace(variables=None),
        )

    def step(state, batch, key):
        inner, info = algorithm.step(state.rest._replace(variables=state.variables), batch, key)
        params, steps = inner.variables.params, state.steps + 1
        share = weight(steps)
        keeps = (steps > start) & (share > 0)
        mean = jax.tree.map(lambda m, p: m + (share * (p - m)).astype(m.dtype), state.mean, params)
        variance = jax.tree.map(
            lambda v, m, p: ((1 - share) * (v + share * (p - m) ** 2)).astype(v.dtype),
            state.variance,
            state.mean,
            params,
        )
        place = state.columns % rank
        deviations = jax.tree.map(
            lambda d, m, p: d.at[place].set(jnp.where(keeps, p - m, d[place])),
            state.deviations,
            mean,
            params,
        )
        columns = state.columns + keeps.astype(jnp.int32)
        rest = inner._replace(variables=None)
        return SwagState(inner.variables, mean, variance, deviations, columns, steps, rest), info

    return Algorithm(init, step)


def swag_draws(state: SwagState, key: Key, num_draws: int) -> Tree:
    """Draws of params with half of the diagonal and half of the low-rank covariance.

        covariance = diag(variance) / 2 + D D' / (2 (columns - 1))

    Args:
        state: of a run of `with_swag`.
        key: of the draws.
        num_draws: their number.

    Returns:
        Params with a first axis of draws.

    Raises:
        ValueError: fewer than two deviations have been kept.

    Source: Maddox et al. 2019, eq. 1.
    """
    rank = len(jax.tree.leaves(state.deviations)[0])
    _check_columns(state.columns)
    filled = jnp.minimum(state.columns, rank)

    def draw(key):
        key_entries, key_columns = jax.random.split(key)
        noise = normal_like(key_entries, state.mean)
        shares = jax.random.normal(key_columns, [rank]) / jnp.sqrt(2.0 * (filled - 1))

        def moved(mean, variance, deviations, z):
            along = jnp.tensordot(shares.astype(mean.dtype), deviations, axes=1)
            return mean + jnp.sqrt(variance / 2) * z + along

        return jax.tree.map(moved, state.mean, state.variance, state.deviations, noise)

    return jax.vmap(draw)(jax.random.split(key, num_draws))


def swag_diagonal_draws(state: SwagState, key: Key, num_draws: int) -> Tree:
    """Draws of params whose entries are independent, with the variance of the iterates.

    Args:
        state: of a run of `with_swag`.
        key: of the draws.
        num_draws: their number.

    Returns:
        Params with a first axis of draws.

    Raises:
        ValueError: fewer than two deviations have been kept.

    Source: Maddox et al. 2019, section 3.2.
    """
    _check_columns(state.columns)

    def draw(key):
        noise = normal_like(key, state.mean)
        return jax.tree.map(lambda m, v, z: m + jnp.sqrt(v) * z, state.mean, state.variance, noise)

    return jax.vmap(draw)(jax.random.split(key, num_draws))


def _check_columns(columns):
    if not isinstance(columns, jax.core.Tracer) and columns < 2:
        raise ValueError(
            f"SWAG draws from the spread of iterates; got {int(columns)} deviations. Run further "
            "past `start`, or visit more often: a smaller `every`"
        )
