"""Speculative decoding: a small model guesses some words, a large one checks them all at once.

    y_1 ... y_G    drawn from the draft q
    y_i is taken   with probability min(1, p_i(y_i) / q_i(y_i)), up to the first that is not
    the next word  from max(0, p_i - q_i), normalised, at the first not taken; else from p_{G+1}

The words have the distribution of the target p alone, whatever q: what the test takes of y is
min(p, q), and what the correction adds is the rest of p. A round gives 1 to G + 1 words for one
pass of the target. Source: Leviathan, Kalman, Matias 2023, algorithm 1 and appendix A.1.

The carries of both models are taken back to the last word that stands: a cache by turning back its
position (`cached_reader`), any other by keeping those behind each of G + 1 steps (`reader`).

Axes: B sequences, G guesses, N new tokens, V words.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jdl.core import Key, Tree
from jdl.decoding.choice import Filter
from jdl.decoding.prompt import Step


class Reader(Protocol):
    """Reads several tokens of each sequence, and can stop behind any of them."""

    def __call__(
        self, carry: Tree, tokens: jax.Array
    ) -> tuple[jax.Array, Callable[[jax.Array], Tree]]:
        """Tokens [B, T] -> the logits [B, T, V] behind each, and counts [B] -> the carry behind
        the first so many of them, 0 to T."""


class Speculated(NamedTuple):
    """What was generated.

    Attributes:
        tokens: [B, N], without the prompt; behind an end token the filling.
        lengths: [B], the number of tokens, an end token included.
        rounds: [], how often the target read.
    """

    tokens: jax.Array
    lengths: jax.Array
    rounds: jax.Array


def reader(step: Step) -> Reader:
    """A step as a Reader, for models that read one token after the other.

    Args:
        step: (carry, tokens [B]) -> (logits [B, V], carry).

    Returns:
        The Reader; it holds the carries behind all of the tokens at once.
    """

    def read(carry, tokens):
        def advance(carry, token):
            logits, carry = step(carry, token)
            return carry, (logits, carry)

        _, (logits, carries) = jax.lax.scan(advance, carry, tokens.T)
        return logits.swapaxes(0, 1), lambda counts: _behind(carry, carries, counts)

    return read


def cached_reader(
    extend: Callable[[Tree, jax.Array], tuple[jax.Array, Tree]],
) -> Reader:
    """A Reader of a Transformer with a cache, which reads all the tokens in one pass.

    Args:
        extend: (carry, tokens [B, T]) -> (logits [B, T, V], carry), whose carry has the number of
            tokens read, [B], in its field `position`, and hides what lies behind.

    Returns:
        The Reader.
    """

    def read(carry, tokens):
        logits, after = extend(carry, tokens)
        return logits, lambda counts: after._replace(position=carry.position + counts)

    return read


def speculate(
    target: Reader,
    draft: Step,
    starts: tuple[jax.Array, Tree, Tree],
    key: Key,
    *,
    length: int,
    guesses: int = 4,
    filters: tuple[Filter, ...] = (),
    end_token: int | None = None,
    pad_token: int = 0,
) -> Speculated:
    """Draws tokens from the target's distribution with fewer of its passes.

    Args:
        target: (carry, tokens [B, G + 1]) -> logits, and the carry behind any of them; `reader`
            makes one of a step, `cached_reader` of a Transformer.
        draft: (carry, tokens [B]) -> (logits [B, V], carry), of the same vocabulary.
        starts: the target's logits [B, V] behind the prompts, its carry there, the draft's there:
            `read_prompt` and `consume` give them. A cache needs G places more than the tokens.
        key: of the draws.
        length: N, the most new tokens.
        guesses: G.
        filters: of both distributions, `jdl.decoding.choice`.
        end_token: ends its sequence; None has all run on.
        pad_token: the filling behind an end token.

    Returns:
        The Speculated.

    Raises:
        ValueError: length or guesses below 1.

    Example:
        >>> successor = lambda carry, tokens: (99 * jax.nn.one_hot(tokens + 1, 9), carry)
        >>> starts, key = (jnp.zeros([3, 9]), (), ()), jax.random.key(0)
        >>> found = jax.eval_shape(
        ...     lambda key: speculate(reader(successor), successor, starts, key, length=5), key
        ... )
        >>> found.tokens.shape
        (3, 5)
    """
    if length < 1 or guesses < 1:
        raise ValueError(f"a round guesses a token at least; got {length=}, {guesses=}")
    logits, *carries = starts
    batch = len(logits)
    key_first, key_rounds = jax.random.split(key)

    def chances(logits):
        for each in filters:
            logits = each(logits)
        return jax.nn.log_softmax(logits.astype(jnp.float32))

    def unfinished(state):
        return ~state[3].all()

    def advance(state):
        written, last, carries, done, tokens, rounds, key = state
        key_guess, key_check, key = jax.random.split(key, 3)
        guessed, expected, draft_at = _guess(draft, chances, carries[1], last, guesses, key_guess)
        logits, target_at = target(carries[0], jnp.concatenate([last[:, None], guessed], axis=1))
        taken, corrected = _check(chances(logits), expected, guessed, key_check)
        # A round writes the guesses taken, then the correction; what lies beyond N is left out.
        new = jnp.concatenate([guessed, guessed[:, :1]], axis=1)
        new = new.at[jnp.arange(batch), taken].set(corrected)
        places = written[:, None] + jnp.arange(guesses + 1)[None]
        right = (jnp.arange(guesses + 1)[None] <= taken[:, None]) & ~done[:, None]
        places = jnp.where(right, places, length)
        tokens = tokens.at[jnp.arange(batch)[:, None], places].set(new, mode="drop")
        counts = jnp.where(done, 0, taken + 1)
        written = written + counts
        ended = False if end_token is None else ((new == end_token) & right).any(1)
        last = jnp.where(done, last, corrected)
        done = done | (written >= length) | ended
        return written, last, (target_at(counts), draft_at(counts)), done, tokens, rounds + 1, key

    first = jax.random.categorical(key_first, chances(logits)).astype(jnp.int32)
    tokens = jnp.full([batch, length], pad_token, jnp.int32).at[:, 0].set(first)
    done = jnp.full([batch], length == 1) | (False if end_token is None else first == end_token)
    state = (jnp.ones([batch], jnp.int32), first, tuple(carries), done, tokens, 0, key_rounds)
    *_, tokens, rounds, _ = jax.lax.while_loop(unfinished, advance, state)
    ends = jnp.zeros(tokens.shape, bool) if end_token is None else tokens == end_token
    behind = jnp.cumsum(ends, axis=1) - ends > 0
    tokens = jnp.where(behind, pad_token, tokens)
    return Speculated(tokens, (~behind).sum(1), jnp.asarray(rounds))


def _guess(draft, chances, carry, last, guesses, key):
    """G tokens behind the last one; the draft's log-probabilities [B, G, V]; its carries."""

    def advance(state, key):
        carry, token = state
        logits, carry = draft(carry, token)
        expected = chances(logits)
        token = jax.random.categorical(key, expected).astype(jnp.int32)
        return (carry, token), (token, expected, carry)

    # One step more than guesses: where all are taken, the draft has to have read the last one.
    keys = jax.random.split(key, guesses + 1)
    _, (tokens, expected, carries) = jax.lax.scan(advance, (carry, last), keys)
    return (
        tokens[:guesses].T,
        expected[:guesses].swapaxes(0, 1),
        lambda counts: _behind(carry, carries, counts),
    )


def _check(wanted, expected, guessed, key):
    """How many guesses are taken, [B], and the token behind them, [B]."""
    key_take, key_correct = jax.random.split(key)
    guesses = guessed.shape[1]

    def of_guess(chances):
        return jnp.take_along_axis(chances, guessed[..., None], axis=-1)[..., 0]

    luck = jnp.log(jax.random.uniform(key_take, guessed.shape))
    good = luck < of_guess(wanted[:, :guesses]) - of_guess(expected)
    taken = jnp.cumprod(good, axis=1).sum(1)
    # Behind the last guess nothing was expected: the correction is a draw from p.
    draft = jnp.pad(jnp.exp(expected), [(0, 0), (0, 1), (0, 0)])
    at = taken[:, None, None]
    p, q = (jnp.take_along_axis(x, at, axis=1)[:, 0] for x in (jnp.exp(wanted), draft))
    left = jnp.maximum(p - q, 0)
    # Rounding may leave nothing where p and q are alike, of which a guess is hardly ever refused.
    left = jnp.where(left.sum(-1, keepdims=True) > 0, left, p)
    return taken, jax.random.categorical(key_correct, jnp.log(left)).astype(jnp.int32)


def _behind(before, carries, counts):
    """Of the carry before and those behind each token, [T, B, ...], the one behind counts [B]."""

    def at(old, new):
        rows = jnp.arange(len(counts))
        chosen = new[jnp.maximum(counts - 1, 0), rows]
        return jnp.where(counts.reshape(-1, *[1] * (old.ndim - 1)) == 0, old, chosen)

    return jax.tree.map(at, before, carries)
