"""The search of 004: every hypothesis is extended by its k most probable words, none is dropped.

    level 1: k hypotheses, level 2: k^2, ...        those with an end token are not extended
    score = total / number of tokens,  NLL = - score

Source: 004 sec. 5.7.6, table 5.1. The best finished hypothesis is the result; where none has
finished, the best unfinished one. The number of hypotheses grows as k^N, so trees are small.

Departs from what is called a beam search elsewhere, which keeps k hypotheses in all: `beam_search`.
The second probability of y1, y3, y3, y3 in table 5.1 is .7 where that of the rows beside it, with
the same two words, is .3; .3 is right, and gives an NLL of .97 instead of .75.

Axes: B sequences, M hypotheses, k branches, N new tokens, V words.
"""

import jax
import jax.numpy as jnp

from jdl.core import Tree
from jdl.decoding.beam import Beams, Divisor, Level, per_token, picked
from jdl.decoding.prompt import Step, read_prompt

MOST_LEAVES = 65536  # a depth of 16 with two branches


def tree_search(
    step: Step,
    carry: Tree,
    prompt: jax.Array,
    *,
    branches: int,
    length: int,
    end_token: int | None = None,
    pad_token: int = 0,
    divisor: Divisor | None = None,
    **reading,
) -> Beams:
    """Grows the whole tree of the `branches` most probable words of each hypothesis.

    Args:
        step: (carry, tokens [B M]) -> (logits [B M, V], carry).
        carry: before the prompt, arrays [B, ...]; it is repeated for the hypotheses.
        prompt: integers [B, P]; a start token alone, [B, 1], where there is no other.
        branches: k, up to V.
        length: N, the depth of the tree; its program is as long.
        end_token: finishes a hypothesis; None has all run on.
        pad_token: the filling behind an end token.
        divisor: of the totals, by the numbers of tokens; None is `per_token()`, 004's.
        reading: `lengths`, `prefill` and `context`, as `read_prompt` has them.

    Returns:
        The Beams, M = k + k^2 + ... + k^N: the finished ones first, then the unfinished ones of
        the last level, the best first of either; a score of -inf is none of these. Its tree is a
        tuple of levels of k, k^2, ... places.

    Raises:
        ValueError: see `read_prompt`; branches out of 1 to V; a tree of more than 65,536 leaves.

    Example:
        >>> step = lambda carry, tokens: (jax.nn.one_hot(tokens + 1, 5), carry)
        >>> grow = lambda prompt: tree_search(step, (), prompt, branches=2, length=3, end_token=4)
        >>> found = jax.eval_shape(grow, jnp.array([[1]]))
        >>> found.tokens.shape, [level.tokens.shape[1] for level in found.tree]
        ((1, 14, 3), [2, 4, 8])
    """
    special = {"end_token": end_token, "pad_token": pad_token}
    logits, carry = read_prompt(step, carry, prompt, length=length, special=special, **reading)
    if not 1 <= branches <= logits.shape[-1] or branches**length > MOST_LEAVES:
        raise ValueError(
            f"a tree has 1 to {logits.shape[-1]} branches, the words, and at most {MOST_LEAVES} "
            f"leaves; got {branches} branches and a depth of {length}. A beam_search prunes"
        )
    divisor = per_token() if divisor is None else divisor
    batch, levels, found = len(logits), [], []
    totals, open_ = jnp.zeros([batch, 1]), jnp.ones([batch, 1], bool)
    paths = jnp.zeros([batch, 1, 0], jnp.int32)
    for time in range(length):
        if time:
            logits, carry = step(carry, paths[..., -1].ravel())
        totals, tokens = _grown(totals, logits, branches)
        paths = jnp.concatenate([jnp.repeat(paths, branches, axis=1), tokens[..., None]], axis=-1)
        carry, alive = _repeated(carry, branches, 0), _repeated(open_, branches, 1)
        ends = alive & (tokens == end_token) if end_token is not None else jnp.zeros_like(alive)
        open_ = alive & ~ends
        scores = jnp.where(alive, totals / divisor(jnp.array(time + 1)), -jnp.inf)
        parents = jnp.broadcast_to(jnp.arange(tokens.shape[1])[None] // branches, tokens.shape)
        levels.append(Level(tokens, parents, scores, alive))
        ready = ends if time + 1 < length else alive
        found.append(_candidates(paths, length, pad_token, ready, scores, totals, ends))
    joined = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *found)
    order = jnp.lexsort([-joined.scores, ~joined.finished])
    return picked(joined, order)._replace(tree=tuple(levels))


def _grown(totals, logits, branches):
    """[B, M] -> totals and tokens [B, M k]."""
    batch = len(totals)
    chances = jax.nn.log_softmax(logits.astype(jnp.float32)).reshape(*totals.shape, -1)
    chances, tokens = jax.lax.top_k(chances, branches)
    totals = totals[..., None] + chances
    return totals.reshape(batch, -1), tokens.reshape(batch, -1).astype(jnp.int32)


def _repeated(tree, times, axis):
    return jax.tree.map(lambda x: jnp.repeat(x, times, axis=axis), tree)


def _candidates(paths, length, pad_token, ready, scores, totals, ends):
    """The hypotheses of a level that may be the result; the others score -inf."""
    depth = paths.shape[-1]
    filling = [(0, 0), (0, 0), (0, length - depth)]
    return Beams(
        tokens=jnp.pad(paths, filling, constant_values=pad_token),
        scores=jnp.where(ready, scores, -jnp.inf),
        log_probabilities=jnp.where(ready, totals, -jnp.inf),
        lengths=jnp.full(ready.shape, depth, jnp.int32),
        finished=ends,
        tree=(),
    )
