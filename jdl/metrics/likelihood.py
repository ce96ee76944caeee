"""How probable a model of binary data finds it.

Axes: B examples, V binary variables.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def pseudo_log_likelihood(free_energy: Callable[[jax.Array], jax.Array], v: jax.Array) -> jax.Array:
    """The sum of the log probabilities of each variable given all others.

        sum_i log p(v_i | v_{-i}) = sum_i log sigmoid(F(v with v_i flipped) - F(v))

    The partition function cancels, so it is exact where the log-likelihood is out of reach; the two
    agree if the variables are independent.

    Args:
        free_energy: v [B, V] -> -log p(v) up to a constant [B], nats.
        v: [B, V] of 0 and 1.

    Returns:
        [B], nats, at most 0.

    Raises:
        ValueError: v of another rank.

    Source: Besag 1975; Bengio, Courville, Vincent 2013, section 7.1.
    """
    if v.ndim != 2:
        raise ValueError(f"v is [B, V] of 0 and 1; got {list(v.shape)}. Flatten images")
    own = free_energy(v)

    def given_others(i):
        flipped = v.at[:, i].set(1 - v[:, i])
        return jax.nn.log_sigmoid(free_energy(flipped) - own)

    return jax.lax.map(given_others, jnp.arange(v.shape[1])).sum(0)
