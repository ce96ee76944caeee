"""The Transformer of 2017: an encoder reads a sequence, a decoder writes another, token by token.

    source [B, S] -> sqrt(D) embedding + position -> L times  self-attention, perceptron  = memory
    target [B, T] -> sqrt(D) embedding + position -> L' times causal self-attention,
                     attention to the memory, perceptron
                  -> logits = x E^T                      [B, T, V], E the embedding of both sides

The target is shifted right: its position t has the token before the one to predict, at 0 a start
token. Padding is hidden as a key, in the source; behind a target it is of the future.

Source: Vaswani et al. 2017, section 3 and table 3 ("base": D = 512, 6 + 6 layers, 8 heads, 2048
hidden features, dropout 0.1 of what a part adds and of the embedded sums); 001; 004 sec. 6.3. Over
37000 words of both languages, 63,082,496 parameters, which the paper rounds to 65 million; the
blocks have 44,138,496 of them, and 44,140,544 with PyTorch's norms behind each stack
(`final_norm`), or 31,531,008 with two layers of an encoder (000's listing).

Departs from 004, whose text has positions not attend "consecutive" ones: subsequent ones. 000's
listing of nn.Transformer has no embeddings, positions or causal mask; they belong to it.

Axes: B sequences, S tokens of a source, T of a target, D features, H heads, V words.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Model, Objective, Variables
from jdl.functional import functional
from jdl.nn.attention import padding_mask
from jdl.nn.attention_cache import AttentionCache, placed, positions, reordered, stopped
from jdl.nn.positions import sinusoidal
from jdl.nn.teacher_forcing import shifted_right
from jdl.nn.token_ids import check_pairs, check_special, check_tokens
from jdl.nn.token_layers import Embed, LayerNorm, Linear
from jdl.nn.transformer_block import TransformerBlock
from jdl.stacks import layers, run_stack


def encoder_decoder(
    vocab_size: int = 37_000,
    hidden_dim: int = 512,
    num_layers: int = 6,
    num_heads: int = 8,
    *,
    num_decoder_layers: int | None = None,
    feed_forward_dim: int = 2048,
    pad_token: int = 0,
    dropout_rate: float = 0.1,
    attention_dropout_rate: float = 0.0,
    hidden_dropout_rate: float = 0.0,
    norm_placement: str = "post",
    final_norm: bool = False,
    tied: bool = True,
    activation: Callable = jax.nn.relu,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """The encoder-decoder Transformer.

    Args:
        vocab_size: V, words of both sides together.
        hidden_dim: D.
        num_layers: of the encoder.
        num_heads: of every attention.
        num_decoder_layers: of the decoder; None is as many.
        feed_forward_dim: hidden features of the perceptrons.
        pad_token: fills a source up.
        dropout_rate: of what a part adds, and of the sums of embeddings and positions.
        attention_dropout_rate: of attention's weights; PyTorch has the same rate here.
        hidden_dropout_rate: of the perceptrons' hidden features; so here.
        norm_placement: "post", "pre" or "sublayer", as `TransformerBlock` has them.
        final_norm: whether a norm stands behind each stack, as "pre" wants it.
        tied: whether source, target and head share one matrix; else there are three.
        activation: of the perceptrons.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at
            "encoder" and "decoder".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: source [B, S], shifted target [B, T] -> logits [B, T, V]. Its methods: "encode",
        source -> memory [B, S, D]; "start", (source, length) -> a carry, "decode", (carry, tokens
        [B]) -> (logits [B, V], carry), and "prefill", (carry, tokens [B, T], lengths [B] or None)
        -> the same behind a target's beginning, which write a target of up to `length` tokens;
        "attention_maps", (source, target) -> AttentionMaps.

    Raises:
        ValueError: the heads do not divide the features; from `apply`, tokens that are no integers
            [B, T] of the vocabulary.

    Example:
        >>> model = encoder_decoder(11, 8, 1, 2, feed_forward_dim=16)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> source, target = jnp.ones([3, 5], int), jnp.ones([3, 4], int)
        >>> jax.eval_shape(model.apply, variables, source, target)[0].shape
        (3, 4, 11)
    """
    check_special(vocab_size, pad_token=pad_token)
    blocks = {
        "features": hidden_dim,
        "num_heads": num_heads,
        "hidden_dim": feed_forward_dim,
        "norm_placement": norm_placement,
        "activation": activation,
        "dropout_rate": dropout_rate,
        "attention_dropout_rate": attention_dropout_rate,
        "hidden_dropout_rate": hidden_dropout_rate,
        "dtype": dtype,
        "param_dtype": param_dtype,
    }
    depths = (num_layers, num_layers if num_decoder_layers is None else num_decoder_layers)
    stack = {"scan_layers": scan_layers, "remat": remat}
    sizes = (vocab_size, pad_token, depths, final_norm, tied, stack)
    stacks = ("encoder", "decoder")
    return functional(lambda rngs: EncoderDecoder(*sizes, blocks, rngs=rngs), stacks=stacks)


def translation(
    model: Model, start_token: int, *, pad_token: int = 0, label_smoothing: float = 0.1
) -> Objective:
    """The mean cross-entropy of a target's tokens, each given the source and the true ones before.

        loss = - mean_{target != pad} sum_v q_v log softmax(logits)_v
        q    = (1 - a) onehot + a / V

    In nats; teacher forcing. Source: Vaswani et al. 2017, section 5.4, with a = 0.1.

    Args:
        model: (source [B, S], shifted target [B, T]) -> logits [B, T, V].
        start_token: before the first.
        pad_token: of the targets, which costs nothing.
        label_smoothing: a.

    Returns:
        An Objective of batches (source [B, S], target [B, T]).
    """

    def objective(params, buffers, batch, key):
        source, target = batch
        inputs = shifted_right(target, start_token)
        logits, buffers = model.apply(
            Variables(params, buffers), source, inputs, key=key, train=True
        )
        wanted = optax.smooth_labels(jax.nn.one_hot(target, logits.shape[-1]), label_smoothing)
        losses = optax.softmax_cross_entropy(logits.astype(jnp.float32), wanted)
        counts = target != pad_token
        return jnp.sum(losses * counts) / jnp.maximum(counts.sum(), 1), (buffers, {})

    return objective


class AttentionMaps(NamedTuple):
    """The weights of all attentions of a pass.

    Attributes:
        source: [L, B, H, S, S].
        target: [L', B, H, T, T].
        cross: [L', B, H, T, S].
    """

    source: jax.Array
    target: jax.Array
    cross: jax.Array


class Carry(NamedTuple):
    """A translation on its way.

    Attributes:
        position: [B], how many tokens have been read.
        caches: of the decoder's self-attentions.
        memories: keys and values of the encoder's outputs, for each layer.
        is_token: [B, S], of the source.
    """

    position: jax.Array
    caches: tuple[AttentionCache, ...]
    memories: tuple[tuple[jax.Array, jax.Array], ...]
    is_token: jax.Array

    @property
    def places(self) -> int:
        """How many tokens a target can have."""
        return self.caches[0].head_keys.shape[2]

    def reordered(self, rows: jax.Array, parted: "Carry") -> "Carry":
        """See `jdl.nn.attention_cache.reordered`."""
        return reordered(self, rows, parted)


class EncoderDecoder(nnx.Module):
    """The network of `encoder_decoder`."""

    def __init__(self, vocab_size, pad_token, depths, final_norm, tied, stack, blocks, *, rngs):
        features, rate = blocks["features"], blocks["dropout_rate"]
        made = {"dtype": blocks["dtype"], "param_dtype": blocks["param_dtype"], "rngs": rngs}
        drawn = {"embedding_init": nnx.initializers.normal(features**-0.5), **made}
        self.vocab_size, self.features, self.pad_token = vocab_size, features, pad_token
        self.stack = stack
        self.tokens = Embed(vocab_size, features, **drawn)
        self.target_tokens = None if tied else Embed(vocab_size, features, **drawn)
        self.head = None if tied else Linear(features, vocab_size, use_bias=False, **made)
        self.dropout = nnx.Dropout(rate)
        self.encoder, self.decoder = (
            nnx.List(
                TransformerBlock(**blocks, cross_attention=crossed, rngs=rngs) for _ in range(depth)
            )
            for depth, crossed in zip(depths, (False, True), strict=True)
        )
        self.encoder_norm, self.decoder_norm = (
            LayerNorm(features, epsilon=1e-5, **made) if final_norm else None for _ in range(2)
        )

    def __call__(
        self, source: jax.Array, target: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Source [B, S], shifted target [B, T] -> logits [B, T, V]."""
        check_tokens(target, self.vocab_size)
        check_pairs(source, target)
        memory, mask = self.encode(source, rngs=rngs), self._seen(source)
        x = self._embedded(target, _positions(target), rngs, self.target_tokens)

        def call(block, x, rngs):
            return block(x, memory, memory_mask=mask, is_causal=True, rngs=rngs)

        return self._logits(run_stack(self.decoder, x, call, rngs=rngs, **self.stack))

    def encode(self, source: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Source [B, S] -> memory [B, S, D]."""
        check_tokens(source, self.vocab_size)
        x, mask = self._embedded(source, _positions(source), rngs), self._seen(source)

        def call(block, x, rngs):
            return block(x, mask=mask, rngs=rngs)

        x = run_stack(self.encoder, x, call, rngs=rngs, **self.stack)
        return x if self.encoder_norm is None else self.encoder_norm(x)

    def start(self, source: jax.Array, length: int) -> Carry:
        """Source [B, S] -> the carry of a target that will have up to `length` tokens."""
        memory, batch, blocks = self.encode(source), source.shape[0], layers(self.decoder)
        return Carry(
            position=jnp.zeros(batch, jnp.int32),
            caches=tuple(block.attention.empty_cache(batch, length) for block in blocks),
            memories=tuple(block.cross_attention.keys_values(memory) for block in blocks),
            is_token=source != self.pad_token,
        )

    def prefill(
        self, carry: Carry, tokens: jax.Array, lengths: jax.Array | None = None
    ) -> tuple[jax.Array, Carry]:
        """Beginnings [B, T] of targets, with filling behind their lengths -> as `decode`."""
        x, after = self._read(carry, tokens)
        x, after = stopped(x, carry, after, lengths)
        return self._logits(x), after

    def decode(self, carry: Carry, tokens: jax.Array) -> tuple[jax.Array, Carry]:
        """The token that was written, [B] -> logits [B, V] of the next one, and the carry."""
        return self.prefill(carry, tokens[:, None])

    def _read(self, carry, tokens):
        """Tokens [B, T] that follow the carry -> the stream [B, T, D], the carry behind them."""
        x = self._embedded(tokens, positions(carry, tokens), None, self.target_tokens)
        mask, caches = padding_mask(carry.is_token), []
        for block, cache, memory in zip(
            layers(self.decoder), carry.caches, carry.memories, strict=True
        ):
            x, cache = block.step(x, cache, carry.position, memory, memory_mask=mask)
            caches.append(cache)
        after = carry._replace(position=carry.position + tokens.shape[1], caches=tuple(caches))
        return placed(x, carry), after

    def attention_maps(self, source: jax.Array, target: jax.Array) -> AttentionMaps:
        """Source [B, S], shifted target [B, T] -> all weights of attention, for drawing."""
        mask, maps = self._seen(source), ([], [], [])
        x = self._embedded(source, _positions(source), None)
        for block in layers(self.encoder):
            x, (weights, _) = block(x, mask=mask, return_weights=True)
            maps[0].append(weights)
        memory = x if self.encoder_norm is None else self.encoder_norm(x)
        x = self._embedded(target, _positions(target), None, self.target_tokens)
        for block in layers(self.decoder):
            seen = {"memory_mask": mask, "is_causal": True, "return_weights": True}
            x, (weights, crossed) = block(x, memory, **seen)
            maps[1].append(weights)
            maps[2].append(crossed)
        return AttentionMaps(*map(jnp.stack, maps))

    def _seen(self, source):
        return padding_mask(source != self.pad_token)

    def _embedded(self, tokens, positions, rngs, table=None):
        x = (self.tokens if table is None else table)(tokens) * self.features**0.5
        x = x + sinusoidal(positions, self.features).astype(x.dtype)
        return self.dropout(x, rngs=rngs)

    def _logits(self, x):
        x = x if self.decoder_norm is None else self.decoder_norm(x)
        return self.tokens.attend(x) if self.head is None else self.head(x)


def _positions(tokens):
    return jnp.arange(tokens.shape[1])[None]
