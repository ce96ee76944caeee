"""Elliptical slice sampling: for a normal prior and any likelihood, with nothing to tune.

    noise ~ N(0, std^2),   threshold = log likelihood(position) + log u,   u ~ U(0, 1)
    angle ~ U(0, 2 pi),    bracket = [angle - 2 pi, angle]
    repeat
        proposal = mean + (position - mean) cos(angle) + noise sin(angle)
        stop if log likelihood(proposal) >= threshold
        the end of the bracket on the side of the angle = angle,   angle ~ U(bracket)

The density is N(position; mean, std^2) * likelihood(position). Every proposal has the prior's
weight, as the ellipse through position and noise keeps it; angle 0 is the position, so the bracket
closes in on a point that will do. Source: Murray, Adams and MacKay 2010, figure 2. Departs from it
in the bound on the tries, after which the chain stays: the path back has as many tries as the path
forth, so this keeps the chain reversible, and rounding cannot hold it in the loop for ever. For a
prior of covariance C, such as a Gaussian process, sample z ~ N(0, I) with position = cholesky(C) z.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.bayes.metropolis import normal_like
from jdl.core import Algorithm, Tree, Variables


class EllipticalState(NamedTuple):
    """Where the chain is.

    Attributes:
        variables: its params are the position.
        log_likelihood: [], nats, at the position.
    """

    variables: Variables
    log_likelihood: jax.Array


class _Search(NamedTuple):
    angle: jax.Array
    low: jax.Array
    high: jax.Array
    position: Tree
    log_likelihood: jax.Array
    num_tries: jax.Array
    key: jax.Array


def elliptical_slice(
    log_likelihood: Callable[[Tree], jax.Array],
    mean: Tree = 0.0,
    std: Tree = 1.0,
    *,
    max_tries: int = 100,
) -> Algorithm:
    """An elliptical slice chain over a tree of parameters.

    Args:
        log_likelihood: params -> log likelihood, without the prior, up to a constant, nats,
            shape []. Where it is NaN the likelihood is 0.
        mean: of the normal prior of each entry; a number, or a tree like params.
        std: its standard deviation; a number, or a tree like params.
        max_tries: evaluations of the likelihood after which a step stays where it is.

    Returns:
        An Algorithm; the batch is ignored. Info: `num_tries`, evaluations of the likelihood, and
        `log_likelihood`, nats. Chains by `jax.vmap`, where each step waits for the chain with
        the most tries.

    Example:
        A number of prior N(0, 1), seen as 2 with noise N(0, 1): posterior N(1, 1/2).

        >>> from jdl.train import run
        >>> chain = elliptical_slice(lambda x: -0.5 * (2.0 - x) ** 2)
        >>> _, draws = run(
        ...     chain, chain.init(Variables(jnp.zeros([]))), None, jax.random.key(0), length=2000,
        ...     keep=lambda state, info: state.variables.params)
        >>> bool(abs(draws.mean() - 1) < 0.1)
        True
    """

    def init(variables, key=None):
        return EllipticalState(variables, log_likelihood(variables.params))

    def step(state, batch, key):
        key_noise, key_threshold, key_angle, key_search = jax.random.split(key, 4)
        position, buffers = state.variables
        means, stds = (jax.tree.broadcast(x, position) for x in (mean, std))
        noise = jax.tree.map(lambda n, s: s * n, normal_like(key_noise, position), stds)
        threshold = state.log_likelihood + jnp.log(jax.random.uniform(key_threshold))
        angle = jax.random.uniform(key_angle, maxval=2 * jnp.pi)

        def at(angle):
            cosine, sine = jnp.cos(angle), jnp.sin(angle)
            proposal = jax.tree.map(
                lambda x, n, m: (m + (x - m) * cosine + n * sine).astype(x.dtype),
                position,
                noise,
                means,
            )
            return proposal, log_likelihood(proposal)

        def missed(search):
            return ~(search.log_likelihood >= threshold) & (search.num_tries < max_tries)

        def shrink(search):
            below = search.angle < 0
            low = jnp.where(below, search.angle, search.low)
            high = jnp.where(below, search.high, search.angle)
            own, rest = jax.random.split(search.key)
            angle = jax.random.uniform(own, minval=low, maxval=high)
            return _Search(angle, low, high, *at(angle), search.num_tries + 1, rest)

        first = _Search(angle, angle - 2 * jnp.pi, angle, *at(angle), jnp.int32(1), key_search)
        found = jax.lax.while_loop(missed, shrink, first)
        proposed = EllipticalState(Variables(found.position, buffers), found.log_likelihood)
        inside = found.log_likelihood >= threshold
        state = jax.tree.map(lambda new, old: jnp.where(inside, new, old), proposed, state)
        return state, {"num_tries": found.num_tries, "log_likelihood": state.log_likelihood}

    return Algorithm(init, step)
