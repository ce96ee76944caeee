"""Recurrent networks that read a text to its end: classifiers, and a writer of the next word.

    tokens [B, T] -> embedding [B, T, E] -> recurrent layers -> output of the last true step [B, F]

    classifier    -> dropout -> logits [B, K]
    writer        bidirectional layer -> dropout -> layer -> last step -> dense -> logits [B, V]

Padding may stand in front or behind, and has no say. By default the classifier is 004's GRU
(example 5.8.1) with a logit for each class, and the writer 004's of `jdl.text.prefix_examples`
(example 5.7.2), whose first dense layer has a width that the book does not print: 100 here, with
ReLU. The objective of both is `jdl.train.classification`. 000's classifier is
`recurrent_text_classifier(20, 1, 4, 16, 1, cell=LSTMCell, dropout_rate=0.0)`: 1,441 parameters.

Departs from 000, whose layers read the padding as a word, and from 004's one sigmoid for two
classes, which is the softmax of two logits.

Axes: B texts, T tokens, V words, E features of an embedding, F features of a cell, K classes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.gru_cells import GRUCell
from jdl.nn.lstm_cells import LSTMCell
from jdl.nn.recurrent_layers import RecurrentStack
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, Linear


def recurrent_text_classifier(
    vocab_size: int,
    num_classes: int = 2,
    embedding_dim: int = 400,
    hidden_dim: int = 256,
    num_layers: int = 2,
    *,
    cell: Callable = GRUCell,
    bidirectional: str | None = None,
    dropout_rate: float = 0.5,
    pad_token: int | None = 0,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A classifier of texts.

    Args:
        vocab_size: V.
        num_classes: K.
        embedding_dim: E.
        hidden_dim: F.
        num_layers: of the stack.
        cell: cell(inputs, F, dtype=..., param_dtype=..., rngs=...).
        bidirectional: None, "concatenate" or "sum".
        dropout_rate: before the head.
        pad_token: the filling; None: every token counts.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T] -> logits [B, K].

    Raises:
        ValueError: from `apply`, tokens that are no integers [B, T] of the vocabulary.

    Example:
        >>> model = recurrent_text_classifier(11, 3, 4, 8)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.ones([5, 7], int))[0].shape
        (5, 3)
    """

    def build(rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        embed = Embed(vocab_size, embedding_dim, **made)
        options = {"cell": cell, "bidirectional": bidirectional, **made}
        stack = RecurrentStack(embedding_dim, hidden_dim, num_layers, **options)
        head = Linear(stack.out_features, num_classes, **made)
        return TextNetwork(embed, None, stack, None, head, dropout_rate, pad_token)

    return functional(build)


def next_word_network(
    vocab_size: int,
    embedding_dim: int = 100,
    *,
    bidirectional_dim: int = 150,
    hidden_dim: int = 100,
    dense_dim: int = 100,
    cell: Callable = LSTMCell,
    dropout_rate: float = 0.2,
    pad_token: int = 0,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """004's network for the word behind the beginning of a line.

    Args:
        vocab_size: V.
        embedding_dim: E; the book prints none.
        bidirectional_dim: features of each direction.
        hidden_dim: of the layer above.
        dense_dim: of the hidden dense layer.
        cell: as `recurrent_text_classifier` has it.
        dropout_rate: between the recurrent layers.
        pad_token: the filling in front.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T], with padding in front -> logits [B, V]. Its methods write with
        `jdl.decoding`: "start", (batch size, length) -> a carry of the last so many tokens, and
        "decode", (carry, tokens [B]) -> (logits [B, V], carry), which reads all of them again: a
        bidirectional layer has no step.

    Raises:
        ValueError: from `apply`, tokens that are no integers [B, T] of the vocabulary.
    """

    def build(rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        embed = Embed(vocab_size, embedding_dim, **made)
        both = {"cell": cell, "bidirectional": "concatenate", **made}
        below = RecurrentStack(embedding_dim, bidirectional_dim, **both)
        stack = RecurrentStack(below.out_features, hidden_dim, cell=cell, **made)
        dense = Linear(hidden_dim, dense_dim, **made)
        head = Linear(dense_dim, vocab_size, **made)
        return TextNetwork(embed, below, stack, dense, head, dropout_rate, pad_token)

    return functional(build)


class TextNetwork(nnx.Module):
    """The network of both: with a layer below, dropout stands over it, else before the head."""

    def __init__(self, embed, below, stack, dense, head, dropout_rate, pad_token):
        self.embed, self.below, self.stack = embed, below, stack
        self.dense, self.head, self.pad_token = dense, head, pad_token
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Tokens [B, T] -> logits [B, K]."""
        check_tokens(tokens, self.embed.num_embeddings)
        mask = None if self.pad_token is None else tokens != self.pad_token
        x = self.embed(tokens)
        if self.below is not None:
            x = self.dropout(self.below(x, mask=mask).outputs, rngs=rngs)
        y = self.stack(x, mask=mask).last
        y = self.dropout(y, rngs=rngs) if self.below is None else y
        return self.head(y if self.dense is None else jax.nn.relu(self.dense(y)))

    def start(self, batch_size: int, length: int) -> jax.Array:
        """No tokens yet: [B, length] of the filling."""
        return jnp.full([batch_size, length], self.pad_token, jnp.int32)

    def decode(self, carry: jax.Array, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Tokens [B] behind the last ones [B, T] -> logits [B, V], the last ones now."""
        carry = jnp.concatenate([carry[:, 1:], tokens[:, None].astype(carry.dtype)], 1)
        return self(carry), carry
