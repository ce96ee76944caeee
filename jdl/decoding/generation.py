"""New tokens behind a prompt, one after the other.

    logits, carry = the prompt, read
    token         = choose(logits, key)
    logits, carry = step(carry, token), and again

The loop ends where each sequence has met its end token, or after `length` tokens. All shapes are
static. Source: 004 sec. 5.7 and 6.5.

Axes: B sequences, P tokens of a prompt with its filling, N new tokens, V words.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Key, Tree
from jdl.decoding.choice import greedy
from jdl.decoding.prompt import Step, read_prompt


class Generated(NamedTuple):
    """What was generated.

    Attributes:
        tokens: [B, N], without the prompt; behind an end token the filling.
        log_probabilities: [B, N], of each token under the model, before any filter, in nats; 0
            behind an end token.
        lengths: [B], the number of tokens, an end token included.
    """

    tokens: jax.Array
    log_probabilities: jax.Array
    lengths: jax.Array


def generate(
    step: Step,
    carry: Tree,
    prompt: jax.Array,
    key: Key | None = None,
    *,
    length: int,
    choose: Callable[[jax.Array, Key | None], jax.Array] = greedy,
    end_token: int | None = None,
    pad_token: int = 0,
    **reading,
) -> Generated:
    """Generates tokens behind prompts.

    Args:
        step: (carry, tokens [B]) -> (logits [B, V], carry).
        carry: before the prompt.
        prompt: integers [B, P]; a start token alone, [B, 1], where there is no other.
        key: of the draws; greedy needs none.
        length: N, the most new tokens.
        choose: (logits [B, V], key) -> tokens [B].
        end_token: ends its sequence; None has all run on.
        pad_token: the filling behind an end token.
        reading: `lengths`, `prefill` and `context`, as `read_prompt` has them;
            `filled_behind` brings prompts that are filled up in front into the form of `lengths`.

    Returns:
        The Generated. The last new token is not read, so the carry lacks it.

    Raises:
        ValueError: see `read_prompt`; a draw without a key.

    Example:
        >>> successor = lambda carry, tokens: (jax.nn.one_hot(tokens + 1, 9), carry)
        >>> generate(successor, (), jnp.array([[3], [6]]), length=4, end_token=8).tokens.tolist()
        [[4, 5, 6, 7], [7, 8, 0, 0]]
    """
    special = {"end_token": end_token, "pad_token": pad_token}
    logits, carry = read_prompt(step, carry, prompt, length=length, special=special, **reading)
    keys = None if key is None else jax.random.split(key, length)
    batch = len(logits)

    def write(time, logits, done, generated):
        chosen = choose(logits, None if keys is None else keys[time]).astype(jnp.int32)
        logits = logits.astype(jnp.float32)
        chance = jnp.take_along_axis(logits, chosen[:, None], axis=-1)[:, 0]
        chance = chance - jax.nn.logsumexp(logits, axis=-1)
        tokens, log_probabilities, lengths = generated
        lengths = lengths + ~done
        if end_token is not None:
            chosen, chance = jnp.where(done, pad_token, chosen), jnp.where(done, 0.0, chance)
            done = done | (chosen == end_token)
        tokens = tokens.at[:, time].set(chosen)
        log_probabilities = log_probabilities.at[:, time].set(chance)
        return done, Generated(tokens, log_probabilities, lengths)

    def unfinished(state):
        time, _, done, _ = state
        return time < length if end_token is None else (time < length) & ~done.all()

    def extend(state):
        time, carry, done, generated = state
        logits, carry = step(carry, generated.tokens[:, time - 1])
        return time + 1, carry, *write(time, logits, done, generated)

    blank = Generated(
        jnp.full([batch, length], pad_token, jnp.int32),
        jnp.zeros([batch, length]),
        jnp.zeros([batch], jnp.int32),
    )
    started = write(0, logits, jnp.zeros([batch], bool), blank)
    return jax.lax.while_loop(unfinished, extend, (1, carry, *started))[-1]
