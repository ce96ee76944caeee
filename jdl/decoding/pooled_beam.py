"""Beam search with what has finished put aside, so that k beginnings always go on.

    candidates = the 2 k best totals of all k V extensions; k of them do not end
    pool       = the k best scores of the pool and of those among the k best candidates that end
    beams      = the k best candidates that do not end
    score      = total / divisor(number of tokens)

The search ends where no beam can still enter the pool: totals only fall, so a beam's score is at
most total / divisor(N). At N tokens all that goes on ends.

Source: Wu et al. 2016, section 7; this form is that of Tensor2Tensor (Vaswani et al. 2018) and of
Hugging Face's `generate` with early_stopping="never". `beam_search` leaves what has finished among
the k, as 001 has it: it stops sooner and sees less.

Axes: B sequences, K beams, N new tokens, V words.
"""

import jax
import jax.numpy as jnp

from jdl.core import Tree
from jdl.decoding.beam import Beams, Divisor, no_beams, of_parents, picked, read_for_beams
from jdl.decoding.prompt import Step


def pooled_beam_search(
    step: Step,
    carry: Tree,
    prompt: jax.Array,
    *,
    width: int,
    length: int,
    end_token: int,
    pad_token: int = 0,
    divisor: Divisor | None = None,
    **reading,
) -> Beams:
    """Searches for probable sequences behind prompts, `width` at a time and as many put aside.

    Args:
        step: (carry, tokens [B K]) -> (logits [B K, V], carry).
        carry: before the prompt, arrays [B, ...]; it is repeated for the beams.
        prompt: integers [B, P]; a start token alone, [B, 1], where there is no other.
        width: K.
        length: N, the most new tokens.
        end_token: finishes a hypothesis.
        pad_token: the filling behind an end token.
        divisor: of the totals, by the numbers of tokens, growing with them; None scores by totals.
        reading: `lengths`, `prefill` and `context`, as `read_prompt` has them.

    Returns:
        The Beams of the pool, without a tree.

    Raises:
        ValueError: see `read_prompt`; a width below 1.

    Example:
        >>> step = lambda carry, tokens: (jax.nn.one_hot(tokens + 1, 5), carry)
        >>> asked = {"width": 2, "length": 4, "end_token": 4}
        >>> search = lambda prompt: pooled_beam_search(step, (), prompt, **asked)
        >>> jax.eval_shape(search, jnp.array([[1]])).tokens.shape
        (1, 2, 4)
    """
    special = {"end_token": end_token, "pad_token": pad_token}
    logits, parted = read_for_beams(
        step, carry, prompt, width, length=length, special=special, **reading
    )
    batch = len(logits) // width
    divisor = jnp.ones_like if divisor is None else divisor
    beams = no_beams(batch, width, length, pad_token)
    pool = beams._replace(scores=jnp.full([batch, width], -jnp.inf))

    def extend(time, logits, beams, pool):
        return _extended(time, logits, beams, pool, end_token, divisor)

    def unfinished(state):
        time, _, _, beams, pool = state
        reach = beams.log_probabilities[:, 0] / divisor(jnp.array(length))
        return (time < length) & (reach > pool.scores[:, -1]).any()

    def advance(state):
        time, carry, parents, beams, pool = state
        carry = of_parents(carry, parents, parted)
        logits, carry = step(carry, beams.tokens[:, :, time - 1].ravel())
        return time + 1, carry, *extend(time, logits, beams, pool)

    start = (1, parted, *extend(0, logits, beams, pool))
    return jax.lax.while_loop(unfinished, advance, start)[-1]


def _extended(time, logits, beams, pool, end_token, divisor):
    """The places of the parents of the new beams, the new beams, the new pool."""
    candidates, parents = _candidates(time, logits, beams)
    width, length = beams.tokens.shape[1:]
    met = candidates.tokens[:, :, time] == end_token
    ends = (met | (time == length - 1)) & (candidates.log_probabilities > -jnp.inf)
    enters = ends & (jnp.arange(ends.shape[1]) < width)[None]
    scores = candidates.log_probabilities / divisor(candidates.lengths)
    entering = candidates._replace(scores=jnp.where(enters, scores, -jnp.inf), finished=met)
    both = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), pool, entering)
    pool = picked(both, jax.lax.top_k(both.scores, width)[1])
    goes_on = jnp.where(ends, -jnp.inf, candidates.log_probabilities)
    totals, best = jax.lax.top_k(goes_on, width)
    beams = picked(candidates, best)._replace(log_probabilities=totals)
    return jnp.take_along_axis(parents, best, axis=1), beams, pool


def _candidates(time, logits, beams):
    """The best 2 K of the beams with a word more; and the places of their parents."""
    batch, width = beams.scores.shape
    chances = jax.nn.log_softmax(logits.astype(jnp.float32)).reshape(batch, width, -1)
    words = chances.shape[-1]
    totals = (beams.log_probabilities[..., None] + chances).reshape(batch, -1)
    totals, best = jax.lax.top_k(totals, min(2 * width, width * words))
    parents, tokens = best // words, (best % words).astype(jnp.int32)
    grown = picked(beams, parents)
    return grown._replace(
        tokens=grown.tokens.at[:, :, time].set(tokens),
        log_probabilities=totals,
        lengths=grown.lengths + 1,
    ), parents
