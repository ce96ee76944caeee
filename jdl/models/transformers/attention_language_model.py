"""Causal multi-head attention, one layer, that models characters: 004's step to a Transformer.

    tokens [B, T] -> embedding x                             [B, T, D]
      -> causal attention, 16 heads of 16 features           [B, T, 256]
      -> sigmoid(heads W + b)                                [B, T, D]
      -> logits = hidden U + c                               [B, T, V]

Source: 004 sec. 6.2, example 6.2.3: 30 characters, a context of 8, D = 32. It has no positions, so
a token knows of those before it which, but not where: `language_model` adds positions. Parameters:
960 + 24,576 + 8,224 + 990 = 34,750, where values have 16 features as keys do, and no bias (004
gives neither).

Departs from 004 in what `jdl.nn.attention` says: the mask is not a product, the softmax comes
before the sum over values, scores are divided by the root of 16; and its "third dense layer" is the
value.

Axes: B sequences, T characters, D features, V characters of the alphabet.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.multi_head_attention import MultiHeadAttention
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, Linear


def attention_language_model(
    vocab_size: int = 30,
    features: int = 32,
    num_heads: int = 16,
    head_dim: int = 16,
    *,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A language model of one attention. Its objective is `gpt2.next_token`.

    Args:
        vocab_size: V.
        features: D.
        num_heads: of attention.
        head_dim: features of each, of queries, keys and values.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T] -> logits [B, T, V] of the tokens after each. Its method
        "attention_maps": tokens -> weights [B, H, T, T].

    Raises:
        ValueError: from `apply`, tokens that are no integers [B, T] of the vocabulary.

    Example:
        >>> model = attention_language_model()
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> sum(x.size for x in jax.tree.leaves(variables.params))
        34750
    """
    sizes, dtypes = (vocab_size, features, num_heads, head_dim), (dtype, param_dtype)
    return functional(lambda rngs: AttentionLanguageModel(*sizes, *dtypes, rngs=rngs))


class AttentionLanguageModel(nnx.Module):
    """The network of `attention_language_model`."""

    def __init__(self, vocab_size, features, num_heads, head_dim, dtype, param_dtype, *, rngs):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.vocab_size = vocab_size
        self.tokens = Embed(vocab_size, features, **made)
        self.attention = MultiHeadAttention(
            features, num_heads, head_dim=head_dim, use_bias=False, project_bias=True, **made
        )
        self.head = Linear(features, vocab_size, **made)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Tokens [B, T] -> logits [B, T, V]."""
        check_tokens(tokens, self.vocab_size)
        hidden = self.attention(self.tokens(tokens), is_causal=True)
        return self.head(jax.nn.sigmoid(hidden))

    def attention_maps(self, tokens: jax.Array) -> jax.Array:
        """Tokens [B, T] -> the weights [B, H, T, T]."""
        x = self.tokens(tokens)
        return self.attention(x, is_causal=True, return_weights=True)[1]
