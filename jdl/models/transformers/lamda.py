"""LaMDA, a decoder-only Transformer for dialogue, with T5's distances and gated perceptrons.

    tokens [B, T] -> E                                                        [B, T, D]
      -> L times   x = x + attention(norm(x)) + bias of i - j                 causal
                   x = x + W_2 (gelu(W_1 norm(x)) * (V norm(x)))
      -> norm -> logits = x E^T / sqrt(D)                                     [B, T, V]

             L      D   heads of 128       N   without embeddings
    2B      10   2560             40   20480        2,097,207,040
    8B      16   4096             64   32768        8,590,071,808
    137B    64   8192            128   65536      137,440,014,336

L (512 H D + 3 D N) + (2 L + 1) D + 32 H: matrices, scales of norms, biases of distances. The
embedding has V D more.

Source: Thoppilan and others 2022, section 3 and table 27; Raffel et al. 2020, section 2.1 for the
distances and norms and 3.7 (T5 1.1) for the perceptron; Shazeer 2020, eq. 6 (GEGLU). The paper says
no more of the network than "relative attention as in T5 and gated-GELU activation": the norm, the
absence of biases, the scaled, tied head and the number of buckets are T5's, and N = 8 D, published
for the largest alone, holds for all three and gives the published counts. The vocabulary of 32,000
is its "32K". What makes it a system for dialogue, candidates that are scored for safety and
quality, and calls of tools, is fine-tuning data and no network, and is not here.

Axes: B sequences, T tokens, H heads, D features, N hidden features, V words.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.transformers.encoder_decoder import Carry
from jdl.models.transformers.t5 import Stack
from jdl.nn.attention import causal_mask
from jdl.nn.attention_cache import empty_cache, placed, positions, stopped
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, Linear


def lamda(
    vocab_size: int = 32000,
    hidden_dim: int = 8192,
    num_layers: int = 64,
    num_heads: int = 128,
    *,
    head_dim: int = 128,
    feed_forward_dim: int | None = None,
    num_buckets: int = 32,
    longest_distance: int = 128,
    dropout_rate: float = 0.0,
    epsilon: float = 1e-6,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """LaMDA, by default the largest of the three. `SIZES` has them all.

    Args:
        vocab_size: V.
        hidden_dim: D.
        num_layers: L.
        num_heads: H.
        head_dim: features of a head.
        feed_forward_dim: N; None is 8 D.
        num_buckets: of distances.
        longest_distance: those from here on share a bucket.
        dropout_rate: of embeddings, attention's weights, hidden features, and what a part adds; the
            paper names none.
        epsilon: of the norms.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at
            "decoder.blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T] -> logits [B, T, V], those at t for the token at t + 1. Its methods:
        "start", (B, length) -> a carry, and "prefill" and "decode" of
        `jdl.models.transformers.gpt2`.

    Raises:
        ValueError: from `apply`, tokens that are no integers [B, T] of the vocabulary.

    Example:
        >>> model = lamda(11, 8, 1, 2, head_dim=4)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.ones([3, 5], int))[0].shape
        (3, 5, 11)
    """
    config = LaMDAConfig(
        vocab_size=vocab_size,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        head_dim=head_dim,
        feed_forward_dim=feed_forward_dim or 8 * hidden_dim,
        num_buckets=num_buckets,
        longest_distance=longest_distance,
        dropout_rate=dropout_rate,
        epsilon=epsilon,
        dtypes={"dtype": dtype, "param_dtype": param_dtype},
        stack={"scan_layers": scan_layers, "remat": remat},
    )
    return functional(lambda rngs: LaMDA(config, rngs=rngs), stacks=("decoder.blocks",))


SIZES = {
    "lamda-2b": functools.partial(lamda, hidden_dim=2560, num_layers=10, num_heads=40),
    "lamda-8b": functools.partial(lamda, hidden_dim=4096, num_layers=16, num_heads=64),
    "lamda-137b": lamda,
}


class LaMDAConfig(NamedTuple):
    """The arguments of `lamda`, which its modules and T5's read."""

    vocab_size: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    head_dim: int
    feed_forward_dim: int
    num_buckets: int
    longest_distance: int
    dropout_rate: float
    epsilon: float
    dtypes: dict[str, Any]
    stack: dict[str, Any]

    def norm(self, rngs: nnx.Rngs) -> nnx.RMSNorm:
        """A norm of the stream, without a mean or a bias."""
        return nnx.RMSNorm(self.hidden_dim, epsilon=self.epsilon, **self.dtypes, rngs=rngs)

    def feed_forward(self, rngs: nnx.Rngs) -> "GatedFeedForward":
        """A block's perceptron."""
        return GatedFeedForward(self, rngs=rngs)


class LaMDA(nnx.Module):
    """The network of `lamda`."""

    def __init__(self, config, *, rngs):
        self.config = config
        init = nnx.initializers.normal(1.0)
        self.tokens = Embed(
            config.vocab_size, config.hidden_dim, embedding_init=init, **config.dtypes, rngs=rngs
        )
        self.decoder = Stack(config, decodes=True, crosses=False, rngs=rngs)
        self.dropout = nnx.Dropout(config.dropout_rate)

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Tokens [B, T] -> logits [B, T, V]."""
        check_tokens(tokens, self.config.vocab_size)
        x = self.dropout(self.tokens(tokens), rngs=rngs)
        x = self.decoder(x, causal_mask(tokens.shape[1], tokens.shape[1]), rngs=rngs)
        return self._logits(self.dropout(x, rngs=rngs))

    def start(self, batch_size: int, length: int) -> Carry:
        """The carry of S = length places, before the first token."""
        config = self.config
        dtype = config.dtypes["dtype"] or config.dtypes["param_dtype"]
        cache = empty_cache(batch_size, length, config.num_heads, config.head_dim, dtype)
        return Carry(
            position=jnp.zeros(batch_size, jnp.int32),
            caches=(cache,) * config.num_layers,
            memories=(None,) * config.num_layers,
            is_token=None,
        )

    def prefill(
        self, carry: Carry, tokens: jax.Array, lengths: jax.Array | None = None
    ) -> tuple[jax.Array, Carry]:
        """Prompts [B, T], with filling behind their lengths [B] -> logits [B, V], the carry."""
        check_tokens(tokens, self.config.vocab_size)
        x, after = self.decoder.step(self.tokens(tokens), positions(carry, tokens), carry)
        x, after = stopped(placed(x, carry), carry, after, lengths)
        return self._logits(x), after

    def decode(self, carry: Carry, tokens: jax.Array) -> tuple[jax.Array, Carry]:
        """A token [B] of each sequence -> the logits [B, V] of the next, the carry."""
        return self.prefill(carry, tokens[:, None])

    def _logits(self, x):
        return self.tokens.attend(x * self.config.hidden_dim**-0.5)


class GatedFeedForward(nnx.Module):
    """A perceptron whose hidden features are gates times features, W_2 (gelu(W_1 x) * (V x))."""

    def __init__(self, config, *, rngs):
        features, hidden = config.hidden_dim, config.feed_forward_dim
        made = {"use_bias": False, **config.dtypes, "rngs": rngs}
        inner = {"kernel_init": nnx.initializers.normal(features**-0.5), **made}
        self.gate = Linear(features, hidden, **inner)
        self.expand = Linear(features, hidden, **inner)
        outer = {"kernel_init": nnx.initializers.normal(hidden**-0.5), **made}
        self.project = Linear(hidden, features, **outer)
        self.dropout = nnx.Dropout(config.dropout_rate)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """[B, T, D] -> [B, T, D]."""
        hidden = jax.nn.gelu(self.gate(x), approximate=True) * self.expand(x)
        return self.project(self.dropout(hidden, rngs=rngs))
