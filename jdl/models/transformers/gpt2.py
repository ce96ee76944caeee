"""GPT-2, a decoder-only Transformer that models language; GPT too.

    tokens [B, T]
      -> token embedding + position embedding           [B, T, D]
      -> L times   x = x + attention(norm(x))           causal, H heads of D / H features
                   x = x + W_2 gelu(W_1 norm(x))        4 D hidden features, tanh form of GELU
      -> norm -> logits = x E^T                         [B, T, V], E the token embedding

Source: Radford, Wu, Child, Luan, Amodei, Sutskever 2019, section 2.3; 004 sec. 6.5. The norm stands
before each part and once after the last; what a part adds to the stream starts with weights scaled
by 1 / sqrt(2 L), 2 L being the number of parts. The released code fixes what the paper leaves open:
the tanh GELU, the tied head, an epsilon of 1e-5, weights of standard deviation 0.02 (0.01 for the
positions, 0.02 here). 124,439,808 parameters.

GPT, the first (Radford, Narasimhan, Salimans, Sutskever 2018), is the same network with post-norm
parts, x = norm(x + part(x)), no norm at the end, and no scaled weights: 116,534,784 parameters.

Token by token, the keys and values of the past stand in a carry, and `apply` has four methods:

    start(B, length=S)                   an empty carry of S places
    prefill(carry, tokens, lengths)      a prompt [B, T] -> logits [B, V] behind it, the carry
    decode(carry, tokens)                a token [B] of each -> logits [B, V], the carry
    extend(carry, tokens)                some tokens [B, T] -> logits [B, T, V], the carry

They are the step and the prefill of `jdl.decoding`. A token that finds no place has logits of nan.

Axes: B sequences, T tokens, S places, D features, H heads, V words.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Model, Objective, Variables
from jdl.functional import functional
from jdl.nn.attention import attention, causal_mask
from jdl.nn.attention_cache import (
    AttentionCache,
    Past,
    cached,
    empty_cache,
    placed,
    positions,
    stopped,
)
from jdl.nn.initializers import residual_normal
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, LayerNorm, Linear
from jdl.stacks import layers, run_stack


def gpt2(
    vocab_size: int = 50257,
    context: int = 1024,
    hidden_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    *,
    dropout_rate: float = 0.1,
    tied: bool = True,
    norm_placement: str = "pre",
    scan_layers: bool = False,
    remat: bool | Callable = False,
    implementation: str | None = None,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """GPT-2, by default the smallest of the four. `SIZES` has them all.

    Args:
        vocab_size: number of tokens, V.
        context: the longest sequence.
        hidden_dim: features of the residual stream, D.
        num_layers: number of blocks, L.
        num_heads: attention heads in a block; they share the features equally.
        dropout_rate: probability of dropping an embedded feature, an attention weight, or a feature
            that a part adds to the stream, while training.
        tied: whether the head is the token embedding; else it has weights of its own.
        norm_placement: "pre", or "post", as GPT has it.
        scan_layers: as `jdl.stacks.run_stack` has it, but in the steps of decoding, which loop;
            `jdl.stacks.stacked(params, "blocks")` makes deep networks compile as shallow ones.
        remat: as `run_stack` has it.
        implementation: as `jdl.nn.attention.attention` has it, of whole sequences.
        dtype: of the computation; None takes `param_dtype`. Sums of attention and of norms are
            kept in float32.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T] of integers, T <= context -> logits [B, T, V]; those at position t
        depend on the tokens up to t and are for the token at t + 1.

    Raises:
        ValueError: the heads do not divide the features; another placement; from `apply`, tokens of
            another rank or dtype, a sequence longer than the context, or dropout without a key.

    Example:
        >>> model = gpt2(vocab_size=11, context=8, hidden_dim=16, num_layers=2, num_heads=2)
        >>> variables = model.init(jax.random.key(0))
        >>> logits, _ = model.apply(variables, jnp.zeros([3, 8], int))
        >>> logits.shape
        (3, 8, 11)

        Five tokens behind prompts of three:

        >>> from jdl.decoding import bound, generate
        >>> def continued(variables, prompt):
        ...     step, prefill = bound(model, variables), bound(model, variables, "prefill")
        ...     carry, _ = model.apply(variables, len(prompt), method="start")
        ...     return generate(step, carry, prompt, length=5, prefill=prefill, context=8)
        >>> jax.eval_shape(continued, variables, jnp.zeros([2, 3], int)).tokens.shape
        (2, 5)
    """
    if hidden_dim % num_heads:
        raise ValueError(
            f"{num_heads} heads share hidden_dim={hidden_dim} features equally; "
            f"got {hidden_dim % num_heads} left over"
        )
    if norm_placement not in ("pre", "post"):
        raise ValueError(f'norm_placement is "pre" or "post"; got {norm_placement!r}')
    config = Config(
        vocab_size=vocab_size,
        context=context,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        dropout_rate=dropout_rate,
        tied=tied,
        norm_placement=norm_placement,
        dtypes={"dtype": dtype, "param_dtype": param_dtype},
        stack={"scan_layers": scan_layers, "remat": remat},
        implementation=implementation,
    )
    return functional(lambda rngs: GPT2(config, rngs=rngs), stacks=("blocks",))


# Radford et al. 2018, section 4.1; 2019, table 2, whose counts of parameters (117M to 1542M) are
# lower than those of the released models, which are these: 124,439,808, 354,823,168, 774,030,080
# and 1,557,611,200. DistilGPT-2, with half the blocks, has 81,912,576.
SIZES = {
    "openai-gpt": functools.partial(gpt2, 40478, 512, norm_placement="post"),
    "distilgpt2": functools.partial(gpt2, num_layers=6),
    "gpt2": gpt2,
    "gpt2-medium": functools.partial(gpt2, hidden_dim=1024, num_layers=24, num_heads=16),
    "gpt2-large": functools.partial(gpt2, hidden_dim=1280, num_layers=36, num_heads=20),
    "gpt2-xl": functools.partial(gpt2, hidden_dim=1600, num_layers=48, num_heads=25),
}


def next_token(model: Model) -> Objective:
    """The mean negative log-likelihood of each token, given those before it.

        loss = - mean_{b, t >= 1} log softmax(logits[b, t - 1])[tokens[b, t]]

    In nats; its exponential is the perplexity. The softmax is taken in float32.

    Args:
        model: tokens [B, T] -> logits [B, T, V].

    Returns:
        An Objective of tokens [B, T + 1]: T predictions a sequence.

    Example:
        >>> model = gpt2(vocab_size=11, context=8, hidden_dim=16, num_layers=1, num_heads=2)
        >>> objective, tokens = next_token(model), jnp.arange(9)[None]
        >>> params, buffers = model.init(jax.random.key(0))
        >>> loss, _ = objective(params, buffers, tokens, jax.random.key(1))
        >>> bool(abs(loss - jnp.log(11.0)) < 0.1)  # at the start, all tokens are about as likely
        True
    """

    def objective(params, buffers, batch, key):
        variables = Variables(params, buffers)
        logits, buffers = model.apply(variables, batch[:, :-1], key=key, train=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(
            logits.astype(jnp.float32), batch[:, 1:]
        )
        return losses.mean(), (buffers, {})

    return objective


class Config(NamedTuple):
    """The arguments of `gpt2`, which all its modules read."""

    vocab_size: int
    context: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    dropout_rate: float
    tied: bool
    norm_placement: str
    dtypes: dict[str, Any]
    stack: dict[str, Any]  # scan_layers and remat of `run_stack`
    implementation: str | None


class GPT2(nnx.Module):
    """The network of `gpt2`."""

    def __init__(self, config, *, rngs):
        self.config = config
        drawn = {**config.dtypes, "embedding_init": nnx.initializers.normal(0.02)}
        self.context = config.context
        self.tokens = Embed(config.vocab_size, config.hidden_dim, **drawn, rngs=rngs)
        self.positions = Embed(config.context, config.hidden_dim, **drawn, rngs=rngs)
        self.dropout = nnx.Dropout(config.dropout_rate)
        self.blocks = nnx.List(Block(config, rngs=rngs) for _ in range(config.num_layers))
        self.norm = _norm(config, rngs) if config.norm_placement == "pre" else None
        self.head = (
            None
            if config.tied
            else _linear(config, config.hidden_dim, config.vocab_size, rngs, use_bias=False)
        )

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Tokens [B, T] -> logits [B, T, V]."""
        check_tokens(tokens, self.config.vocab_size, self.context)
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1])[None])
        x = self.dropout(x, rngs=rngs)

        def call(block, x, rngs):
            return block(x, rngs=rngs)

        x = run_stack(self.blocks, x, call, rngs=rngs, **self.config.stack)
        return self._logits(x)

    def start(self, batch_size: int, *, length: int | None = None) -> Past:
        """The carry before the first token.

        Args:
            batch_size: B.
            length: S, of prompt and new tokens together; None is the context.

        Raises:
            ValueError: a length that exceeds the context.
        """
        length = self.context if length is None else length
        if not 1 <= length <= self.context:
            raise ValueError(f"a carry has 1 to {self.context} places, the context; got {length}")
        config = self.config
        dtype = config.dtypes.get("dtype") or self.tokens.embedding.dtype
        head_dim = config.hidden_dim // config.num_heads
        cache = empty_cache(batch_size, length, config.num_heads, head_dim, dtype)
        return Past((cache,) * config.num_layers, jnp.zeros([batch_size], jnp.int32))

    def prefill(
        self, carry: Past, tokens: jax.Array, lengths: jax.Array | None = None
    ) -> tuple[jax.Array, Past]:
        """Prompts [B, T], with filling behind their lengths [B] -> logits [B, V], the carry."""
        x, after = self._read(carry, tokens)
        x, after = stopped(x, carry, after, lengths)
        return self._logits(x), after

    def decode(self, carry: Past, tokens: jax.Array) -> tuple[jax.Array, Past]:
        """A token [B] of each sequence -> the logits [B, V] of the next, the carry."""
        return self.prefill(carry, tokens[:, None])

    def extend(self, carry: Past, tokens: jax.Array) -> tuple[jax.Array, Past]:
        """Tokens [B, T] of each sequence -> the logits [B, T, V] behind each, the carry."""
        x, carry = self._read(carry, tokens)
        return self._logits(x), carry

    def _read(self, carry, tokens):
        """Tokens [B, T] that follow the carry -> the stream [B, T, D], the carry behind them."""
        x = self.tokens(tokens) + self.positions(positions(carry, tokens))
        caches = []
        for block, cache in zip(layers(self.blocks), carry.caches, strict=True):
            x, cache = block.extend(x, cache, carry.position)
            caches.append(cache)
        return placed(x, carry), Past(tuple(caches), carry.position + tokens.shape[1])

    def _logits(self, x):
        x = x if self.norm is None else self.norm(x)
        return self.tokens.attend(x) if self.head is None else self.head(x)


class Block(nnx.Module):
    """Attention, then a perceptron: each reads the normed stream and adds to it.

    With post-norm, each reads the stream, and the sum is normed.
    """

    def __init__(self, config, *, rngs):
        self.is_post = config.norm_placement == "post"
        self.attention_norm = _norm(config, rngs)
        self.attention = CausalSelfAttention(config, rngs=rngs)
        self.mlp_norm = _norm(config, rngs)
        self.expand = _linear(config, config.hidden_dim, 4 * config.hidden_dim, rngs)
        self.project = _residual_linear(config, 4 * config.hidden_dim, rngs)
        self.dropout = nnx.Dropout(config.dropout_rate)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """[B, T, D] -> [B, T, D]."""
        attended = self.attention(self._read(x, self.attention_norm), rngs=rngs)
        x = self._added(x, self.dropout(attended, rngs=rngs), self.attention_norm)
        return self._perceived(x, rngs)

    def extend(
        self, x: jax.Array, cache: AttentionCache, position: jax.Array
    ) -> tuple[jax.Array, AttentionCache]:
        """[B, T, D] from a position [B] on, the past in a cache -> [B, T, D], the cache."""
        seen = self._read(x, self.attention_norm)
        attended, cache = self.attention.extend(seen, cache, position)
        return self._perceived(self._added(x, attended, self.attention_norm), None), cache

    def _perceived(self, x, rngs):
        hidden = jax.nn.gelu(self.expand(self._read(x, self.mlp_norm)), approximate=True)
        return self._added(x, self.dropout(self.project(hidden), rngs=rngs), self.mlp_norm)

    def _read(self, x, norm):
        return x if self.is_post else norm(x)

    def _added(self, x, part, norm):
        return norm(x + part) if self.is_post else x + part


class CausalSelfAttention(nnx.Module):
    """Attention of each token to itself and those before it, in several heads."""

    def __init__(self, config, *, rngs):
        self.num_heads = config.num_heads
        self.query_key_value = _linear(config, config.hidden_dim, 3 * config.hidden_dim, rngs)
        self.project = _residual_linear(config, config.hidden_dim, rngs)
        self.dropout = nnx.Dropout(config.dropout_rate)
        self.implementation = config.implementation

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """[B, T, D] -> [B, T, D]."""
        query, key, value = self._heads(x)
        drops = self.dropout.rate > 0 and not self.dropout.deterministic
        drop = functools.partial(self.dropout, rngs=rngs) if drops else None
        kind = {"drop": drop, "implementation": self.implementation}
        heads = attention(query, key, value, is_causal=True, **kind)
        return self.project(heads.reshape(x.shape))

    def extend(
        self, x: jax.Array, cache: AttentionCache, position: jax.Array
    ) -> tuple[jax.Array, AttentionCache]:
        """[B, T, D] from a position [B] on, the past in a cache -> [B, T, D], the cache."""
        query, key, value = self._heads(x)
        cache = cached(cache, key, value, position)
        mask = causal_mask(x.shape[1], cache.keys.shape[1], position)
        heads = attention(query, cache.keys, cache.values, mask=mask)
        return self.project(heads.reshape(x.shape)), cache

    def _heads(self, x):
        joined = self.query_key_value(x)
        shape = (*x.shape[:2], self.num_heads, -1)
        return (part.reshape(shape) for part in jnp.split(joined, 3, axis=-1))


def _norm(config, rngs):
    return LayerNorm(config.hidden_dim, epsilon=1e-5, **config.dtypes, rngs=rngs)


def _linear(
    config,
    inputs,
    outputs,
    rngs,
    *,
    kernel_init=nnx.initializers.normal(0.02),
    use_bias=True,
):
    return Linear(
        inputs,
        outputs,
        use_bias=use_bias,
        kernel_init=kernel_init,
        **config.dtypes,
        rngs=rngs,
    )


def _residual_linear(config, inputs, rngs):
    """Back to the stream, which sums 2 L of these where no norm stands between."""
    num_parts = 2 * config.num_layers if config.norm_placement == "pre" else 1
    kernel_init = residual_normal(num_parts)
    return _linear(config, inputs, config.hidden_dim, rngs, kernel_init=kernel_init)
