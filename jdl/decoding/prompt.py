"""One step of a model of sequences, and what comes before the first new token.

    step(carry, tokens [B]) -> (logits [B, V], carry)

A recurrent network's carry is its state; a Transformer's, its cache of keys and values. Logits are
for the token after `tokens`. Every array of a carry has the sequences first, [B, ...]: a beam
search repeats and reorders them. What does not change with time but belongs to a sequence, an
encoder's output, is part of the carry too.

A prompt is read by the same step, or by a Transformer in one pass:

    prefill(carry, prompt [B, P], lengths [B] or None) -> (logits [B, V], carry)

Prompts of several lengths are filled up behind to P, and their lengths are told: P is all that a
compiled program knows, so one program serves all prompts up to P.

Axes: B sequences, P tokens of a prompt with its filling, V words.
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Model, Tree, Variables
from jdl.nn.token_ids import check_special


class Step(Protocol):
    """Reads a token of each sequence."""

    def __call__(self, carry: Tree, tokens: jax.Array) -> tuple[jax.Array, Tree]:
        """Tokens [B] -> the logits [B, V] of the next ones, and the carry after them."""


class Prefill(Protocol):
    """Reads a whole prompt."""

    def __call__(
        self, carry: Tree, prompt: jax.Array, lengths: jax.Array | None
    ) -> tuple[jax.Array, Tree]:
        """Prompt [B, P] -> the logits [B, V] after its last true token, and the carry there."""


def bound(model: Model, variables: Variables, method: str = "decode") -> Callable[..., Any]:
    """A method of a model as a function of its inputs alone: a Step or a Prefill.

    Args:
        model: its module has the method.
        variables: of the model.
        method: its name.

    Returns:
        inputs -> the outputs of the method, without noise.

    Example:
        >>> from flax import nnx
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: nnx.Embed(5, 5, rngs=rngs))
        >>> attend = bound(model, model.init(jax.random.key(0)), "attend")
        >>> attend(jnp.zeros([2, 5])).shape
        (2, 5)
    """
    return lambda *inputs: model.apply(variables, *inputs, method=method)[0]


def consume(
    step: Step, carry: Tree, prompt: jax.Array, lengths: jax.Array | None = None
) -> tuple[jax.Array, Tree]:
    """Reads a prompt token by token.

    Args:
        step: (carry, tokens [B]) -> (logits [B, V], carry).
        carry: before the prompt.
        prompt: integers [B, P].
        lengths: of the prompts without their filling, [B] of 1 to P; None where all have P tokens.

    Returns:
        The logits [B, V] after the last true token of each prompt, nan for a prompt of none, and
        the carry there.

    Example:
        >>> count = lambda carry, tokens: (jax.nn.one_hot(carry, 4), carry + 1)
        >>> prompt = jnp.array([[7, 7, 0], [7, 7, 7]])
        >>> logits, carry = consume(count, jnp.zeros(2, int), prompt, jnp.array([2, 3]))
        >>> carry.tolist(), logits.argmax(-1).tolist()
        ([2, 3], [1, 2])
    """
    blank = jax.eval_shape(step, carry, prompt[:, 0])[0]

    def advance(before, inputs):
        time, tokens = inputs
        after = step(before[1], tokens)
        if lengths is None:
            return after, None
        true = time < lengths

        def kept(new, old):
            return jnp.where(true.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(kept, after, before), None

    start = jnp.full(blank.shape, jnp.nan, blank.dtype), carry
    times = jnp.arange(prompt.shape[1])
    return jax.lax.scan(advance, start, (times, prompt.T))[0]


def filled_behind(tokens: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Moves the filling of prompts, in front or in between, behind their true tokens.

    Args:
        tokens: [B, P].
        mask: [B, P], true for a true token.

    Returns:
        The tokens [B, P], those of a prompt first and in their order; the lengths [B].

    Raises:
        ValueError: the mask has another shape.

    Example:
        >>> mask = jnp.array([[False, True, True]])
        >>> tokens, lengths = filled_behind(jnp.array([[0, 5, 6]]), mask)
        >>> tokens.tolist(), lengths.tolist()
        ([[5, 6, 0]], [2])
    """
    if tokens.shape != mask.shape:
        raise ValueError(
            f"each token has an entry in the mask; got {list(tokens.shape)} and {list(mask.shape)}"
        )
    mask = mask != 0
    order = jnp.argsort(~mask, axis=-1, stable=True)
    return jnp.take_along_axis(tokens, order, axis=-1), mask.sum(-1)


def read_prompt(
    step: Step,
    carry: Tree,
    prompt: jax.Array,
    *,
    length: int,
    lengths: jax.Array | None = None,
    prefill: Prefill | None = None,
    context: int | None = None,
    special: dict[str, int | None] | None = None,
) -> tuple[jax.Array, Tree]:
    """Checks what a decoder is asked for, and reads the prompt.

    Args:
        step: (carry, tokens [B]) -> (logits [B, V], carry).
        carry: before the prompt.
        prompt: integers [B, P], one at least.
        length: number of tokens to come.
        lengths: of the prompts without their filling, [B]; None where all have P tokens.
        prefill: reads the prompt in one pass; None reads it by the step.
        context: the longest sequence the model takes; None has no limit.
        special: name -> a token that must be in the vocabulary; None is no token.

    Returns:
        The logits [B, V] of the first token to come, and the carry.

    Raises:
        ValueError: a prompt of another rank or type, without tokens or with tokens the vocabulary
            lacks (looked at where the values are known, outside of jit); lengths that it does not
            have; a sequence longer than the context, or than the `places` of a carry that has such
            a field; a special token outside of the vocabulary.
    """
    prompt = _array(prompt)
    _check_prompt(prompt, length, lengths, context)
    # A carry that has places for its tokens tells their number; the last new token is not read.
    places = getattr(carry, "places", None)
    if places is not None and prompt.shape[1] + length - 1 > places:
        raise ValueError(
            f"a prompt of {prompt.shape[1]} and {length} new tokens read "
            f"{prompt.shape[1] + length - 1} of them, and the carry has {places} places. Begin "
            "with a longer one, cut the prompt, or ask for fewer"
        )
    lengths = None if lengths is None else jnp.asarray(lengths)
    if prefill is None:
        logits, carry = consume(step, carry, prompt, lengths)
    else:
        logits, carry = prefill(carry, prompt, lengths)
    vocabulary = logits.shape[-1]
    check_special(vocabulary, **(special or {}))
    least, most = _range(prompt)
    if not 0 <= least <= most < vocabulary:
        raise ValueError(
            f"the tokens of a prompt are 0 to {vocabulary - 1}; got {least} to {most}: "
            "they come from another vocabulary"
        )
    return logits, carry


def _array(prompt):
    try:
        return jnp.asarray(prompt)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "prompts of several lengths are filled up behind, by `jdl.text.padded(prompts, "
            f"padding='post')`, and `lengths` tells how many tokens each has: {error}"
        ) from error


def _check_prompt(prompt, length, lengths, context):
    integers = jnp.issubdtype(prompt.dtype, jnp.integer)
    if prompt.ndim != 2 or not prompt.shape[1] or not integers:
        raise ValueError(
            "a prompt is integers [B, P] with a token at least; got "
            f"{prompt.dtype} {list(prompt.shape)}. Start from nothing with a start token"
        )
    if length < 1:
        raise ValueError(f"length counts the new tokens, at least one; got {length}")
    whole = prompt.shape[1] + length
    if context is not None and whole > context:
        raise ValueError(
            f"a prompt of {prompt.shape[1]} and {length} new tokens are {whole}, more than the "
            f"context of {context}. Cut the prompt, or ask for fewer"
        )
    if lengths is None:
        return
    whole = jnp.issubdtype(jnp.asarray(lengths).dtype, jnp.integer)
    if np.shape(lengths) != prompt.shape[:1] or not whole:
        raise ValueError(
            f"each of {prompt.shape[0]} prompts has one length, an integer; got "
            f"{jnp.asarray(lengths).dtype} {list(np.shape(lengths))}"
        )
    least, most = _range(lengths, otherwise=1)
    if not 1 <= least <= most <= prompt.shape[1]:
        raise ValueError(
            f"lengths of prompts are 1 to {prompt.shape[1]}, as many as they have tokens; got "
            f"{np.asarray(lengths).tolist()}"
        )


def _range(values, otherwise=0):
    """The least and the largest value, where they are known: outside of jit."""
    if isinstance(values, jax.core.Tracer):
        return otherwise, otherwise
    values = np.asarray(values)
    return values.min(initial=otherwise), values.max(initial=otherwise)
