"""A decoder-only Transformer over characters or tokens, with a choice of norms and positions.

    tokens [B, T] -> embedding, with positions        [B, T, D]
      -> L times  causal self-attention, perceptron   the block of `jdl.nn.transformer_block`
      -> norm -> logits = x W + b                     [B, T, V]

By default 004's model of characters (sec. 6.3, example 6.3.1): a context of 256, D = 384, 6 layers
of 6 heads, dropout 0.2, post-norm, sinusoidal positions, 4 D hidden features (004 gives no number).
Sinusoidal positions, as large as 1, want embeddings as large: these are the square root of D times
what is learned (Vaswani et al. 2017, section 3.4); at 0.02 a model learned little more than how
often a character comes.

GPT-2, with its fused projections and scaled start, is `jdl.models.transformers.gpt2`, whose
`next_token` is the objective.

With 30 characters, 10,670,622 parameters. Departs from 004: its words "dropoff" and "5000 epochs"
are dropout and, most likely, 5000 batches; the decoder takes no second attention, as it says.

Source: 004; Vaswani et al. 2017 for the parts; problem 6.9 for the choice of positions.

Axes: B sequences, T tokens, D features, H heads, V words.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.attention_cache import Past, placed, positions, stopped
from jdl.nn.positions import alibi, rotary, sinusoidal
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, LayerNorm, Linear
from jdl.nn.transformer_block import TransformerBlock
from jdl.stacks import layers, run_stack

POSITIONS = ("sinusoidal", "learned", "rotary", "alibi", "none")


def language_model(
    vocab_size: int = 30,
    context: int = 256,
    hidden_dim: int = 384,
    num_layers: int = 6,
    num_heads: int = 6,
    *,
    feed_forward_dim: int | None = None,
    positions: str = "sinusoidal",
    norm_placement: str = "post",
    activation: Callable = jax.nn.relu,
    dropout_rate: float = 0.2,
    attention_dropout_rate: float = 0.0,
    tied: bool = False,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A causal language model.

    Args:
        vocab_size: V.
        context: the longest sequence.
        hidden_dim: D.
        num_layers: L.
        num_heads: H.
        feed_forward_dim: hidden features of the perceptrons; None is 4 D.
        positions: "sinusoidal" or "learned", added to the embeddings; "rotary", which turns queries
            and keys; "alibi", which lowers scores by distance; or "none", when nothing but the
            mask tells the tokens apart.
        norm_placement: "post", "pre" or "sublayer", as `TransformerBlock` has them.
        activation: of the perceptrons.
        dropout_rate: of what a part adds, and of the embedded tokens.
        attention_dropout_rate: of attention's weights.
        tied: whether the head is the embedding, without biases.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at "blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T], T <= context -> logits [B, T, V] of the tokens after each. Its
        methods "start", "prefill", "decode" and "extend" write token by token, as those of
        `jdl.models.transformers.gpt2` do; "attention_maps", tokens -> [L, B, H, T, T].

    Raises:
        ValueError: another scheme of positions; heads that do not divide the features; from
            `apply`, tokens that are no integers [B, T] of the vocabulary, or too many.

    Example:
        >>> model = language_model(11, 8, 16, 1, 2, positions="rotary")
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.zeros([3, 8], int))[0].shape
        (3, 8, 11)
    """
    if positions not in POSITIONS:
        raise ValueError(f"positions are one of {POSITIONS}; got {positions!r}")
    blocks = {
        "features": hidden_dim,
        "num_heads": num_heads,
        "hidden_dim": feed_forward_dim,
        "norm_placement": norm_placement,
        "activation": activation,
        "dropout_rate": dropout_rate,
        "attention_dropout_rate": attention_dropout_rate,
        "dtype": dtype,
        "param_dtype": param_dtype,
    }
    stack = {"scan_layers": scan_layers, "remat": remat}
    sizes = (vocab_size, context, num_layers, positions, tied, stack)
    return functional(lambda rngs: LanguageModel(*sizes, blocks, rngs=rngs), stacks=("blocks",))


class LanguageModel(nnx.Module):
    """The network of `language_model`."""

    def __init__(self, vocab_size, context, num_layers, positions, tied, stack, blocks, *, rngs):
        features, made = blocks["features"], {k: blocks[k] for k in ("dtype", "param_dtype")}
        std = features**-0.5 if positions == "sinusoidal" else 0.02
        drawn = {"embedding_init": nnx.initializers.normal(std), **made, "rngs": rngs}
        self.vocab_size, self.context, self.features = vocab_size, context, features
        self.num_heads, self.scheme, self.stack = blocks["num_heads"], positions, stack
        self.tokens = Embed(vocab_size, features, **drawn)
        learned = positions == "learned"
        self.positions = Embed(context, features, **drawn) if learned else None
        self.dropout = nnx.Dropout(blocks["dropout_rate"])
        self.blocks = nnx.List(TransformerBlock(**blocks, rngs=rngs) for _ in range(num_layers))
        self.norm = LayerNorm(features, epsilon=1e-5, **made, rngs=rngs)
        self.head = None if tied else Linear(features, vocab_size, **made, rngs=rngs)

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Tokens [B, T] -> logits [B, T, V]."""
        check_tokens(tokens, self.vocab_size, self.context)
        positions = jnp.arange(tokens.shape[1])[None]
        x = self.dropout(self._embedded(tokens, positions), rngs=rngs)
        placed = self._placed(positions, positions[0])

        def call(block, x, rngs):
            return block(x, is_causal=True, rngs=rngs, **placed)

        return self._logits(run_stack(self.blocks, x, call, rngs=rngs, **self.stack))

    def attention_maps(self, tokens: jax.Array) -> jax.Array:
        """Tokens [B, T] -> all weights of attention [L, B, H, T, T], for drawing."""
        positions, maps = jnp.arange(tokens.shape[1])[None], []
        x, placed = self._embedded(tokens, positions), self._placed(positions, positions[0])
        for block in layers(self.blocks):
            x, (weights, _) = block(x, is_causal=True, return_weights=True, **placed)
            maps.append(weights)
        return jnp.stack(maps)

    def start(self, batch_size: int, *, length: int | None = None) -> Past:
        """The carry before the first token, of `length` places; None is the context.

        Raises:
            ValueError: a length that exceeds the context.
        """
        length = self.context if length is None else length
        if not 1 <= length <= self.context:
            raise ValueError(f"a carry has 1 to {self.context} places, the context; got {length}")
        caches = (block.attention.empty_cache(batch_size, length) for block in layers(self.blocks))
        return Past(tuple(caches), jnp.zeros(batch_size, jnp.int32))

    def prefill(
        self, carry: Past, tokens: jax.Array, lengths: jax.Array | None = None
    ) -> tuple[jax.Array, Past]:
        """Prompts [B, T], with filling behind their lengths [B] -> logits [B, V], the carry."""
        x, after = self._read(carry, tokens)
        x, after = stopped(x, carry, after, lengths)
        return self._logits(x), after

    def decode(self, carry: Past, tokens: jax.Array) -> tuple[jax.Array, Past]:
        """Tokens [B] -> logits [B, V] of the next ones, and the carry."""
        return self.prefill(carry, tokens[:, None])

    def extend(self, carry: Past, tokens: jax.Array) -> tuple[jax.Array, Past]:
        """Tokens [B, T] of each sequence -> the logits [B, T, V] behind each, the carry."""
        x, carry = self._read(carry, tokens)
        return self._logits(x), carry

    def _read(self, carry, tokens):
        """Tokens [B, T] that follow the carry -> the stream [B, T, D], the carry behind them."""
        at, caches = positions(carry, tokens), []
        x = self._embedded(tokens, at)
        seen = self._placed(at, jnp.arange(carry.caches[0].head_keys.shape[2]))
        for block, cache in zip(layers(self.blocks), carry.caches, strict=True):
            x, cache = block.step(x, cache, carry.position, **seen)
            caches.append(cache)
        return placed(x, carry), Past(tuple(caches), carry.position + tokens.shape[1])

    def _embedded(self, tokens, positions):
        x = self.tokens(tokens)
        if self.scheme == "sinusoidal":
            x = x * self.features**0.5
            return x + sinusoidal(positions, self.features).astype(x.dtype)
        return x if self.positions is None else x + self.positions(positions)

    def _placed(self, positions, keys):
        """What attention is told of where the queries [B, I] and the keys [J] stand."""
        if self.scheme == "rotary":
            return {"turn": functools.partial(rotary, positions=positions)}
        if self.scheme == "alibi":
            return {"bias": alibi(self.num_heads, positions, keys)}
        return {}

    def _logits(self, x):
        x = self.norm(x)
        return self.tokens.attend(x) if self.head is None else self.head(x)
