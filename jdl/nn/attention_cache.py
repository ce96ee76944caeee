"""Keys and values of the tokens so far, so that a new token is the only one computed.

    keys[b, position_b + i] = key[b, i],   values alike,   query i of b sees j <= position_b + i

The shapes are static: S places, those not reached yet zeros. `jdl.nn.attention.causal_mask` hides
what no query sees. Each sequence is at a position of its own, so prompts of several lengths stand
in one cache, and what lies behind a position, the filling of a prompt or a guess taken back, is
hidden and will be overwritten.

A head's keys stand side by side: 256 places of 16 sequences are attended in half the time on a CPU.

Axes: B sequences, I new tokens, S places, H heads, F features of a head.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class AttentionCache(NamedTuple):
    """Keys and values of one attention.

    Attributes:
        head_keys: [B, H, S, F].
        head_values: [B, H, S, F].
    """

    head_keys: jax.Array
    head_values: jax.Array

    @property
    def keys(self) -> jax.Array:
        """[B, S, H, F]."""
        return self.head_keys.swapaxes(1, 2)

    @property
    def values(self) -> jax.Array:
        """[B, S, H, F]."""
        return self.head_values.swapaxes(1, 2)


def empty_cache(
    batch_size: int, length: int, num_heads: int, head_dim: int, dtype=jnp.float32
) -> AttentionCache:
    """A cache of S = length places, none of them reached."""
    empty = jnp.zeros([batch_size, num_heads, length, head_dim], dtype)
    return AttentionCache(empty, empty)


def cached(
    cache: AttentionCache, keys: jax.Array, values: jax.Array, position: jax.Array
) -> AttentionCache:
    """The cache with new tokens in it.

    Args:
        cache: S places.
        keys: [B, I, H, F].
        values: [B, I, H, F].
        position: [B] integers, of the first of them. What would lie beyond the last place is left
            out: it pushes nothing aside.

    Returns:
        The AttentionCache.

    Example:
        >>> new = jnp.ones([2, 1, 1, 1])
        >>> cache = cached(empty_cache(2, 3, 1, 1), new, new, jnp.array([0, 2]))
        >>> cache.keys[..., 0, 0].tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows = jnp.arange(len(position))[:, None]
    places = position[:, None] + jnp.arange(keys.shape[1])[None]

    def written(old, new):
        return old.at[rows, :, places].set(new.astype(old.dtype), mode="drop")

    return AttentionCache(written(cache.head_keys, keys), written(cache.head_values, values))
