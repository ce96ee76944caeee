"""RNNsearch: translation by recurrent networks that align, the first with attention.

    source [B, S] -> embedding -> a GRU in each direction      h_j = [there ; back]   [B, S, 2 F]
    s_0 = tanh(back_1 W)
    c_i = sum_j a_ij h_j,  a_i = softmax_j(v^T tanh(s_{i-1} W_a + h_j U_a))
    s_i = GRU(s_{i-1}, [E y_{i-1} ; c_i])
    t_i = maxout(s_{i-1} U_o + E y_{i-1} V_o + c_i C_o)        L units of 2 pieces
    logits = t_i W_o                                           [B, T, V]

Source: Bahdanau, Cho, Bengio 2015, section 3 and appendix A, with 1000 features of a state, 620 of
an embedding, 1000 of the alignment, 500 of the maxout layer and 30,000 words; 004 6.2. The
appendix gives the maxout layer the state before, s_{i-1}, where section 3.1 and 004 have s_i:
`readout`. 80,442,000 parameters with biases of the gates, which the paper leaves out "to increase
readability", and of the maxout layer, the start and the head.

Departs from 004 eq. 6.5, whose state has no weights: it is the GRU of the paper.

The objective is `jdl.models.transformers.translation(model, start_token, label_smoothing=0.0)`.

Axes: B sequences, S tokens of a source, T of a target, F features of a state, V words.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.maxout import Maxout
from jdl.nn.attention_scores import AdditiveAttention, additive, masked_softmax
from jdl.nn.gru_cells import GRUCell
from jdl.nn.recurrence import unrolled
from jdl.nn.recurrent_layers import RecurrentStack
from jdl.nn.token_ids import check_pairs, check_special, check_tokens
from jdl.nn.token_layers import Embed, Linear


def rnnsearch(
    source_vocab_size: int = 30_000,
    target_vocab_size: int = 30_000,
    embedding_dim: int = 620,
    hidden_dim: int = 1000,
    *,
    alignment_dim: int = 1000,
    maxout_dim: int = 500,
    readout: str = "before",
    pad_token: int = 0,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A recurrent encoder and a recurrent decoder that attends to it.

    Args:
        source_vocab_size: words of the source.
        target_vocab_size: V.
        embedding_dim: of both sides.
        hidden_dim: F.
        alignment_dim: hidden units of the attention.
        maxout_dim: L.
        readout: the state that the maxout layer reads, "before" or "after" the step.
        pad_token: fills a source up, in front or behind.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: source [B, S], shifted target [B, T] -> logits [B, T, V]. Its methods: "start",
        source -> a carry, and "decode", (carry, tokens [B]) -> (logits [B, V], carry), for
        `jdl.decoding`; "attention_maps", (source, shifted target) -> weights [B, T, S].

    Raises:
        ValueError: a readout of another name; from `apply`, tokens that are no integers [B, T] of
            the vocabulary.

    Example:
        >>> model = rnnsearch(11, 7, 4, 8, alignment_dim=5, maxout_dim=6)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> source, target = jnp.ones([3, 5], int), jnp.ones([3, 4], int)
        >>> jax.eval_shape(model.apply, variables, source, target)[0].shape
        (3, 4, 7)
    """
    if readout not in ("before", "after"):
        raise ValueError(f"readout is the state 'before' or 'after' the step; got {readout!r}")

    check_special(source_vocab_size, pad_token=pad_token)

    def build(rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        cell, both = functools.partial(GRUCell, update_weighs="new"), 2 * hidden_dim
        parts = {
            "source_embed": Embed(source_vocab_size, embedding_dim, **made),
            "target_embed": Embed(target_vocab_size, embedding_dim, **made),
            "encoder": RecurrentStack(
                embedding_dim, hidden_dim, cell=cell, bidirectional="concatenate", **made
            ),
            "enter": Linear(hidden_dim, hidden_dim, **made),
            "attention": AdditiveAttention(hidden_dim, both, alignment_dim, **made),
            "cell": cell(embedding_dim + both, hidden_dim, **made),
            "maxout": Maxout(
                hidden_dim + embedding_dim + both,
                maxout_dim,
                2,
                {"dtype": dtype, "param_dtype": param_dtype},
                rngs=rngs,
            ),
            "head": Linear(maxout_dim, target_vocab_size, **made),
        }
        return RNNSearch(parts, readout, pad_token)

    return functional(build)


class SearchCarry(NamedTuple):
    """A translation on its way.

    Attributes:
        state: s [B, F].
        encoded: h [B, S, 2 F].
        keys: h U_a [B, S, alignment_dim], the same at each step.
        is_token: [B, S], of the source.
    """

    state: jax.Array
    encoded: jax.Array
    keys: jax.Array
    is_token: jax.Array

    def reordered(self, rows: jax.Array, parted: "SearchCarry") -> "SearchCarry":
        """The translations go on from those at rows [B] of the same sources."""
        return self._replace(state=self.state[rows])


class RNNSearch(nnx.Module):
    """The network of `rnnsearch`."""

    def __init__(self, parts, readout, pad_token):
        for name, part in parts.items():
            setattr(self, name, part)
        self.readout, self.pad_token = readout, pad_token

    def __call__(self, source: jax.Array, target: jax.Array) -> jax.Array:
        """Source [B, S], shifted target [B, T] -> logits [B, T, V]."""
        words, before, after, contexts, _ = self._written(source, target)
        return self._logits(before, after, words, contexts)

    def attention_maps(self, source: jax.Array, target: jax.Array) -> jax.Array:
        """Source [B, S], shifted target [B, T] -> weights [B, T, S]."""
        return self._written(source, target)[-1]

    def start(self, source: jax.Array) -> SearchCarry:
        """Source [B, S] -> the carry of the decoder before the start token."""
        check_tokens(source, self.source_embed.num_embeddings)
        is_token = source != self.pad_token
        found = self.encoder(self.source_embed(source), mask=is_token)
        back = found.last[:, found.last.shape[-1] // 2 :]  # of the first token
        keys = self.attention.key(found.outputs)
        return SearchCarry(jnp.tanh(self.enter(back)), found.outputs, keys, is_token)

    def decode(self, carry: SearchCarry, tokens: jax.Array) -> tuple[jax.Array, SearchCarry]:
        """The token that was written, [B] -> logits [B, V] of the next one, and the carry."""
        word = self.target_embed(tokens)
        state, (context, _) = self._step(carry, carry.state, word)
        return self._logits(carry.state, state, word, context), carry._replace(state=state)

    def _written(self, source, target):
        """What stands at each place of a target: [B, T, ...] of each."""
        check_tokens(target, self.target_embed.num_embeddings)
        check_pairs(source, target)
        carry, words = self.start(source), self.target_embed(target)
        width = carry.encoded.shape[-1]

        def cell(state, word):
            state, found = self._step(carry, state, word)
            return state, jnp.concatenate([state, *found], -1)

        _, ys = unrolled(cell, carry.state, words)
        features = carry.state.shape[-1]
        after, contexts, weights = jnp.split(ys, [features, features + width], -1)
        before = jnp.concatenate([carry.state[:, None].astype(after.dtype), after[:, :-1]], 1)
        return words, before, after, contexts, weights

    def _step(self, carry, state, word):
        """s_{i-1} [B, F], E y_{i-1} -> s_i, and the context and its weights."""
        query, vector = self.attention.query(state), self.attention.score.kernel[..., 0]
        vector = vector.astype(query.dtype)
        scores = additive(query[:, None, None], carry.keys[:, :, None], vector)[:, 0, 0]
        weights = masked_softmax(scores, carry.is_token).astype(word.dtype)
        context = jnp.einsum("bj,bje->be", weights, carry.encoded.astype(word.dtype))
        state, _ = self.cell(state, jnp.concatenate([word, context], -1))
        return state, (context, weights)

    def _logits(self, before, after, word, context):
        state = before if self.readout == "before" else after
        return self.head(self.maxout(jnp.concatenate([state, word, context], -1)))
