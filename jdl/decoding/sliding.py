"""A step of a causal model that has none: it reads its last T tokens anew for each.

    window = the last T tokens, at most          positions 0 .. T - 1, as in training
    logits = model(window)[last]

A text may so be longer than the context. Each token costs T; a model with a cache costs 1, and ends
at its context. What stands behind the last token of a window that is not full yet is filling, which
a causal model does not see.

Axes: B sequences, T tokens of a window, V words.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.decoding.prompt import Step


class Window(NamedTuple):
    """The last tokens of texts on their way: the carry of `sliding`.

    Attributes:
        tokens: [B, T], the oldest first, filling behind.
        count: [B], how many of them are true tokens.
    """

    tokens: jax.Array
    count: jax.Array


def empty_window(batch_size: int, context: int) -> Window:
    """The carry before the first token.

    Args:
        batch_size: B.
        context: T.

    Returns:
        A Window.
    """
    return Window(jnp.zeros([batch_size, context], jnp.int32), jnp.zeros([batch_size], jnp.int32))


def sliding(read: Callable[[jax.Array], jax.Array]) -> Step:
    """The step of a causal model over its last tokens.

    Args:
        read: tokens [B, T] -> logits [B, T, V], each from the tokens up to its own:
            `bound(model, variables, "__call__")`.

    Returns:
        The Step, whose carry is a Window: it begins with `empty_window(B, T)`.

    Example:
        >>> step = sliding(lambda tokens: jnp.cumsum(jax.nn.one_hot(tokens, 3), axis=1))
        >>> carry = empty_window(1, 2)
        >>> for token in (2, 1, 1):
        ...     logits, carry = step(carry, jnp.array([token]))
        >>> logits[0].tolist(), carry.tokens.tolist()  # the first is out of sight
        ([0.0, 2.0, 0.0], [[1, 1]])
    """

    def step(carry, tokens):
        batch, context = carry.tokens.shape
        full = carry.count == context
        moved = jnp.where(full[:, None], jnp.roll(carry.tokens, -1, axis=1), carry.tokens)
        rows, count = jnp.arange(batch), jnp.minimum(carry.count + 1, context)
        window = moved.at[rows, count - 1].set(tokens.astype(moved.dtype))
        return read(window)[rows, count - 1], Window(window, count)

    return step
