"""How the next token is chosen from its logits: the largest, or a draw from what filters leave.

    temperature   softmax(logits / tau)
    top-k         the k most probable tokens
    nucleus       the smallest set of the most probable tokens whose probabilities sum to p or more
    min-p         the tokens at least p times as probable as the most probable one

A filter maps logits to logits, -inf for a token that is out, and filters compose: what the next one
sees is what the one before left. Tokens as probable as the last one within are within too.

Source: 004 sec. 6.5; Ackley, Hinton, Sejnowski 1985 (temperature); Fan, Lewis, Dauphin 2018,
section 5.4 (top-k); Holtzman, Buys, Du, Forbes, Choi 2020, eq. 2 (nucleus); Nguyen et al. 2024
(min-p).

Axes: B sequences, V words.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Key

Filter = Callable[[jax.Array], jax.Array]  # logits [..., V] -> logits [..., V]


def greedy(logits: jax.Array, key: Key | None = None) -> jax.Array:
    """The most probable token, of several alike the first.

    Args:
        logits: [B, V].
        key: not used; every choice takes one.

    Returns:
        Tokens [B].
    """
    return logits.argmax(-1)


def sampling(*filters: Filter) -> Callable[[jax.Array, Key | None], jax.Array]:
    """Draws of the next token.

    Args:
        filters: applied to the logits one after the other; none leaves the model's distribution.

    Returns:
        A choice: (logits [B, V], key) -> tokens [B].

    Raises:
        ValueError: from the choice, without a key.

    Example:
        >>> choose = sampling(temperature(0.7), top_k(2))
        >>> tokens = choose(jnp.tile(jnp.arange(5.0)[None], [100, 1]), jax.random.key(0))
        >>> sorted(set(tokens.tolist()))
        [3, 4]
    """

    def choose(logits, key):
        if key is None:
            raise ValueError("a draw needs a key; got key=None. Give one, or choose=greedy")
        logits = logits.astype(jnp.float32)
        for each in filters:
            logits = each(logits)
        return jax.random.categorical(key, logits)

    return choose


def temperature(tau: float) -> Filter:
    """Divides the logits: below 1 the probable become more so, above 1 less.

    Args:
        tau: above 0; towards 0 the draw becomes greedy.

    Returns:
        The Filter.

    Raises:
        ValueError: a temperature of 0 or less.
    """
    if tau <= 0:
        raise ValueError(f"a temperature is above 0; got {tau}. Its limit at 0 is greedy")
    return lambda logits: logits / tau


def top_k(k: int) -> Filter:
    """Leaves the k most probable tokens.

    Args:
        k: at least 1; all tokens are left where it exceeds their number.

    Returns:
        The Filter.

    Raises:
        ValueError: k below 1.

    Example:
        >>> top_k(2)(jnp.array([1.0, 3.0, 2.0])).tolist()
        [-inf, 3.0, 2.0]
    """
    if k < 1:
        raise ValueError(f"top-k keeps a token at least; got k={k}")

    def kept(logits):
        least = jax.lax.top_k(logits, min(k, logits.shape[-1]))[0][..., -1:]
        return jnp.where(logits < least, -jnp.inf, logits)

    return kept


def nucleus(p: float) -> Filter:
    """Leaves the smallest set of the most probable tokens that has the probability p; top-p.

    The token that crosses p is in the set, so the set is never empty.

    Args:
        p: above 0, up to 1, which leaves all.

    Returns:
        The Filter.

    Raises:
        ValueError: p out of (0, 1].

    Example:
        >>> logits = jnp.log(jnp.array([0.1, 0.5, 0.4]))
        >>> jnp.isfinite(nucleus(0.6)(logits)).tolist()
        [False, True, True]
    """
    _check_probability("nucleus", p)

    def kept(logits):
        if p == 1:
            return logits
        ordered = jnp.sort(logits, axis=-1, descending=True)
        chances = jax.nn.softmax(ordered.astype(jnp.float32))
        before = jnp.cumsum(chances, axis=-1) - chances
        least = jnp.where(before < p, ordered, jnp.inf).min(-1, keepdims=True)
        return jnp.where(logits < least, -jnp.inf, logits)

    return kept


def min_p(p: float) -> Filter:
    """Leaves the tokens at least p times as probable as the most probable one.

    Args:
        p: above 0, up to 1, which leaves the most probable alone.

    Returns:
        The Filter.

    Raises:
        ValueError: p out of (0, 1].

    Example:
        >>> logits = jnp.log(jnp.array([0.1, 0.6, 0.3]))
        >>> jnp.isfinite(min_p(0.4)(logits)).tolist()
        [False, True, True]
    """
    _check_probability("min-p", p)

    def kept(logits):
        least = logits.max(-1, keepdims=True) + jnp.log(p).astype(logits.dtype)
        return jnp.where(logits < least, -jnp.inf, logits)

    return kept


def _check_probability(name, p):
    if not 0 < p <= 1:
        raise ValueError(f"{name} takes a probability in (0, 1]; got {p}")
