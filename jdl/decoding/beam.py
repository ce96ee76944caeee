"""Beam search: the k best beginnings, extended together.

    total(h, v) = total(h) + log p(v | h)                        each beam h, each word v
    score       = total / divisor(number of tokens)
    beams       = the k best of all k V by their scores

Source: 001, its figure 66; 004 sec. 5.7.6. A hypothesis that met the end token is frozen: it keeps
its score, takes one of the k places, and competes with those that go on. What 001 leaves unsaid is
so settled; `pooled_beam_search` puts those that finish aside. Raw totals favour short hypotheses;
the divisor corrects for length: Wu et al. 2016, eq. 14 (`gnmt`), or the number of tokens
(`per_token`): 004's score with its sign turned.

One beam is greedy. V^(N - 1) beams are an exhaustive search. In between, more beams may find a less
probable sequence than fewer.

Departs from 004, whose search never drops a beginning to keep k in all: `tree_search` is that one.

Axes: B sequences, K beams, N new tokens, V words.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Tree
from jdl.decoding.prompt import Step, read_prompt

Divisor = Callable[[jax.Array], jax.Array]  # numbers of tokens -> what totals are divided by


class Level(NamedTuple):
    """The hypotheses after a token more: a level of the tree of a search.

    Attributes:
        tokens: [B, K], the last of each.
        parents: [B, K], the place on the level above; 0 on the first level, below the prompt.
        scores: [B, K]; -inf where there are fewer hypotheses than places.
        alive: [B, K], whether it has the token since this level; false for frozen and for none.
    """

    tokens: jax.Array
    parents: jax.Array
    scores: jax.Array
    alive: jax.Array


class Beams(NamedTuple):
    """What a search found, the best first.

    Attributes:
        tokens: [B, K, N], without the prompt; behind an end token the filling.
        scores: [B, K]; -inf where there are fewer hypotheses than places, whose tokens mean
            nothing.
        log_probabilities: [B, K], of the tokens together, in nats.
        lengths: [B, K], numbers of tokens, an end token included.
        finished: [B, K], whether the end token was met.
        tree: levels, from the first token on; of `beam_search` one Level with a leading axis N.
    """

    tokens: jax.Array
    scores: jax.Array
    log_probabilities: jax.Array
    lengths: jax.Array
    finished: jax.Array
    tree: Level | tuple[Level, ...]


def gnmt(alpha: float = 0.6) -> Divisor:
    """((5 + length) / 6)^alpha: Wu et al. 2016, eq. 14.

    Args:
        alpha: 0 leaves totals as they are; the paper found 0.6 to 0.7 best.

    Returns:
        The Divisor.
    """
    return lambda lengths: ((5.0 + lengths) / 6.0) ** alpha


def per_token(alpha: float = 1.0) -> Divisor:
    """length^alpha; with 1, the mean log-probability of a token: 004 sec. 5.7.6.

    Args:
        alpha: 0 leaves totals as they are.

    Returns:
        The Divisor.
    """
    return lambda lengths: (1.0 * lengths) ** alpha


def beam_search(
    step: Step,
    carry: Tree,
    prompt: jax.Array,
    *,
    width: int,
    length: int,
    end_token: int | None = None,
    pad_token: int = 0,
    divisor: Divisor | None = None,
    **reading,
) -> Beams:
    """Searches for probable sequences behind prompts, `width` at a time.

    Args:
        step: (carry, tokens [B K]) -> (logits [B K, V], carry).
        carry: before the prompt, arrays [B, ...]; it is repeated for the beams.
        prompt: integers [B, P]; a start token alone, [B, 1], where there is no other.
        width: K.
        length: N, the most new tokens.
        end_token: finishes a hypothesis; None has all run on.
        pad_token: the filling behind an end token.
        divisor: of the totals, by the numbers of tokens; None scores by the totals.
        reading: `lengths`, `prefill` and `context`, as `read_prompt` has them.

    Returns:
        The Beams. At the most new tokens, what is unfinished is there with the score it has.

    Raises:
        ValueError: see `read_prompt`; a width below 1.

    Example:
        >>> chances = jnp.log(jnp.array([[0.0, 0.5, 0.4, 0.1], [0.4, 0.3, 0.2, 0.1],
        ...                              [0.05, 0.9, 0.05, 0.0], [0.25, 0.25, 0.25, 0.25]]))
        >>> step = lambda carry, tokens: (chances[tokens], carry)
        >>> beams = beam_search(step, (), jnp.array([[0]]), width=2, length=2)
        >>> beams.tokens[0].tolist(), [round(float(x), 2) for x in jnp.exp(beams.scores[0])]
        ([[2, 1], [1, 0]], [0.36, 0.2])
    """
    special = {"end_token": end_token, "pad_token": pad_token}
    logits, parted = read_for_beams(
        step, carry, prompt, width, length=length, special=special, **reading
    )
    blank = no_beams(len(logits) // width, width, length, pad_token)
    blank = blank._replace(tree=_no_tree(blank))
    best = _extended(0, logits, blank, end_token, pad_token, divisor)

    def unfinished(state):
        time, _, beams = state
        return (time < length) & ~beams.finished.all()

    def extend(state):
        time, carry, beams = state
        parents = beams.tree.parents[time - 1]
        carry = of_parents(carry, parents, parted)
        logits, carry = step(carry, beams.tree.tokens[time - 1].ravel())
        return time + 1, carry, _extended(time, logits, beams, end_token, pad_token, divisor)

    return jax.lax.while_loop(unfinished, extend, (1, parted, best))[-1]


def read_for_beams(
    step: Step, carry: Tree, prompt: jax.Array, width: int, **asked
) -> tuple[jax.Array, Tree]:
    """Reads the prompts, and repeats what stands behind each for its beams.

    Args:
        step: (carry, tokens) -> (logits, carry).
        carry: before the prompt, arrays [B, ...].
        prompt: integers [B, P].
        width: K.
        asked: of `read_prompt`.

    Returns:
        The logits [B K, V] of the first new token, and the carry, arrays [B K, ...].

    Raises:
        ValueError: see `read_prompt`; a width below 1.
    """
    if width < 1:
        raise ValueError(f"a search keeps a beam at least; got width={width}")
    found = read_prompt(step, carry, prompt, **asked)
    return jax.tree.map(lambda x: jnp.repeat(x, width, axis=0), found)


def no_beams(batch_size: int, width: int, length: int, pad_token: int) -> Beams:
    """One hypothesis without tokens of each sequence; the other places have a total of -inf."""
    places = (batch_size, width)
    totals = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)
    totals = jnp.broadcast_to(totals[None], places)
    return Beams(
        tokens=jnp.full([*places, length], pad_token, jnp.int32),
        scores=totals,
        log_probabilities=totals,
        lengths=jnp.zeros(places, jnp.int32),
        finished=jnp.zeros(places, bool),
        tree=(),
    )


def picked(beams: Beams, places: jax.Array) -> Beams:
    """The hypotheses at places [B, M] of beams without a tree, in their order."""

    def at(x):
        return jnp.take_along_axis(x, places.reshape(places.shape + (1,) * (x.ndim - 2)), axis=1)

    return jax.tree.map(at, beams)


def of_parents(carry: Tree, parents: jax.Array, parted: Tree) -> Tree:
    """A carry [B K, ...] in the order of the parents [B, K].

    A part of it that has a method `reordered(rows, parted)`, as `jdl.nn.attention_cache.Past` has,
    is ordered by that: what beams have in common since they parted need not move.

    Args:
        carry: of the beams.
        parents: places among the K beams.
        parted: the carry behind the prompts, where the beams of each sequence were one.

    Returns:
        The carry.
    """
    batch, width = parents.shape
    rows = (jnp.arange(batch)[:, None] * width + parents).ravel()

    def orders_itself(part):
        return hasattr(part, "reordered")

    def ordered(part, before):
        return part.reordered(rows, before) if orders_itself(part) else part[rows]

    return jax.tree.map(ordered, carry, parted, is_leaf=orders_itself)


def _no_tree(beams):
    batch, width, length = beams.tokens.shape
    levels = (length, batch, width)
    return Level(
        tokens=jnp.moveaxis(beams.tokens, -1, 0),
        parents=jnp.broadcast_to(jnp.arange(width)[None, None], levels),
        scores=jnp.full(levels, -jnp.inf),
        alive=jnp.zeros(levels, bool),
    )


def _extended(time, logits, beams, end_token, pad_token, divisor):
    """The best K of the beams with a word more, and of the frozen ones as they are."""
    batch, width = beams.scores.shape
    chances = jax.nn.log_softmax(logits.astype(jnp.float32)).reshape(batch, width, -1)
    words = chances.shape[-1]
    as_it_is = jnp.where(jnp.arange(words) == pad_token, 0.0, -jnp.inf)[None, None]
    chances = jnp.where(beams.finished[..., None], as_it_is, chances)
    totals = beams.log_probabilities[..., None] + chances
    lengths = beams.lengths + ~beams.finished
    scores = totals if divisor is None else totals / divisor(lengths)[..., None]
    scores, best = jax.lax.top_k(scores.reshape(batch, -1), width)
    parents, tokens = best // words, (best % words).astype(jnp.int32)

    old = picked(beams._replace(lengths=lengths, tree=()), parents)
    alive = ~old.finished & (scores > -jnp.inf)
    level = Level(tokens, jnp.where(time == 0, 0, parents), scores, alive)
    ends = jnp.zeros_like(alive) if end_token is None else alive & (tokens == end_token)
    return Beams(
        tokens=old.tokens.at[:, :, time].set(tokens),
        scores=scores,
        log_probabilities=jnp.take_along_axis(totals.reshape(batch, -1), best, axis=1),
        lengths=old.lengths,
        finished=old.finished | ends,
        tree=jax.tree.map(lambda levels, new: levels.at[time].set(new), beams.tree, level),
    )
