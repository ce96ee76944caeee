"""BERT, an encoder of text that sees both sides of every token; RoBERTa and DistilBERT too.

    tokens, segments [B, T] -> x = norm(word + position + segment)         [B, T, D]
      -> L times   x = norm(x + attention(x, x))                           post-norm
                   x = norm(x + W_2 gelu(W_1 x))                           the exact GELU
      -> sequence = x,   pooled = tanh(W x_[CLS] + b)                      [B, D]
      -> a head of `jdl.models.transformers.bert_heads`, if there is one

    [CLS] my dog is cute [SEP] he likes play ##ing [SEP]     tokens
      0   0   0  0   0     0    1    1    1    1     1       segments

Source: Devlin, Chang, Lee, Toutanova 2019, section 3; 001; 004 sec. 6.4. The released code has what
the paper leaves open: norms with an epsilon of 1e-12, the pooled feature, weights drawn from a
normal of 0.02 that is cut off at two deviations. BERT-base has 109,482,240 parameters, 108,891,648
without the pooled feature.

RoBERTa (Liu and others 2019) is the same network: one segment, an epsilon of 1e-5, and positions
that count the tokens from 2 on, with 1 for padding, as fairseq numbers them. DistilBERT (Sanh and
others 2019) has six layers, no segments and no pooled feature. Both are in `SIZES`.

Axes: B sequences, T tokens, D features, V words.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.attention import padding_mask
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, LayerNorm, Linear
from jdl.nn.transformer_block import TransformerBlock
from jdl.stacks import run_stack

GELU = functools.partial(jax.nn.gelu, approximate=False)


def bert(
    vocab_size: int = 30522,
    context: int = 512,
    hidden_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    *,
    feed_forward_dim: int | None = None,
    num_segments: int = 2,
    pad_token: int | None = None,
    pooler: bool | None = None,
    head: "Head | None" = None,
    activation: Callable = GELU,
    dropout_rate: float = 0.1,
    epsilon: float = 1e-12,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """BERT, by default the base one for text without capitals.

    Args:
        vocab_size: number of word pieces, V.
        context: the longest sequence.
        hidden_dim: D.
        num_layers: number of blocks.
        num_heads: of attention; they share the features equally.
        feed_forward_dim: hidden features of a perceptron; None is 4 D.
        num_segments: kinds of segments; 0 has none.
        pad_token: None numbers positions from 0 on. An id, RoBERTa's form: positions count the
            tokens that are not it, from pad_token + 1 on, and its own position is pad_token.
        pooler: whether there is a pooled feature; None has it where the head wants it.
        head: one of `bert_heads`: `classifier(2)`, `pretraining()`, ...
        activation: of the perceptrons and of the head of words.
        dropout_rate: of the embeddings, of attention's weights, and of what a part adds.
        epsilon: of the norms.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at "blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T], and segments [B, T] and mask [B, T], true for a token that is no
        padding, if given (`apply(variables, tokens, segments, mask)`) -> BertOutput, or what the
        head makes of it. Tokens [B, C, T], of C choices, have outputs with that axis too.

    Raises:
        ValueError: the heads do not divide the features; a head wants a pooled feature and
            `pooler` is False; from `apply`, tokens that are no integers of the vocabulary, a longer
            sequence than the context, segments or a mask of another shape.

    Example:
        >>> model = bert(11, 8, 16, num_layers=1, num_heads=2)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> outputs, _ = jax.eval_shape(model.apply, variables, jnp.ones([3, 5], int))
        >>> outputs.sequence.shape, outputs.pooled.shape
        ((3, 5, 16), (3, 16))
    """
    if head is not None and head.pools and pooler is False:
        raise ValueError("this head reads the pooled feature; set pooler to True or None")
    config = BertConfig(
        vocab_size=vocab_size,
        context=context,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        feed_forward_dim=feed_forward_dim,
        num_segments=num_segments,
        pad_token=pad_token,
        pooler=(head is None or head.pools) if pooler is None else pooler,
        activation=activation,
        dropout_rate=dropout_rate,
        epsilon=epsilon,
        dtypes={"dtype": dtype, "param_dtype": param_dtype},
        stack={"scan_layers": scan_layers, "remat": remat},
    )
    return functional(lambda rngs: Bert(config, head, rngs=rngs), stacks=("blocks",))


_LARGE = {"hidden_dim": 1024, "num_layers": 24, "num_heads": 16}
_ROBERTA = {"num_segments": 1, "pad_token": 1, "epsilon": 1e-5}
# Devlin et al. 2019, section 3; the vocabularies are those of the released models, whose counts are
# 109,482,240, 335,141,888, 108,310,272, 124,645,632 and 66,362,880.
SIZES = {
    "bert-base-uncased": bert,
    "bert-large-uncased": functools.partial(bert, **_LARGE),
    "bert-base-cased": functools.partial(bert, vocab_size=28996),
    "bert-large-cased": functools.partial(bert, vocab_size=28996, **_LARGE),
    "roberta-base": functools.partial(bert, 50265, **_ROBERTA),
    "roberta-large": functools.partial(bert, 50265, **_LARGE, **_ROBERTA),
    "distilbert-base-uncased": functools.partial(bert, num_layers=6, num_segments=0, pooler=False),
}


class BertOutput(NamedTuple):
    """What BERT says of a text.

    Attributes:
        sequence: [B, T, D], of each token.
        pooled: [B, D], of the first one, through a dense layer and tanh; None without a pooler.
    """

    sequence: jax.Array
    pooled: jax.Array | None


class Head(NamedTuple):
    """What reads BERT's outputs.

    Attributes:
        make: (config, rngs) -> a module (BertOutput, word embedding, rngs) -> outputs.
        pools: whether it reads the pooled feature.
    """

    make: Callable
    pools: bool


class BertConfig(NamedTuple):
    """The arguments of `bert`, which its modules read."""

    vocab_size: int
    context: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    feed_forward_dim: int | None
    num_segments: int
    pad_token: int | None
    pooler: bool
    activation: Callable
    dropout_rate: float
    epsilon: float
    dtypes: dict[str, Any]
    stack: dict[str, Any]

    def linear(self, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
        """A dense layer of the stream, drawn as all of BERT's weights are."""
        init = nnx.initializers.truncated_normal(0.02)
        return Linear(self.hidden_dim, outputs, kernel_init=init, **self.dtypes, rngs=rngs)

    def norm(self, rngs: nnx.Rngs) -> nnx.LayerNorm:
        """A norm of the stream."""
        return LayerNorm(self.hidden_dim, epsilon=self.epsilon, **self.dtypes, rngs=rngs)


class Bert(nnx.Module):
    """The network of `bert`."""

    def __init__(self, config, head, *, rngs):
        self.config = config
        features, init = config.hidden_dim, nnx.initializers.truncated_normal(0.02)
        drawn = {"embedding_init": init, **config.dtypes, "rngs": rngs}
        first = 0 if config.pad_token is None else config.pad_token + 1
        self.tokens = Embed(config.vocab_size, features, **drawn)
        self.positions = Embed(first + config.context, features, **drawn)
        self.segments = (
            Embed(config.num_segments, features, **drawn) if config.num_segments else None
        )
        self.norm = config.norm(rngs)
        self.dropout = nnx.Dropout(config.dropout_rate)
        self.blocks = nnx.List(
            TransformerBlock(
                features,
                config.num_heads,
                config.feed_forward_dim,
                activation=config.activation,
                dropout_rate=config.dropout_rate,
                attention_dropout_rate=config.dropout_rate,
                epsilon=config.epsilon,
                kernel_init=init,
                **config.dtypes,
                rngs=rngs,
            )
            for _ in range(config.num_layers)
        )
        self.pooler = config.linear(features, rngs) if config.pooler else None
        self.head = None if head is None else head.make(config, rngs)

    def __call__(
        self,
        tokens: jax.Array,
        segments: jax.Array | None = None,
        mask: jax.Array | None = None,
        *,
        rngs: nnx.Rngs | None = None,
    ):
        """Tokens, segments, mask [B, T] or [B, C, T] -> BertOutput, or the head's outputs."""
        if not getattr(tokens, "size", 0) or tokens.ndim < 2:
            check_tokens(tokens, self.config.vocab_size)
        for name, given in (("segments", segments), ("mask", mask)):
            if given is not None and given.shape != tokens.shape:
                raise ValueError(
                    f"{name} are for each token, {list(tokens.shape)}; got {list(given.shape)}"
                )
        length = tokens.shape[-1]
        flat = [None if x is None else x.reshape(-1, length) for x in (tokens, segments, mask)]
        x = self._encoded(*flat, rngs).reshape(*tokens.shape, -1)
        pooled = None if self.pooler is None else jnp.tanh(self.pooler(x[..., 0, :]))
        output = BertOutput(x, pooled)
        return output if self.head is None else self.head(output, self.tokens, rngs=rngs)

    def _encoded(self, tokens, segments, mask, rngs):
        config = self.config
        check_tokens(tokens, config.vocab_size, config.context)
        x = self.tokens(tokens) + self.positions(_positions(tokens, config.pad_token))
        if self.segments is not None:
            segments = jnp.zeros_like(tokens) if segments is None else segments
            check_tokens(segments, config.num_segments)
            x = x + self.segments(segments)
        elif segments is not None:
            raise ValueError("this model has no segments; leave them out")
        x = self.dropout(self.norm(x), rngs=rngs)
        seen = None if mask is None else padding_mask(mask)

        def call(block, x, rngs):
            return block(x, mask=seen, rngs=rngs)

        return run_stack(self.blocks, x, call, rngs=rngs, **config.stack)


def _positions(tokens, pad_token):
    if pad_token is None:
        return jnp.arange(tokens.shape[1])[None]
    counts = tokens != pad_token
    return jnp.cumsum(counts, axis=1) * counts + pad_token
