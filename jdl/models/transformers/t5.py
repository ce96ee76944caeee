"""T5, an encoder and a decoder that turn text into text, whatever the task.

    source [B, S] -> E -> L times  x = x + attention(norm(x)) + bias of i - j       [B, S, D]
                                   x = x + W_2 relu(W_1 norm(x))
    target [B, T] -> E -> L times  the same, of the past alone, and between them
                                   x = x + attention(norm(x), memory)               [B, T, D]
      -> norm -> logits = x E^T / sqrt(D)                                           [B, T, V]

    norm(x) = scale * x / sqrt(mean(x^2) + 1e-6);   scores = q . k, with no 1 / sqrt(F)

No dense layer has a bias, no position is added: the scores of head h get b_h[bucket(j - i)], one
table for all layers of a stack. Half of the buckets are a distance each, the others grow as powers
up to 128; an encoder has half of them for each side.

Source: Raffel, Shazeer, Roberts and others 2020, sections 2.1 and 3.1.1, and its released code for
the head, which is the embedding, scaled; Shaw, Uszkoreit, Vaswani 2018 for the idea; 001, 003 in
words. T5-small has 60,506,624 parameters, base 222,903,552. Later forms (T5 1.1, Flan-T5) have a
gated perceptron and a head of their own, and are not here.

Axes: B sequences, S source and T target tokens, H heads, F features of a head, D features, V words.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.transformers.encoder_decoder import Carry
from jdl.nn.attention import attention, causal_mask, padding_mask
from jdl.nn.attention_cache import cached, empty_cache, placed, positions, stopped
from jdl.nn.token_ids import check_pairs, check_special, check_tokens
from jdl.nn.token_layers import Embed, Linear
from jdl.nn.transformer_block import FeedForward
from jdl.stacks import layers, run_stack


def t5(
    vocab_size: int = 32128,
    hidden_dim: int = 512,
    num_layers: int = 6,
    num_heads: int = 8,
    *,
    head_dim: int = 64,
    feed_forward_dim: int | None = None,
    num_buckets: int = 32,
    longest_distance: int = 128,
    pad_token: int = 0,
    dropout_rate: float = 0.1,
    epsilon: float = 1e-6,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """T5, by default the small one. `SIZES` has them.

    Args:
        vocab_size: number of tokens, V.
        hidden_dim: D.
        num_layers: of the encoder and of the decoder.
        num_heads: H.
        head_dim: F.
        feed_forward_dim: hidden features of a perceptron; None is 4 D.
        num_buckets: of distances.
        longest_distance: those from here on share a bucket.
        pad_token: fills a source up; the first token of a target, too.
        dropout_rate: of embeddings, attention's weights, hidden features, and what a part adds.
        epsilon: of the norms.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at
            "encoder.blocks" and "decoder.blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: source [B, S], shifted target [B, T] -> logits [B, T, V]. Its methods: "encode",
        source -> memory [B, S, D]; "start", "decode" and "prefill" of
        `jdl.models.transformers.encoder_decoder`, which write a target.

    Raises:
        ValueError: from `apply`, tokens that are no integers of the vocabulary.

    Example:
        >>> model = t5(11, 8, 1, 2, head_dim=4)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> source, target = jnp.ones([3, 5], int), jnp.ones([3, 4], int)
        >>> jax.eval_shape(model.apply, variables, source, target)[0].shape
        (3, 4, 11)
    """
    check_special(vocab_size, pad_token=pad_token)
    config = T5Config(
        vocab_size=vocab_size,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        head_dim=head_dim,
        feed_forward_dim=feed_forward_dim or 4 * hidden_dim,
        num_buckets=num_buckets,
        longest_distance=longest_distance,
        pad_token=pad_token,
        dropout_rate=dropout_rate,
        epsilon=epsilon,
        dtypes={"dtype": dtype, "param_dtype": param_dtype},
        stack={"scan_layers": scan_layers, "remat": remat},
    )
    stacks = ("encoder.blocks", "decoder.blocks")
    return functional(lambda rngs: T5(config, rngs=rngs), stacks=stacks)


# Raffel et al. 2020, section 3.1.1 and appendix of the released models.
SIZES = {
    "t5-small": t5,
    "t5-base": functools.partial(t5, hidden_dim=768, num_layers=12, num_heads=12),
    "t5-large": functools.partial(t5, hidden_dim=1024, num_layers=24, num_heads=16),
}


def distance_buckets(
    distances: jax.Array, *, both_sides: bool, num_buckets: int = 32, longest_distance: int = 128
) -> jax.Array:
    """Which entry of the table of biases a distance has.

    Args:
        distances: j - i, integers: the key's position less the query's.
        both_sides: whether keys behind the query have buckets of their own; else they share that
            of distance 0, and are not seen.
        num_buckets: of both sides together.
        longest_distance: those from here on share the last bucket.

    Returns:
        Integers of the same shape, less than num_buckets.

    Example:
        >>> distance_buckets(jnp.array([0, -1, -7, -8, -200, 1, 200]), both_sides=True).tolist()
        [0, 1, 7, 8, 15, 17, 31]
    """
    if both_sides:
        num_buckets //= 2
        first = jnp.where(distances > 0, num_buckets, 0)
        distances = jnp.abs(distances)
    else:
        first, distances = 0, jnp.maximum(-distances, 0)
    exact = num_buckets // 2
    # In single precision, as the released code: the table is a fact of its rounding.
    powers = jnp.log(jnp.maximum(distances, 1).astype(jnp.float32) / exact)
    powers = powers / math.log(longest_distance / exact) * (num_buckets - exact)
    far = jnp.minimum(exact + powers.astype(distances.dtype), num_buckets - 1)
    return first + jnp.where(distances < exact, distances, far)


class T5Config(NamedTuple):
    """The arguments of `t5`, which its modules read."""

    vocab_size: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    head_dim: int
    feed_forward_dim: int
    num_buckets: int
    longest_distance: int
    pad_token: int
    dropout_rate: float
    epsilon: float
    dtypes: dict[str, Any]
    stack: dict[str, Any]

    def norm(self, rngs: nnx.Rngs) -> nnx.RMSNorm:
        """A norm of the stream, without a mean or a bias."""
        return nnx.RMSNorm(self.hidden_dim, epsilon=self.epsilon, **self.dtypes, rngs=rngs)

    def feed_forward(self, rngs: nnx.Rngs) -> FeedForward:
        """A block's perceptron."""
        return FeedForward(
            self.hidden_dim,
            self.feed_forward_dim,
            use_bias=False,
            dropout_rate=self.dropout_rate,
            kernel_init=nnx.initializers.normal(self.hidden_dim**-0.5),
            project_init=nnx.initializers.normal(self.feed_forward_dim**-0.5),
            **self.dtypes,
            rngs=rngs,
        )


class T5(nnx.Module):
    """The network of `t5`."""

    def __init__(self, config, *, rngs):
        self.config = config
        self.tokens = Embed(
            config.vocab_size,
            config.hidden_dim,
            embedding_init=nnx.initializers.normal(1.0),
            **config.dtypes,
            rngs=rngs,
        )
        self.encoder = Stack(config, decodes=False, rngs=rngs)
        self.decoder = Stack(config, decodes=True, rngs=rngs)
        self.dropout = nnx.Dropout(config.dropout_rate)

    def __call__(
        self, source: jax.Array, target: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Source [B, S], shifted target [B, T] -> logits [B, T, V]."""
        check_tokens(target, self.config.vocab_size)
        check_pairs(source, target)
        memory = self.encode(source, rngs=rngs)
        x = self.dropout(self.tokens(target), rngs=rngs)
        mask = causal_mask(target.shape[1], target.shape[1])
        x = self.decoder(x, mask, memory, self._seen(source), rngs=rngs)
        return self._logits(x, rngs)

    def encode(self, source: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Source [B, S] -> memory [B, S, D]."""
        check_tokens(source, self.config.vocab_size)
        x = self.dropout(self.tokens(source), rngs=rngs)
        return self.dropout(self.encoder(x, self._seen(source), rngs=rngs), rngs=rngs)

    def start(self, source: jax.Array, length: int) -> Carry:
        """Source [B, S] -> the carry of a target that will have up to `length` tokens."""
        config, memory, batch = self.config, self.encode(source), source.shape[0]
        blocks = layers(self.decoder.blocks)
        dtype = config.dtypes["dtype"] or config.dtypes["param_dtype"]
        cache = empty_cache(batch, length, config.num_heads, config.head_dim, dtype)
        return Carry(
            position=jnp.zeros(batch, jnp.int32),
            caches=(cache,) * config.num_layers,
            memories=tuple(b.cross_attention.keys_values(memory) for b in blocks),
            is_token=source != config.pad_token,
        )

    def prefill(
        self, carry: Carry, tokens: jax.Array, lengths: jax.Array | None = None
    ) -> tuple[jax.Array, Carry]:
        """Beginnings [B, T] of targets, with filling behind their lengths -> as `decode`."""
        x, after = self.decoder.step(self.tokens(tokens), positions(carry, tokens), carry)
        x, after = stopped(placed(x, carry), carry, after, lengths)
        return self._logits(x, None), after

    def decode(self, carry: Carry, tokens: jax.Array) -> tuple[jax.Array, Carry]:
        """The token that was written, [B] -> logits [B, V] of the next one, and the carry."""
        return self.prefill(carry, tokens[:, None])

    def _seen(self, source):
        return padding_mask(source != self.config.pad_token)

    def _logits(self, x, rngs):
        x = self.dropout(x, rngs=rngs) * self.config.hidden_dim**-0.5
        return self.tokens.attend(x)


class Stack(nnx.Module):
    """The blocks of one side, the biases of distances they share, and a norm.

    A stack that decodes and does not cross has no memory: it is a language model's.
    """

    def __init__(self, config, *, decodes, crosses=None, rngs):
        crosses = decodes if crosses is None else crosses
        self.config, self.decodes = config, decodes
        self.biases = Embed(
            config.num_buckets,
            config.num_heads,
            embedding_init=nnx.initializers.normal(config.hidden_dim**-0.5),
            **config.dtypes,
            rngs=rngs,
        )
        self.blocks = nnx.List(
            Block(config, crosses=crosses, rngs=rngs) for _ in range(config.num_layers)
        )
        self.norm = config.norm(rngs)

    def __call__(self, x, mask, memory=None, memory_mask=None, *, rngs=None) -> jax.Array:
        """The stream [B, T, D] through all blocks."""
        places = jnp.arange(x.shape[1])
        bias = self.bias(places[None], places)

        def call(block, x, rngs):
            crossed = None if memory is None else block.cross_attention.keys_values(memory)
            return block(x, mask, bias, crossed, memory_mask, rngs=rngs)

        return self.norm(run_stack(self.blocks, x, call, rngs=rngs, **self.config.stack))

    def step(self, x: jax.Array, at: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """Tokens [B, T, D] behind the carry, at positions [B, T] -> [B, T, D], and the carry."""
        length = carry.caches[0].head_keys.shape[2]
        bias = self.bias(at, jnp.arange(length))
        mask, caches = causal_mask(x.shape[1], length, carry.position), []
        memory_mask = None if carry.is_token is None else padding_mask(carry.is_token)
        for block, cache, memory in zip(
            layers(self.blocks), carry.caches, carry.memories, strict=True
        ):
            keys_values = block.attention.keys_values(block.attention_norm(x))
            caches.append(cached(cache, *keys_values, carry.position))
            known = caches[-1].keys, caches[-1].values
            x = block(x, mask, bias, memory, memory_mask, known=known)
        after = carry._replace(position=carry.position + x.shape[1], caches=tuple(caches))
        return self.norm(x), after

    def bias(self, queries: jax.Array, keys: jax.Array) -> jax.Array:
        """Positions [B, I] of queries and [J] of keys -> what is added to scores, [B, H, I, J]."""
        buckets = distance_buckets(
            keys[None, None] - queries[..., None],
            both_sides=not self.decodes,
            num_buckets=self.config.num_buckets,
            longest_distance=self.config.longest_distance,
        )
        return jnp.moveaxis(self.biases(buckets), -1, 1)


class Block(nnx.Module):
    """Attention, in a decoder attention to the memory, and a perceptron."""

    def __init__(self, config, *, crosses, rngs):
        self.attention_norm, self.attention = config.norm(rngs), Attention(config, rngs=rngs)
        self.cross_attention_norm, self.cross_attention = (
            (config.norm(rngs), Attention(config, rngs=rngs)) if crosses else (None, None)
        )
        self.feed_forward_norm = config.norm(rngs)
        self.feed_forward = config.feed_forward(rngs)
        self.dropout = nnx.Dropout(config.dropout_rate)

    def __call__(
        self, x, mask, bias, memory=None, memory_mask=None, *, known=None, rngs=None
    ) -> jax.Array:
        """The stream [B, T, D]; `known` are keys and values of a cache, with those of x in it."""
        normed = self.attention_norm(x)
        known = self.attention.keys_values(normed) if known is None else known
        attended = self.attention(normed, *known, mask=mask, bias=bias, rngs=rngs)
        x = x + self.dropout(attended, rngs=rngs)
        if memory is not None:
            normed = self.cross_attention_norm(x)
            attended = self.cross_attention(normed, *memory, mask=memory_mask, rngs=rngs)
            x = x + self.dropout(attended, rngs=rngs)
        perceived = self.feed_forward(self.feed_forward_norm(x), rngs=rngs)
        return x + self.dropout(perceived, rngs=rngs)


class Attention(nnx.Module):
    """Attention without biases, whose scores are not divided by sqrt(F)."""

    def __init__(self, config, *, rngs):
        self.num_heads = config.num_heads
        features, width = config.hidden_dim, config.num_heads * config.head_dim

        def linear(inputs, outputs, variance):
            init = nnx.initializers.normal(float(np.sqrt(variance)))
            options = {"use_bias": False, "kernel_init": init, **config.dtypes}
            return Linear(inputs, outputs, **options, rngs=rngs)

        self.query = linear(features, width, 1 / (features * config.head_dim))
        self.key = linear(features, width, 1 / features)
        self.value = linear(features, width, 1 / features)
        self.project = linear(width, features, 1 / width)
        self.dropout = nnx.Dropout(config.dropout_rate)

    def keys_values(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A sequence [B, J, D] -> its keys and values, each [B, J, H, F]."""
        return self._heads(self.key(x)), self._heads(self.value(x))

    def __call__(self, x, keys, values, *, mask, bias=None, rngs=None) -> jax.Array:
        """Queries of [B, I, D], keys and values [B, J, H, F] -> [B, I, D]."""
        query = self._heads(self.query(x))
        query = query * query.shape[-1] ** 0.5
        drops = self.dropout.rate > 0 and not self.dropout.deterministic
        drop = functools.partial(self.dropout, rngs=rngs) if drops else None
        heads = attention(query, keys, values, mask=mask, bias=bias, drop=drop)
        return self.project(heads.reshape(*x.shape[:2], -1))

    def _heads(self, x):
        return x.reshape(*x.shape[:2], self.num_heads, -1)
