"""Sequence to sequence through a fixed context: an encoder's last state starts a decoder.

    source [B, S] -> embedding -> stack of cells, last first     -> state after the last token
    state, shifted target [B, T] -> embedding -> stack of cells  [B, T, F]
      -> logits = h W + b                                        [B, T, V]
    J = mean over pairs of log p(target | source)                004 eq. 5.47

The source is read backwards, so that its beginning lies near the target's (section 3.3). Words out
of the vocabulary are a token for the unknown, targets end with an end token, and the decoder begins
with a start token: `jdl.text.build_vocabulary` has them. The objective is
`jdl.models.transformers.translation(model, start_token, label_smoothing=0.0)`. Token by token, the
methods "start" and "decode" serve `jdl.decoding`, greedy or beams; several models write together by
`committee_step`.

Source: Sutskever, Vinyals, Le 2014: 4 layers of 1000 cells, embeddings of 1000, 160,000 and 80,000
words, 384 million parameters (384,112,000 here); Cho et al. 2014, whose decoder reads the context
at every step (`feed_context`); 000; 001; 002; 003; 004 5.7.5. The published initial weights are
uniform in [-0.08, 0.08], by the `kernel_init` and `recurrent_init` of a cell.

Departs from 004, which gives gradient descent a momentum of 0.7 and bounds the weights: 0.7 is the
learning rate, without momentum, and the gradient's norm is what is bounded, at 5.

Axes: B sequences, S tokens of a source, T of a target, E features of an embedding, F features of a
cell, V words.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.decoding import Step
from jdl.functional import functional
from jdl.nn.lstm_cells import LSTMCell
from jdl.nn.recurrent_layers import RecurrentStack
from jdl.nn.token_ids import check_pairs, check_special, check_tokens
from jdl.nn.token_layers import Embed, Linear
from jdl.train.committee import average_probabilities


def sequence_to_sequence(
    source_vocab_size: int = 160_000,
    target_vocab_size: int = 80_000,
    embedding_dim: int = 1000,
    hidden_dim: int = 1000,
    num_layers: int = 4,
    *,
    cell: Callable = LSTMCell,
    reverse_source: bool = True,
    feed_context: bool = False,
    dropout_rate: float = 0.0,
    pad_token: int = 0,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """An encoder and a decoder of recurrent cells.

    Args:
        source_vocab_size: words of the source.
        target_vocab_size: V.
        embedding_dim: E, of both sides.
        hidden_dim: F.
        num_layers: of the encoder, and of the decoder.
        cell: cell(inputs, F, dtype=..., param_dtype=..., rngs=...).
        reverse_source: whether the encoder begins with the last token.
        feed_context: whether the decoder reads the encoder's last output at each step, beside the
            token; else it starts from the encoder's states alone.
        dropout_rate: between the layers.
        pad_token: fills a source up, in front or behind.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: source [B, S], shifted target [B, T] -> logits [B, T, V]. Its methods: "start",
        source -> a carry, and "decode", (carry, tokens [B]) -> (logits [B, V], carry).

    Raises:
        ValueError: from `apply`, tokens that are no integers [B, T] of the vocabulary.

    Example:
        >>> model = sequence_to_sequence(11, 7, 4, 8, 1)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> source, target = jnp.ones([3, 5], int), jnp.ones([3, 4], int)
        >>> jax.eval_shape(model.apply, variables, source, target)[0].shape
        (3, 4, 7)
    """

    check_special(source_vocab_size, pad_token=pad_token)

    def build(rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        embeds = [Embed(n, embedding_dim, **made) for n in (source_vocab_size, target_vocab_size)]
        widths = embedding_dim, embedding_dim + (hidden_dim if feed_context else 0)
        options = {"cell": cell, "dropout_rate": dropout_rate, **made}
        stacks = [RecurrentStack(width, hidden_dim, num_layers, **options) for width in widths]
        head = Linear(hidden_dim, target_vocab_size, **made)
        return SequenceToSequence(*embeds, *stacks, head, reverse_source, feed_context, pad_token)

    return functional(build)


def committee_step(*steps: Step) -> Step:
    """Several models write one text: each next token by the mean of their probabilities.

    Args:
        steps: of the members, over one vocabulary.

    Returns:
        A Step, whose carry is the tuple of theirs and whose logits are log-probabilities.

    Raises:
        ValueError: no members.

    Example:
        >>> sure = lambda carry, tokens: (jnp.log(jnp.array([[0.9, 0.1]])), carry)
        >>> wrong = lambda carry, tokens: (jnp.log(jnp.array([[0.2, 0.8]])), carry)
        >>> logits, _ = committee_step(sure, wrong)(((), ()), jnp.zeros(1, int))
        >>> [round(float(p), 2) for p in jnp.exp(logits[0])]
        [0.55, 0.45]
    """
    if not steps:
        raise ValueError("a committee has a member at least; got none")

    def step(carry, tokens):
        logits, carries = zip(
            *(each(part, tokens) for each, part in zip(steps, carry, strict=True)), strict=True
        )
        return jnp.log(average_probabilities(jnp.stack(logits))), tuple(carries)

    return step


class SequenceToSequence(nnx.Module):
    """The network of `sequence_to_sequence`. Its carry is the decoder's states and the context."""

    def __init__(
        self,
        source_embed,
        target_embed,
        encoder,
        decoder,
        head,
        reverse_source,
        feed_context,
        pad_token,
    ):
        self.source_embed, self.target_embed = source_embed, target_embed
        self.encoder, self.decoder, self.head = encoder, decoder, head
        self.reverse_source, self.feed_context = reverse_source, feed_context
        self.pad_token = pad_token

    def __call__(
        self, source: jax.Array, target: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Source [B, S], shifted target [B, T] -> logits [B, T, V]."""
        check_tokens(target, self.target_embed.num_embeddings)
        check_pairs(source, target)
        states, context = self.start(source, rngs=rngs)
        x = self.target_embed(target)
        context = jnp.broadcast_to(context[:, None], (*target.shape, context.shape[-1]))
        return self.head(self.decoder(self._beside(x, context), states, rngs=rngs).outputs)

    def start(self, source: jax.Array, *, rngs: nnx.Rngs | None = None) -> tuple:
        """Source [B, S] -> the carry of the decoder before the start token."""
        check_tokens(source, self.source_embed.num_embeddings)
        source = source[:, ::-1] if self.reverse_source else source
        mask = source != self.pad_token
        found = self.encoder(self.source_embed(source), mask=mask, rngs=rngs)
        return found.carry, found.last

    def decode(self, carry: tuple, tokens: jax.Array) -> tuple[jax.Array, tuple]:
        """The token that was written, [B] -> logits [B, V] of the next one, and the carry."""
        states, context = carry
        states, y = self.decoder.step(states, self._beside(self.target_embed(tokens), context))
        return self.head(y), (states, context)

    def _beside(self, x, context):
        return jnp.concatenate([x, context.astype(x.dtype)], -1) if self.feed_context else x
