"""XLNet: a language model of all orders in which a text can be factored.

    content   h_i sees the tokens that come before i in the order, and itself
    query     g_i sees those before i, and not itself: only that it stands at place i
      h = E[tokens], g = w for every place                                   [B, T, D]
      -> L times, with the same weights for both, keys and values from h:
           scores_ij = (q_i + u) . k_j + (q_i + v) . r_{i-j} + (q_i + s) . c_[same segment?]
           x = norm(x + attention W^O),   x = norm(x + W_2 gelu(W_1 x))
      -> sequence = h,   logits of the words at all places = g E^T + b       [B, T, V]

The text itself keeps its order, and its distances: what is permuted is who may see whom. With no
order given, each token sees all, as in BERT.

A long text is read in segments. What each block read of those before, [B, M, D], is a memory that
every token of the next one sees, at its true distance, and to which no gradient goes:

    keys and values of [stop_gradient(memory); h],    memory = the last M places of [memory; h]

    start(B, length=M)                                an empty memory
    apply(variables, tokens, memory=memory, ...)      outputs, and the memory behind the tokens
    decode(memory, tokens)                            a token [B] of each -> logits [B, V], memory

`decode`, the step of `jdl.decoding`, has the logits of `permuted` in the order of the text, while
the text is no longer than the memory.

Source: Yang, Dai, Yang, Carbonell, Salakhutdinov, Le 2019, sections 2.2 to 2.5 and appendix A.2;
Dai, Yang, Yang, Carbonell, Le, Salakhutdinov 2019 (Transformer-XL), section 3.2 for the memory and
3.3 for distances; 001. The base network has 116,718,336 parameters, without the bias of the words,
and the large one 360,268,800. The authors trained on segments of 512 tokens with 384 places, and
remembered the first 256 tokens of a segment alone, with which the next one began.

Departs from 001, by whose words tokens are shuffled and a token is predicted from all that remain.
Departs from the released code: the first place of an order sees nothing, so that its attention is
0; there it is the mean of all tokens, its own too. Padding that was remembered stays hidden; there
it is seen. As there, a memory counts as segment 0.

Axes: B sequences, T tokens, M places of a memory, I queries, J keys, H heads, F features of a head,
D features, V words.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Model, Objective, Variables
from jdl.functional import functional
from jdl.nn.attention import attention
from jdl.nn.positions import sinusoidal
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, LayerNorm
from jdl.nn.transformer_block import FeedForward

GELU = functools.partial(jax.nn.gelu, approximate=False)
_INIT = nnx.initializers.normal(0.02)


def xlnet(
    vocab_size: int = 32000,
    hidden_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    *,
    feed_forward_dim: int | None = None,
    reuse_length: int | None = None,
    dropout_rate: float = 0.1,
    epsilon: float = 1e-12,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """XLNet, by default the base one. `SIZES` has both.

    Args:
        vocab_size: V.
        hidden_dim: D.
        num_layers: L.
        num_heads: H; they share the features equally.
        feed_forward_dim: hidden features of a perceptron; None is 4 D.
        reuse_length: how many of the first tokens of a segment are remembered; None is all.
        dropout_rate: of embeddings, distances, attention's weights, and what a part adds.
        epsilon: of the norms.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T], and segments and mask [B, T] if given -> sequence [B, T, D]. Its
        method "permuted": (tokens, order [B, T], segments, mask) -> logits [B, T, V] of the word
        at each place, given those of lower order. Both give (outputs, memory) with `memory=`, of
        its method "start", (B, length) -> XLNetMemory. "decode": (memory, tokens [B]) -> (logits
        [B, V], memory).

    Raises:
        ValueError: the heads do not divide the features; from `apply`, tokens that are no integers
            of the vocabulary, or an order, segments or a mask of another shape.

    Example:
        >>> model = xlnet(11, 8, 1, 2)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))

        The second half of a text, with the first one in memory:

        >>> def read(variables, first, second):
        ...     memory, _ = model.apply(variables, len(first), 5, method="start")
        ...     (_, memory), _ = model.apply(variables, first, memory=memory)
        ...     return model.apply(variables, second, memory=memory)[0][0]
        >>> jax.eval_shape(read, variables, jnp.ones([3, 5], int), jnp.ones([3, 4], int)).shape
        (3, 4, 8)
    """
    if hidden_dim % num_heads:
        raise ValueError(
            f"{num_heads} heads share hidden_dim={hidden_dim} features equally; "
            f"got {hidden_dim % num_heads} left over"
        )
    config = XLNetConfig(
        vocab_size=vocab_size,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        feed_forward_dim=feed_forward_dim or 4 * hidden_dim,
        reuse_length=reuse_length,
        dropout_rate=dropout_rate,
        epsilon=epsilon,
        dtypes={"dtype": dtype, "param_dtype": param_dtype},
    )
    return functional(lambda rngs: XLNet(config, rngs=rngs))


SIZES = {
    "xlnet-base-cased": xlnet,
    "xlnet-large-cased": functools.partial(xlnet, hidden_dim=1024, num_layers=24, num_heads=16),
}


def permutation_language_modelling(
    model: Model, *, share: float = 1 / 6, remembers: bool = False
) -> Objective:
    """The mean negative log-likelihood of the last words of a random order.

        loss = - mean_{order_i >= (1 - share) T} log softmax(logits_i)[token_i]

    Source: Yang et al. 2019, eq. 3 and 5: the first words of an order have too little to go by; a
    sixth of them is predicted.

    Args:
        model: of `xlnet`.
        share: of the places that are predicted.
        remembers: whether batches are consecutive segments of the same texts. Then the buffers are
            the XLNetMemory, that of "start" at first, which each batch sees and replaces.

    Returns:
        An Objective of tokens [B, T].
    """

    def objective(params, buffers, batch, key):
        draw, noise = jax.random.split(key)
        order = jnp.argsort(jax.random.uniform(draw, batch.shape), axis=1)
        options = {"key": noise, "train": True, "method": "permuted"}
        if remembers:
            variables = Variables(params, {})
            (logits, buffers), _ = model.apply(variables, batch, order, memory=buffers, **options)
        else:
            logits, buffers = model.apply(Variables(params, buffers), batch, order, **options)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), batch)
        late = order >= round((1 - share) * batch.shape[1])
        return jnp.sum(losses, where=late) / jnp.maximum(late.sum(), 1), (buffers, {})

    return objective


class XLNetConfig(NamedTuple):
    """The arguments of `xlnet`, which its modules read."""

    vocab_size: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    feed_forward_dim: int
    reuse_length: int | None
    dropout_rate: float
    epsilon: float
    dtypes: dict[str, Any]


class XLNetMemory(NamedTuple):
    """What was read of the segments before.

    Attributes:
        streams: what each block read, [B, M, D]; the last place is that before the next token.
        is_token: [B, M], false for places that nothing was written to, and for padding.
    """

    streams: tuple[jax.Array, ...]
    is_token: jax.Array


class XLNet(nnx.Module):
    """The network of `xlnet`."""

    def __init__(self, config, *, rngs):
        self.config = config
        self.tokens = Embed(
            config.vocab_size, config.hidden_dim, embedding_init=_INIT, **config.dtypes, rngs=rngs
        )
        dtype = config.dtypes["param_dtype"]
        self.query = nnx.Param(_INIT(rngs.params(), (1, 1, config.hidden_dim), dtype))
        self.blocks = nnx.List(Block(config, rngs=rngs) for _ in range(config.num_layers))
        self.bias = nnx.Param(jnp.zeros([config.vocab_size], dtype))
        self.dropout = nnx.Dropout(config.dropout_rate)

    def __call__(
        self,
        tokens: jax.Array,
        segments: jax.Array | None = None,
        mask: jax.Array | None = None,
        *,
        memory: XLNetMemory | None = None,
        rngs: nnx.Rngs | None = None,
    ):
        """Tokens [B, T], each of which sees all -> content [B, T, D], and the memory if given."""
        content, distances, differs, seen = self._started(tokens, segments, mask, memory, rngs)
        streams = []
        for number, block in enumerate(self.blocks):
            streams.append(_behind(memory, number, content))
            content = block(content, streams[-1], distances, differs, seen, rngs=rngs)
        content = self.dropout(content, rngs=rngs)
        return content if memory is None else (content, self._remembered(memory, streams, mask))

    def permuted(
        self,
        tokens: jax.Array,
        order: jax.Array,
        segments: jax.Array | None = None,
        mask: jax.Array | None = None,
        *,
        memory: XLNetMemory | None = None,
        rngs: nnx.Rngs | None = None,
    ):
        """Tokens and an order of places [B, T] -> logits [B, T, V], and the memory if given."""
        self._check("an order is", order, tokens)
        logits, streams = self._guessed(tokens, order, segments, mask, memory, rngs)
        return logits if memory is None else (logits, self._remembered(memory, streams, mask))

    def start(self, batch_size: int, length: int) -> XLNetMemory:
        """An empty memory of M = length places, one at least."""
        if length < 1:
            raise ValueError(f"a memory has a place at least; got length={length}")
        config = self.config
        dtype = config.dtypes["dtype"] or config.dtypes["param_dtype"]
        stream = jnp.zeros([batch_size, length, config.hidden_dim], dtype)
        empty = jnp.zeros([batch_size, length], bool)
        return XLNetMemory((stream,) * config.num_layers, empty)

    def decode(self, memory: XLNetMemory, tokens: jax.Array) -> tuple[jax.Array, XLNetMemory]:
        """A token [B] of each text -> the logits [B, V] of the next one, and the memory."""
        # The query stream stands at the next place, whose token, any, nobody sees.
        two = jnp.stack([tokens, jnp.zeros_like(tokens)], axis=1)
        order = jnp.broadcast_to(jnp.arange(2)[None], two.shape)
        logits, streams = self._guessed(two, order, None, None, memory, None)
        return logits[:, 1], self._remembered(memory, streams, None, kept=1)

    def _guessed(self, tokens, order, segments, mask, memory, rngs):
        """The query stream's logits [B, T, V], and what each block read, [B, M + T, D]."""
        length = tokens.shape[1]
        content, distances, differs, seen = self._started(tokens, segments, mask, memory, rngs)
        of_memory = ((0, 0), (0, 0), (0, 0), (seen.shape[-1] - length, 0))
        before = order[:, None, None, :] < order[:, None, :, None]
        before = jnp.pad(before, of_memory, constant_values=True) & seen
        past = before | jnp.pad(jnp.eye(length, dtype=bool)[None, None], of_memory)
        query = jnp.broadcast_to(self.query[...].astype(content.dtype), content.shape)
        query, streams = self.dropout(query, rngs=rngs), []
        for number, block in enumerate(self.blocks):
            known = _behind(memory, number, content)
            streams.append(known)
            query, content = (
                block(query, known, distances, differs, before, rngs=rngs),
                block(content, known, distances, differs, past, rngs=rngs),
            )
        logits = self.tokens.attend(self.dropout(query, rngs=rngs))
        return logits + self.bias[...].astype(logits.dtype)[None, None], streams

    def _started(self, tokens, segments, mask, memory, rngs):
        """The content stream, features of distances [M + 2 T, D], other segments, what is seen."""
        check_tokens(tokens, self.config.vocab_size)
        length = tokens.shape[1]
        places = length if memory is None else length + memory.is_token.shape[1]
        x = self.dropout(self.tokens(tokens), rngs=rngs)
        waves = sinusoidal(jnp.arange(places, -length, -1), self.config.hidden_dim)
        waves = jnp.concatenate([waves[:, ::2], waves[:, 1::2]], axis=1).astype(x.dtype)
        differs = None
        if segments is not None:
            self._check("segments are", segments, tokens)
            others = jnp.pad(segments, ((0, 0), (places - length, 0)))
            differs = segments[:, :, None] != others[:, None, :]
        seen = jnp.ones([1, 1, 1, length], bool)
        if mask is not None:
            self._check("a mask is", mask, tokens)
            seen = (mask != 0)[:, None, None, :] | jnp.eye(length, dtype=bool)[None, None]
        if memory is not None:
            shape = (len(tokens), 1, seen.shape[2])
            known = jnp.broadcast_to(memory.is_token[:, None, None], (*shape, places - length))
            seen = jnp.concatenate([known, jnp.broadcast_to(seen, (*shape, length))], axis=-1)
        return x, self.dropout(waves, rngs=rngs), differs, seen

    def _remembered(self, memory, streams, mask, kept=None):
        """The last M places of the memory and of the first tokens of the segment."""
        size = memory.is_token.shape[1]
        length = streams[0].shape[1] - size
        kept = min(length, self.config.reuse_length or length) if kept is None else kept
        is_token = jnp.ones([len(memory.is_token), length], bool) if mask is None else mask != 0
        is_token = jnp.concatenate([memory.is_token, is_token], axis=1)
        places = slice(kept, kept + size)
        streams = (jax.lax.stop_gradient(x[:, places]) for x in streams)
        return XLNetMemory(tuple(streams), is_token[:, places])

    def _check(self, what, given, tokens):
        if given.shape != tokens.shape:
            raise ValueError(
                f"{what} for each token, {list(tokens.shape)}; got {list(given.shape)}"
            )


class Block(nnx.Module):
    """Attention by content, distance and segment, and a perceptron; post-norm."""

    def __init__(self, config, *, rngs):
        self.dtype = config.dtypes["dtype"]
        features, heads = config.hidden_dim, config.num_heads
        dtype = config.dtypes["param_dtype"]

        def drawn(*shape):
            return nnx.Param(_INIT(rngs.params(), shape, dtype))

        by_head = (heads, features // heads)
        self.query, self.key, self.value = (drawn(features, *by_head) for _ in range(3))
        self.project, self.distance = (drawn(features, *by_head) for _ in range(2))
        self.content_bias, self.distance_bias = drawn(*by_head), drawn(*by_head)
        self.segment_bias, self.segments = drawn(*by_head), drawn(2, *by_head)
        made = {**config.dtypes, "rngs": rngs}
        self.attention_norm = LayerNorm(features, epsilon=config.epsilon, **made)
        self.feed_forward = FeedForward(
            features,
            config.feed_forward_dim,
            activation=GELU,
            dropout_rate=config.dropout_rate,
            kernel_init=_INIT,
            **made,
        )
        self.feed_forward_norm = LayerNorm(features, epsilon=config.epsilon, **made)
        self.dropout = nnx.Dropout(config.dropout_rate)

    def __call__(self, x, content, distances, differs, mask, *, rngs=None) -> jax.Array:
        """A stream [B, I, D] that sees memory and content [B, J, D] -> [B, I, D]."""
        query, key, value, project, distance, u, v, s, segments = (
            param[...].astype(x.dtype)
            for param in (
                *(self.query, self.key, self.value, self.project, self.distance),
                *(self.content_bias, self.distance_bias, self.segment_bias, self.segments),
            )
        )
        q = jnp.einsum("bid,dhf->bihf", x, query)
        k, values = (jnp.einsum("bjd,dhf->bjhf", content, w) for w in (key, value))
        r = jnp.einsum("pd,dhf->phf", distances, distance)
        bias = _by_distance(jnp.einsum("bihf,phf->bhip", q + v[None, None], r))
        if differs is not None:
            two = jnp.einsum("bihf,shf->sbhi", q + s[None, None], segments)[..., None]
            bias = bias + jnp.where(differs[:, None], two[1], two[0])
        drops = self.dropout.rate > 0 and not self.dropout.deterministic
        drop = functools.partial(self.dropout, rngs=rngs) if drops else None
        bias = bias * q.shape[-1] ** -0.5
        heads = attention(q + u[None, None], k, values, bias=bias, mask=mask, drop=drop)
        attended = jnp.einsum("bihf,dhf->bid", heads, project)
        x = self.attention_norm(x + self.dropout(attended, rngs=rngs))
        perceived = self.dropout(self.feed_forward(x, rngs=rngs), rngs=rngs)
        return self.feed_forward_norm(x + perceived)


def _behind(memory, number, content):
    """The content [B, T, D] of a block, and before it what the block read in earlier segments."""
    if memory is None:
        return content
    before = jax.lax.stop_gradient(memory.streams[number]).astype(content.dtype)
    return jnp.concatenate([before, content], axis=1)


def _by_distance(scores):
    """Scores [B, H, I, J + I] of the distances J, ..., 1 - I -> those of keys, [B, H, I, J].

    The last of the J keys stands where the last of the I queries does.
    """
    queries = scores.shape[2]
    keys = scores.shape[3] - queries
    index = queries - jnp.arange(queries)[:, None] + jnp.arange(keys)[None]
    index = jnp.broadcast_to(index[None, None], (*scores.shape[:2], queries, keys))
    return jnp.take_along_axis(scores, index, axis=3)
