"""A convolutional network of sentences: filters of a few widths over words, the best place of each.

    tokens [B, T] -> words [B, T, D]
      -> for each width h in 3, 4, 5: filters over h words, relu   [B, T + h - 1, 100]
      -> the largest of each filter over the sentence              [B, 100]
      -> concatenated [B, 300] -> dropout -> classes

The places of a filter are those that see a word at all: tokens that are padding are words of zeros,
as the zeros beyond the ends are, and windows of nothing else are left out. So logits do not depend
on how far a sentence is padded.

    rand          text_cnn(V, K)
    static        text_cnn(V, K, embeddings=matrix, words="fixed")
    non-static    text_cnn(V, K, embeddings=matrix)
    multichannel  text_cnn(V, K, embeddings=matrix, words="both"): one filter sees the sum of a
                  fixed and a tuned embedding, since its outputs on the two channels are added

Parameters: V D of the words, sum over h of 100 (h D + 1), and (300 + 1) K. Fixed words are buffers.

Source: Kim 2014, sections 2 and 3.1 (D = 300; the weights of the classes are kept at a norm of 3 at
most, Adadelta, batches of 50); 001, 003 in words.

Axes: B sentences, T tokens, V words known, D of an embedding, K classes.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.pooling import max_pool
from jdl.nn.token_ids import check_special, check_tokens

INITIAL = 0.25  # words are drawn from (-0.25, 0.25), near the variance of word2vec's


def text_cnn(
    vocab_size: int,
    num_classes: int | None = 2,
    *,
    embedding_dim: int = 300,
    embeddings: jax.Array | None = None,
    words: str = "tuned",
    window_sizes: Sequence[int] = (3, 4, 5),
    features: int = 100,
    pad_id: int = 0,
    dropout_rate: float = 0.5,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """Kim's network.

    Args:
        vocab_size: V.
        num_classes: K; None for no head: the outputs are the pooled features.
        embedding_dim: D.
        embeddings: [V, D] to start from, such as word2vec's; None draws them.
        words: "tuned", "fixed", or "both" added.
        window_sizes: h of the filters.
        features: filters of each h.
        pad_id: token that stands for no word.
        dropout_rate: of the pooled features.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T], integers in [0, V) -> logits [B, K].

    Raises:
        ValueError: embeddings of another shape, or none where they are fixed; from `apply`, tokens
            that are not integers [B, T].

    Example:
        >>> model = text_cnn(1000, embedding_dim=8, features=4)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.zeros([5, 9], jnp.int32))[0].shape
        (5, 2)
    """
    if words not in ("tuned", "fixed", "both"):
        raise ValueError(f"words are tuned, fixed or both; got {words!r}")
    shape = vocab_size, embedding_dim
    if embeddings is None and words != "tuned":
        raise ValueError(f"{words} words want embeddings {list(shape)}; got None")
    if embeddings is not None and embeddings.shape != shape:
        raise ValueError(f"embeddings are {list(shape)}; got {list(embeddings.shape)}")
    check_special(vocab_size, pad_id=pad_id)
    start = (shape, embeddings, words, pad_id)
    sizes = window_sizes, features, num_classes, dropout_rate
    made = {"dtype": dtype, "param_dtype": param_dtype}
    return functional(lambda rngs: TextCNN(start, *sizes, made, rngs=rngs))


class TextCNN(nnx.Module):
    """The network of `text_cnn`."""

    def __init__(self, start, window_sizes, features, num_classes, dropout_rate, made, *, rngs):
        shape, embeddings, words, self.pad_id = start
        self.dtype, param_dtype = made["dtype"], made["param_dtype"]
        if embeddings is None:
            drawn = jax.random.uniform(rngs.params(), shape, param_dtype, -INITIAL, INITIAL)
            embeddings = drawn
        embeddings = jnp.asarray(embeddings, param_dtype)
        self.tuned = nnx.Param(embeddings) if words != "fixed" else None
        self.fixed = nnx.Variable(embeddings) if words != "tuned" else None
        self.convs = nnx.List()
        for size in window_sizes:
            ends = [(size - 1, size - 1)]
            conv = nnx.Conv(shape[1], features, (size,), padding=ends, **made, rngs=rngs)
            self.convs.append(conv)
        self.dropout = nnx.Dropout(dropout_rate)
        width = features * len(window_sizes)
        self.head = (
            None if num_classes is None else nnx.Linear(width, num_classes, **made, rngs=rngs)
        )

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Tokens [B, T] -> logits [B, K]."""
        tables = [table[...] for table in (self.tuned, self.fixed) if table is not None]
        check_tokens(tokens, len(tables[0]))
        there = (tokens != self.pad_id)[..., None]
        words = sum(table.astype(self.dtype or table.dtype)[tokens] for table in tables) * there
        pooled = jnp.concatenate([_largest(conv, words, there) for conv in self.convs], -1)
        pooled = self.dropout(pooled, rngs=rngs)
        return pooled if self.head is None else self.head(pooled)


def _largest(conv, words, there):
    """[B, T, D] -> [B, F]: rectified, so that a place left out counts as 0."""
    size = conv.kernel_size[0]
    sees = max_pool(there.astype(jnp.float32), size, 1, [(size - 1, size - 1)]) > 0
    return jnp.where(sees, jax.nn.relu(conv(words)), 0).max(1)
