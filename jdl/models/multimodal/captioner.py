"""An image is read by a vision Transformer, and told by GPT-2, which sees it from every block.

    image [B, H, W, 3] -> ViT -> normed tokens = memory                    [B, 1 + N, E]
    tokens [B, T]      -> embedding + position                             [B, T, D]
      -> L times  x = x + attention(norm(x))                  causal
                  x = x + attention(norm(x), memory)          to the image
                  x = x + W_2 gelu(W_1 norm(x))               tanh form of GELU
      -> norm -> logits = x E^T                                            [B, T, V]

By default ViT-B/16 and the smallest GPT-2, 238,605,312 parameters: the vision encoder-decoder of
004 sec. 6.6, example 6.6.1. The objective is `jdl.models.transformers.encoder_decoder.translation`
of batches (images, tokens): teacher forcing, the caption shifted right behind a start token. Its
pad token costs nothing, so that it is another than the end token, if the end is to be learned.

Source: Dosovitskiy et al. 2021; Radford et al. 2019; Vaswani et al. 2017, section 3.2.3 for the
attention between; the order of a block's parts is that of Hugging Face's GPT-2.

Axes: B images with their captions, T tokens, N patches, D features, V words.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.transformers.vit import ViT, ViTConfig
from jdl.nn.attention_cache import AttentionCache, placed, positions, reordered, stopped
from jdl.nn.initializers import residual_normal
from jdl.nn.token_ids import check_pairs, check_tokens
from jdl.nn.token_layers import Embed, LayerNorm
from jdl.nn.transformer_block import TransformerBlock
from jdl.stacks import layers, run_stack


def captioner(
    vocab_size: int = 50257,
    context: int = 1024,
    hidden_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    *,
    encoder: ViTConfig = ViTConfig(num_classes=None),
    dropout_rate: float = 0.1,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A vision encoder-decoder.

    Args:
        vocab_size: V.
        context: the longest caption.
        hidden_dim: D, of the decoder.
        num_layers: L, of the decoder.
        num_heads: of the decoder's attentions.
        encoder: of the images; its dtypes, scan_layers and remat are those given here.
        dropout_rate: in training, of the decoder's embedded tokens, attention weights, and of what
            a part adds.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at
            "encoder.blocks" and "blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C], shifted tokens [B, T] -> logits [B, T, V]. Its methods:
        "encode", images -> memory [B, 1 + N, E]; "attention_maps", as the call -> where each token
        looks [L, B, heads, T, 1 + N]; "start", (images, length) -> a carry, and "decode", (carry,
        tokens [B]) -> (logits [B, V], carry), which write a caption of up to `length` tokens.

    Raises:
        ValueError: as `vit`; heads that do not divide the features; from `apply`, tokens that are
            no integers [B, T] of the vocabulary, or too many.

    Example:
        >>> images = ViTConfig(4, 8, 1, 2, image_size=8, num_classes=None)
        >>> model = captioner(11, 6, 8, 1, 2, encoder=images)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> batch = jnp.ones([2, 8, 8, 3]), jnp.ones([2, 5], int)
        >>> jax.eval_shape(model.apply, variables, *batch)[0].shape
        (2, 5, 11)
    """
    made = {"dtype": dtype, "param_dtype": param_dtype}
    block = {
        "features": hidden_dim,
        "num_heads": num_heads,
        "cross_attention": True,
        "memory_features": encoder.hidden_dim,
        "norm_placement": "pre",
        "activation": functools.partial(jax.nn.gelu, approximate=True),
        "dropout_rate": dropout_rate,
        "attention_dropout_rate": dropout_rate,
        "kernel_init": nnx.initializers.normal(0.02),
        "project_init": residual_normal(3 * num_layers),
        **made,
    }
    stack = {"scan_layers": scan_layers, "remat": remat}
    images = encoder._replace(num_classes=None, dtypes=made, **stack)
    sizes = (images, vocab_size, context, num_layers, stack)
    stacks = ("encoder.blocks", "blocks")
    return functional(lambda rngs: Captioner(*sizes, block, rngs=rngs), stacks=stacks)


class CaptionCarry(NamedTuple):
    """Captions on their way.

    Attributes:
        position: [B], how many tokens have been read.
        caches: of the self-attentions.
        memories: keys and values of the image, for each block.
    """

    position: jax.Array
    caches: tuple[AttentionCache, ...]
    memories: tuple[tuple[jax.Array, jax.Array], ...]

    @property
    def places(self) -> int:
        """How many tokens a caption can have."""
        return self.caches[0].head_keys.shape[2]

    def reordered(self, rows: jax.Array, parted: "CaptionCarry") -> "CaptionCarry":
        """See `jdl.nn.attention_cache.reordered`."""
        return reordered(self, rows, parted)


class Captioner(nnx.Module):
    """The network of `captioner`."""

    def __init__(self, images, vocab_size, context, num_layers, stack, block, *, rngs):
        made = {"dtype": block["dtype"], "param_dtype": block["param_dtype"], "rngs": rngs}
        drawn = {"embedding_init": nnx.initializers.normal(0.02), **made}
        features = block["features"]
        self.vocab_size, self.context, self.stack = vocab_size, context, stack
        self.encoder = ViT(images, rngs=rngs)
        self.tokens = Embed(vocab_size, features, **drawn)
        self.positions = Embed(context, features, **drawn)
        self.dropout = nnx.Dropout(block["dropout_rate"])
        self.blocks = nnx.List(TransformerBlock(**block, rngs=rngs) for _ in range(num_layers))
        self.norm = LayerNorm(features, epsilon=1e-5, **made)

    def __call__(
        self, images: jax.Array, tokens: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Images [B, H, W, C], shifted tokens [B, T] -> logits [B, T, V]."""
        check_pairs(images, tokens)
        memory = self.encode(images, rngs=rngs)
        x = self._embedded(tokens, rngs)

        def call(block, x, rngs):
            return block(x, memory, is_causal=True, rngs=rngs)

        x = run_stack(self.blocks, x, call, rngs=rngs, **self.stack)
        return self.tokens.attend(self.norm(x))

    def attention_maps(self, images: jax.Array, tokens: jax.Array) -> jax.Array:
        """Where each shifted token [B, T] looks in the image: [L, B, heads, T, 1 + N]."""
        memory, maps = self.encode(images), []
        x = self._embedded(tokens, None)
        for block in layers(self.blocks):
            x, (_, crossed) = block(x, memory, is_causal=True, return_weights=True)
            maps.append(crossed)
        return jnp.stack(maps)

    def encode(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> memory [B, 1 + N, E]."""
        return self.encoder.encode(images, rngs=rngs)

    def start(self, images: jax.Array, length: int) -> CaptionCarry:
        """Images [B, H, W, C] -> the carry of captions of up to `length` tokens."""
        if not 1 <= length <= self.context:
            raise ValueError(f"a caption has 1 to {self.context} tokens, the context; got {length}")
        memory, batch, blocks = self.encode(images), len(images), layers(self.blocks)
        return CaptionCarry(
            position=jnp.zeros(batch, jnp.int32),
            caches=tuple(block.attention.empty_cache(batch, length) for block in blocks),
            memories=tuple(block.cross_attention.keys_values(memory) for block in blocks),
        )

    def prefill(
        self, carry: CaptionCarry, tokens: jax.Array, lengths: jax.Array | None = None
    ) -> tuple[jax.Array, CaptionCarry]:
        """Beginnings [B, T] of captions, with filling behind their lengths -> as `decode`."""
        x, caches = self.tokens(tokens) + self.positions(positions(carry, tokens)), []
        for block, cache, memory in zip(
            layers(self.blocks), carry.caches, carry.memories, strict=True
        ):
            x, cache = block.step(x, cache, carry.position, memory)
            caches.append(cache)
        after = carry._replace(position=carry.position + tokens.shape[1], caches=tuple(caches))
        x, after = stopped(placed(x, carry), carry, after, lengths)
        return self.tokens.attend(self.norm(x)), after

    def decode(self, carry: CaptionCarry, tokens: jax.Array) -> tuple[jax.Array, CaptionCarry]:
        """The token that was written, [B] -> logits [B, V] of the next one, and the carry.

        A token that finds no place has logits of nan.
        """
        return self.prefill(carry, tokens[:, None])

    def _embedded(self, tokens, rngs):
        check_tokens(tokens, self.vocab_size, self.context)
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1])[None])
        return self.dropout(x, rngs=rngs)
