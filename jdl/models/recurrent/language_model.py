"""A recurrent language model, of characters or of tokens.

    tokens [B, T] -> one-hot, or embedding      [B, T, V] or [B, T, E]
      -> stack of recurrent layers              [B, T, F]
      -> logits = h W + b, or h E^T if tied     [B, T, V]

The objective is `jdl.models.transformers.next_token`. A long text is read as B streams side by
side, window by window, the state carried over (`streams`, `carried_batch=B`): the gradient reaches
back as far as a window, the memory further. Token by token, `apply` has the methods "start" and
"decode", the step of `jdl.decoding`.

Source: Mikolov et al. 2010; Graves 2013, section 2 (characters); 003, question 17: one-hot or
embedding, LSTM or GRU, a softmax. Tied: Press, Wolf 2017. Parameters of one LSTM of one-hot
inputs: 4 (V F + F^2 + F) + F V + V.

Axes: B sequences, T tokens, V words, E features of an embedding, F features of a cell.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.affine_cells import Carry
from jdl.nn.lstm_cells import LSTMCell
from jdl.nn.recurrent_layers import CarriedStack, RecurrentStack
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, Linear


def recurrent_language_model(
    vocab_size: int,
    hidden_dim: int = 128,
    num_layers: int = 1,
    *,
    embedding_dim: int | None = None,
    cell: Callable = LSTMCell,
    dropout_rate: float = 0.0,
    tied: bool = False,
    carried_batch: int | None = None,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A recurrent language model.

    Args:
        vocab_size: V.
        hidden_dim: F.
        num_layers: of the stack.
        embedding_dim: E; None has one-hot inputs, and an id that the vocabulary lacks is 0 in jit.
        cell: cell(inputs, F, dtype=..., param_dtype=..., rngs=...).
        dropout_rate: of an embedding's features, between layers and before the head.
        tied: whether the head is the embedding, without biases; then E is F.
        carried_batch: B, if the state after a training pass is to be where the next one starts.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T] -> logits [B, T, V] of the tokens after each. Its methods: "start",
        (batch size) -> a carry, and "decode", (carry, tokens [B]) -> (logits [B, V], carry).

    Raises:
        ValueError: tied without an embedding of F features; from `apply`, tokens that are no
            integers [B, T] of the vocabulary.

    Example:
        >>> model = recurrent_language_model(11, 8)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.zeros([3, 5], int))[0].shape
        (3, 5, 11)
    """
    if tied and embedding_dim != hidden_dim:
        raise ValueError(
            f"a tied head needs embedding_dim=hidden_dim={hidden_dim}; got {embedding_dim}"
        )
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}

    def build(rngs):
        made = {**dtypes, "rngs": rngs}
        embed = None if embedding_dim is None else Embed(vocab_size, embedding_dim, **made)
        inputs = vocab_size if embed is None else embedding_dim
        options = {"cell": cell, "dropout_rate": dropout_rate, **made}
        stack = RecurrentStack(inputs, hidden_dim, num_layers, **options)
        stack = stack if carried_batch is None else CarriedStack(stack, carried_batch)
        head = None if tied else Linear(hidden_dim, vocab_size, **made)
        return RecurrentLanguageModel(vocab_size, embed, stack, head, dropout_rate, dtypes)

    return functional(build)


def streams(ids: Sequence[int], batch_size: int, length: int) -> np.ndarray:
    """A long text as B streams side by side, cut into windows that follow each other.

    Row b of a window goes on where row b of the window before ended, whose last token it repeats:
    that is a label there and an input here.

    Args:
        ids: of the text, one after the other.
        batch_size: B.
        length: T, the predictions a window.

    Returns:
        [N, B, T + 1], each a batch of `next_token` for a model of `carried_batch=B`. What is left
        over at the end of a stream is dropped.

    Raises:
        ValueError: sizes below 1, or a text too short for a window.

    Example:
        >>> streams(range(10), 2, 2).tolist()
        [[[0, 1, 2], [5, 6, 7]], [[2, 3, 4], [7, 8, 9]]]
    """
    ids = np.asarray(ids)
    if min(batch_size, length) < 1 or ids.ndim != 1 or len(ids) < batch_size * (length + 1):
        raise ValueError(
            f"{batch_size} streams of windows of {length} + 1 tokens, sizes of at least 1, take a "
            f"text [L] of as many; got {list(ids.shape)}"
        )
    rows = ids[: len(ids) // batch_size * batch_size].reshape(batch_size, -1)
    cut = np.lib.stride_tricks.sliding_window_view(rows, length + 1, axis=1)[:, ::length]
    return cut.swapaxes(0, 1).copy()


class RecurrentLanguageModel(nnx.Module):
    """The network of `recurrent_language_model`."""

    def __init__(self, vocab_size, embed, stack, head, dropout_rate, dtypes):
        self.vocab_size, self.embed, self.stack, self.head = vocab_size, embed, stack, head
        self.dropout = nnx.Dropout(dropout_rate)
        self.one_hot_dtype = dtypes["dtype"] or dtypes["param_dtype"]

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Tokens [B, T] -> logits [B, T, V]."""
        check_tokens(tokens, self.vocab_size)
        x = self._embedded(tokens)
        x = x if self.embed is None else self.dropout(x, rngs=rngs)
        return self._logits(self.dropout(self.stack(x, rngs=rngs).outputs, rngs=rngs))

    def start(self, batch_size: int) -> Carry:
        """The state before the first token."""
        return self.stack.initial_carry(batch_size)

    def decode(self, carry: Carry, tokens: jax.Array) -> tuple[jax.Array, Carry]:
        """Tokens [B] -> logits [B, V] of the next ones, and the state."""
        carry, y = self.stack.step(carry, self._embedded(tokens))
        return self._logits(y), carry

    def _embedded(self, tokens):
        if self.embed is None:
            known = (tokens >= 0) & (tokens < self.vocab_size)
            rows = jax.nn.one_hot(tokens, self.vocab_size, dtype=self.one_hot_dtype)
            return jnp.where(known[..., None], rows, jnp.nan)
        return self.embed(tokens)

    def _logits(self, y):
        return self.embed.attend(y) if self.head is None else self.head(y)
