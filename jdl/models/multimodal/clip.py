"""CLIP: a vision and a text Transformer whose embeddings of a pair are alike.

    image [B, H, W, 3] -> ViT with a norm before the blocks -> class token, normed -> W_i  [B, E]
    tokens [B, T]      -> embedding + positions -> causal Transformer -> norm
                       -> features of the end token -> W_t                                 [B, E]

The pair, its logits and its objective are `jdl.models.multimodal.two_towers`. All blocks are
pre-norm, with x sigmoid(1.702 x) for the GELU; patches and projections have no biases. The end of a
text is its token of the greatest id, behind which nothing counts.

                              image: P   L    D   heads   text: D   heads    E     parameters
    clip-vit-base-patch32           32  12   768     12        512      8   512   151,277,313
    clip-vit-base-patch16           16  12   768     12        512      8   512   149,620,737
    clip-vit-large-patch14          14  24  1024     16        768     12   768   427,616,513
    clip-vit-large-patch14-336      14  24  1024     16        768     12   768   427,944,193

The text tower of the large ones has 123,060,480 before its projection, which latent diffusion
reads (`method="encode"`).

Source: Radford et al. 2021, section 2.4, tables 19 and 20; the activation, the token that is read
and the epsilon of 1e-5 are those of the released code. Departs from its initialisation in the
hidden layers alone, whose first matrices start with D^-1/2 in place of (2 D)^-1/2.

Axes: B pairs, T tokens, D features, E features of an embedding.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.multimodal.two_towers import two_towers
from jdl.models.transformers.vit import vit
from jdl.nn.token_ids import check_tokens
from jdl.nn.token_layers import Embed, LayerNorm, Linear
from jdl.nn.transformer_block import TransformerBlock
from jdl.stacks import run_stack


def quick_gelu(x: jax.Array) -> jax.Array:
    """x sigmoid(1.702 x), Hendrycks and Gimpel's second approximation of the GELU (2016, sec. 2).

    Example:
        >>> f"{quick_gelu(1.0):.4f}"
        '0.8458'
    """
    return x * jax.nn.sigmoid(1.702 * x)


def clip(
    patch_size: int = 32,
    hidden_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    *,
    image_size: int | tuple[int, int] = 224,
    vocab_size: int = 49408,
    context: int = 77,
    text_hidden_dim: int = 512,
    text_num_layers: int = 12,
    text_num_heads: int = 8,
    embedding_dim: int = 512,
    activation: Callable = quick_gelu,
    epsilon: float = 1e-5,
    temperature: float = 0.07,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """CLIP with a vision Transformer.

    Args:
        patch_size: P, of the image tower.
        hidden_dim: D of the image tower.
        num_layers: of it.
        num_heads: of it.
        image_size: H = W, or (H, W).
        vocab_size: of the texts' tokens.
        context: the longest text.
        text_hidden_dim: D of the text tower.
        text_num_layers: of it.
        text_num_heads: of it.
        embedding_dim: E.
        activation: of both towers' perceptrons.
        epsilon: of the norms.
        temperature: as `two_towers` has it.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at
            "image.blocks" and "text.blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation; logits are in float32 all the same.
        param_dtype: of the params.

    Returns:
        The Model of `two_towers`: images [B, H, W, 3], tokens [B, T] -> logits [B, B].

    Raises:
        ValueError: as `vit` and `clip_text`.

    Example:
        >>> model = clip(4, 8, 1, 2, image_size=8, vocab_size=9, context=6,
        ...              text_hidden_dim=8, text_num_layers=1, text_num_heads=2, embedding_dim=3)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images, tokens = jnp.ones([2, 8, 8, 3]), jnp.ones([2, 6], int)
        >>> jax.eval_shape(model.apply, variables, images, tokens)[0].shape
        (2, 2)
    """
    common = {
        "activation": activation,
        "epsilon": epsilon,
        "scan_layers": scan_layers,
        "remat": remat,
        "dtype": dtype,
        "param_dtype": param_dtype,
    }
    image = vit(
        patch_size,
        hidden_dim,
        num_layers,
        num_heads,
        image_size=image_size,
        num_classes=embedding_dim,
        first_norm=True,
        patch_bias=False,
        head_bias=False,
        head_init=nnx.initializers.normal(hidden_dim**-0.5),
        **common,
    )
    sizes = (vocab_size, context, text_hidden_dim, text_num_layers, text_num_heads)
    text = clip_text(*sizes, embedding_dim=embedding_dim, **common)
    return two_towers(image, text, temperature=temperature)


def clip_text(
    vocab_size: int = 49408,
    context: int = 77,
    hidden_dim: int = 512,
    num_layers: int = 12,
    num_heads: int = 8,
    *,
    embedding_dim: int | None = 512,
    activation: Callable = quick_gelu,
    epsilon: float = 1e-5,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """The text tower.

    Args:
        vocab_size: V; the greatest id is the end token.
        context: the longest text.
        hidden_dim: D.
        num_layers: of blocks.
        num_heads: of attention.
        embedding_dim: E; None for no projection.
        activation: of the perceptrons.
        epsilon: of the norms.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at "blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: tokens [B, T] -> [B, E], or [B, D] without a projection. Its method "encode" gives
        the normed features [B, T, D] of all tokens.

    Raises:
        ValueError: heads that do not divide the features; from `apply`, tokens that are no integers
            [B, T] of the vocabulary, or too many.

    Example:
        >>> model = clip_text(9, 6, 8, 1, 2, embedding_dim=3)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.ones([2, 6], int))[0].shape
        (2, 3)
    """
    made = {"dtype": dtype, "param_dtype": param_dtype}
    block = {
        "features": hidden_dim,
        "num_heads": num_heads,
        "norm_placement": "pre",
        "activation": activation,
        "dropout_rate": 0.0,
        "epsilon": epsilon,
        "kernel_init": nnx.initializers.normal(hidden_dim**-0.5),
        "project_init": nnx.initializers.normal((2 * num_layers * hidden_dim) ** -0.5),
        **made,
    }
    stack = {"scan_layers": scan_layers, "remat": remat}
    sizes = (vocab_size, context, num_layers, embedding_dim, stack)
    return functional(
        lambda rngs: TextTower(*sizes, block, made | {"rngs": rngs}), stacks=("blocks",)
    )


class TextTower(nnx.Module):
    """The network of `clip_text`."""

    def __init__(self, vocab_size, context, num_layers, embedding_dim, stack, block, made):
        features, rngs, drawn = block["features"], made["rngs"], made["param_dtype"]
        self.vocab_size, self.context, self.stack = vocab_size, context, stack
        self.tokens = Embed(
            vocab_size, features, embedding_init=nnx.initializers.normal(0.02), **made
        )
        self.positions = nnx.Param(0.01 * rngs.params.normal([context, features], drawn))
        self.blocks = nnx.List(TransformerBlock(**block, rngs=rngs) for _ in range(num_layers))
        self.norm = LayerNorm(features, epsilon=block["epsilon"], **made)
        init = {"kernel_init": nnx.initializers.normal(features**-0.5), "use_bias": False}
        self.head = (
            None if embedding_dim is None else Linear(features, embedding_dim, **init, **made)
        )

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Tokens [B, T] -> [B, E]."""
        x = self.encode(tokens)
        last = jnp.argmax(tokens, axis=-1)[:, None, None]
        x = jnp.take_along_axis(x, last, axis=1)[:, 0]
        return x if self.head is None else self.head(x)

    def encode(self, tokens: jax.Array) -> jax.Array:
        """Tokens [B, T] -> normed features [B, T, D]."""
        check_tokens(tokens, self.vocab_size, self.context)
        x = self.tokens(tokens)
        x = x + self.positions[: tokens.shape[1]].astype(x.dtype)[None]

        def call(block, x, rngs):
            return block(x, is_causal=True)

        return self.norm(run_stack(self.blocks, x, call, **self.stack))


LARGE = functools.partial(
    clip,
    patch_size=14,
    hidden_dim=1024,
    num_layers=24,
    num_heads=16,
    text_hidden_dim=768,
    text_num_heads=12,
    embedding_dim=768,
)
CLIPS = {
    "clip-vit-base-patch32": clip,
    "clip-vit-base-patch16": functools.partial(clip, patch_size=16),
    "clip-vit-large-patch14": LARGE,
    "clip-vit-large-patch14-336": functools.partial(LARGE, image_size=336),
}
