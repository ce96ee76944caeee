"""ViT: an image is a sequence of patches, read by the Transformer's encoder.

    image [B, H, W, 3] -> patches of P x P pixels, each W_p patch + b_p    [B, N, D], N = H W / P^2
      -> [class token; patches] + learned positions                        [B, 1 + N, D]
      -> L times  x = x + attention(norm(x)),  x = x + W_2 gelu(W_1 norm(x))
      -> norm -> the class token's features -> classes                     [B, K]

                             L    D      heads   hidden   parameters of 1000 classes, at 224
    vit_base_patch16_224     12    768   12      3072      86,567,656
    vit_base_patch32_224     12    768   12      3072      88,224,232
    vit_large_patch16_224    24   1024   16      4096     304,326,632
    vit_large_patch32_224    24   1024   16      4096     306,535,400
    vit_huge_patch14_224     32   1280   16      5120     632,045,800

GELU is the exact one. epsilon of the norms: timm's and torchvision's 1e-6, Hugging Face's 1e-12. At
another resolution the patches stay and the sequence grows; `at_resolution` gives it positions.

Source: Dosovitskiy et al. 2021, section 3.1, eq. 1-4, table 1, appendix D; 004 sec. 6.6, table 6.2,
whose 307 millions of ViT-L are 303,301,632 without a head. The names and counts are timm's.
Departs from 004, which puts the GELU behind two layers and the norm behind the parts: the GELU
stands between the two, the norm before a part.

Axes: B images, H rows, W columns, N patches of h rows and w columns, D features, K classes.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.image_shape import check_images
from jdl.nn.positions import resized_grid
from jdl.nn.token_layers import LayerNorm, Linear
from jdl.nn.transformer_block import TransformerBlock
from jdl.stacks import layers, run_stack

EXACT_GELU = functools.partial(jax.nn.gelu, approximate=False)


class ViTConfig(NamedTuple):
    """The arguments of `vit`, of which all its modules read some."""

    patch_size: int = 16
    hidden_dim: int = 768
    num_layers: int = 12
    num_heads: int = 12
    feed_forward_dim: int | None = None
    image_size: int | tuple[int, int] = 224
    num_classes: int | None = 1000
    pooler: bool = False
    first_norm: bool = False
    patch_bias: bool = True
    head_bias: bool = True
    in_channels: int = 3
    activation: Callable = EXACT_GELU
    epsilon: float = 1e-6
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    head_init: Callable = nnx.initializers.zeros_init()
    implementation: str | None = None
    scan_layers: bool = False
    remat: bool | Callable = False
    dtypes: dict[str, Any] = {"dtype": None, "param_dtype": jnp.float32}


def vit(
    patch_size: int = 16,
    hidden_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    *,
    feed_forward_dim: int | None = None,
    image_size: int | tuple[int, int] = 224,
    num_classes: int | None = 1000,
    pooler: bool = False,
    first_norm: bool = False,
    patch_bias: bool = True,
    head_bias: bool = True,
    in_channels: int = 3,
    activation: Callable = EXACT_GELU,
    epsilon: float = 1e-6,
    dropout_rate: float = 0.0,
    attention_dropout_rate: float = 0.0,
    head_init: Callable = nnx.initializers.zeros_init(),
    implementation: str | None = None,
    scan_layers: bool = False,
    remat: bool | Callable = False,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A vision Transformer for images of one size.

    Args:
        patch_size: P, pixels of a side.
        hidden_dim: D.
        num_layers: L.
        num_heads: of attention.
        feed_forward_dim: hidden features of the perceptrons; None is 4 D.
        image_size: H = W, or (H, W), of which the patches cover all.
        num_classes: K; None for no head, so that outputs are the class token's features [B, D].
        pooler: a layer of D features and tanh before the head, as in pre-training (section 3.1) and
            in Hugging Face's body.
        first_norm: one more norm before the first block, CLIP's.
        patch_bias: b_p; CLIP has none.
        head_bias: of the head.
        in_channels: of the images.
        activation: of the perceptrons.
        epsilon: of the norms.
        dropout_rate: of the embedded tokens, of hidden features, and of what a part adds.
        attention_dropout_rate: of attention's weights.
        head_init: of the head's kernel, which is 0 at first (appendix B.1.1).
        implementation: as `jdl.nn.attention.attention` has it.
        scan_layers: whether one program serves all layers, as `jdl.stacks` has it, at "blocks".
        remat: as `jdl.stacks.run_stack` has it.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. Its methods: "encode", images -> normed
        tokens [B, 1 + N, D]; "classify", those -> logits; "features", images -> a map [B, h, w, D]
        of each block, the patches at their places, the last normed; "attention_maps", images ->
        [L, B, heads, 1 + N, 1 + N].

    Raises:
        ValueError: patches that do not cover the image; heads that do not divide the features; from
            `apply`, images of another size or of other channels.

    Example:
        >>> model = vit(4, 8, 2, 2, image_size=16, num_classes=3)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> features = lambda v: model.apply(v, jnp.zeros([5, 16, 16, 3]), method="features")[0]
        >>> [maps.shape for maps in jax.eval_shape(features, variables)]
        [(5, 4, 4, 8), (5, 4, 4, 8)]
    """
    config = ViTConfig(
        patch_size=patch_size,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        feed_forward_dim=feed_forward_dim,
        image_size=image_size,
        num_classes=num_classes,
        pooler=pooler,
        first_norm=first_norm,
        patch_bias=patch_bias,
        head_bias=head_bias,
        in_channels=in_channels,
        activation=activation,
        epsilon=epsilon,
        dropout_rate=dropout_rate,
        attention_dropout_rate=attention_dropout_rate,
        head_init=head_init,
        implementation=implementation,
        scan_layers=scan_layers,
        remat=remat,
        dtypes={"dtype": dtype, "param_dtype": param_dtype},
    )
    return functional(lambda rngs: ViT(config, rngs=rngs), stacks=("blocks",))


def at_resolution(
    params: dict,
    grid: int | tuple[int, int],
    *,
    old_grid: int | tuple[int, int] | None = None,
    method: str = "cubic",
) -> dict:
    """The params of a vision Transformer for images of another size: positions are interpolated.

    Source: Dosovitskiy et al. 2021, section 3.2.

    Args:
        params: of `vit` or `hybrid_vit`.
        grid: (h', w') of the patches that the new images have, or h' = w': rows by patch_size.
        old_grid: (h, w); None is a square.
        method: as `resized_grid` has it; "cubic" is timm's.

    Returns:
        The params of `vit(..., image_size=new)`.

    Raises:
        ValueError: the positions are not those of the old grid.

    Example:
        >>> model = vit(4, 8, 1, 2, image_size=8, num_classes=3)
        >>> params = jax.eval_shape(model.init, jax.random.key(0)).params
        >>> larger = jax.eval_shape(lambda params: at_resolution(params, 4), params)
        >>> params["positions"].shape, larger["positions"].shape
        ((5, 8), (17, 8))
    """
    positions = params["positions"]
    old = math.isqrt(len(positions) - 1) if old_grid is None else old_grid
    resized = resized_grid(positions, _pair(old), _pair(grid), method=method)
    return {**params, "positions": resized}


class ViT(nnx.Module):
    """The network of `vit`.

    Args:
        config: of `vit`.
        stem: images -> maps [B, H', W', C], which are cut into patches in place of the images.
        stem_features: C; None is the images' channels.
        stem_stride: H / H'.
        rngs: of the params.
    """

    def __init__(
        self,
        config: ViTConfig,
        stem: nnx.Module | None = None,
        stem_features: int | None = None,
        stem_stride: int = 1,
        *,
        rngs: nnx.Rngs,
    ):
        made = {**config.dtypes, "rngs": rngs}
        size, features = config.patch_size, config.hidden_dim
        self.grid, self.image_size = _grid(config, stem_stride), _pair(config.image_size)
        self.in_channels, self.stem = config.in_channels, stem
        self.patches = nnx.Conv(
            stem_features or config.in_channels,
            features,
            (size, size),
            size,
            padding="VALID",
            use_bias=config.patch_bias,
            **made,
        )
        drawn = config.dtypes["param_dtype"]
        self.class_token = nnx.Param(jnp.zeros([features], drawn))
        length = 1 + math.prod(self.grid)
        self.positions = nnx.Param(0.02 * rngs.params.normal([length, features], drawn))
        self.dropout = nnx.Dropout(config.dropout_rate)
        self.first_norm = _norm(config, made) if config.first_norm else None
        self.stack = {"scan_layers": config.scan_layers, "remat": config.remat}
        self.blocks = nnx.List(_block(config, made) for _ in range(config.num_layers))
        self.norm = _norm(config, made)
        self.pooler = Linear(features, features, **made) if config.pooler else None
        options = {"use_bias": config.head_bias, "kernel_init": config.head_init, **made}
        self.head = (
            None if config.num_classes is None else Linear(features, config.num_classes, **options)
        )

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.encode(images, rngs=rngs))

    def encode(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> the class token and the patches, normed, [B, 1 + N, D]."""
        x = self._embedded(images, rngs)

        def call(block, x, rngs):
            return block(x, rngs=rngs)

        return self.norm(run_stack(self.blocks, x, call, rngs=rngs, **self.stack))

    def classify(self, tokens: jax.Array) -> jax.Array:
        """Normed tokens [B, 1 + N, D], the class token first -> logits [B, K]."""
        x = tokens[:, 0]
        x = x if self.pooler is None else jnp.tanh(self.pooler(x))
        return x if self.head is None else self.head(x)

    def features(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> a map [B, h, w, D] of each block, the last normed."""
        x, maps = self._embedded(images, rngs), []
        for block in layers(self.blocks):
            x = block(x, rngs=rngs)
            maps.append(self._map(x))
        return (*maps[:-1], self._map(self.norm(x)))

    def attention_maps(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, C] -> the weights of attention [L, B, heads, 1 + N, 1 + N]."""
        x, maps = self._embedded(images, None), []
        for block in layers(self.blocks):
            x, (weights, _) = block(x, return_weights=True)
            maps.append(weights)
        return jnp.stack(maps)

    def _embedded(self, images, rngs):
        check_images(images, self.in_channels)
        if images.shape[1:3] != self.image_size:
            raise ValueError(
                f"images are {self.image_size[0]} x {self.image_size[1]}, since each patch has a "
                f"learned position; got {list(images.shape)}. Resize them, or make the model with "
                "another image_size and its params by at_resolution"
            )
        x = self.patches(images if self.stem is None else self.stem(images))
        x = x.reshape(len(x), -1, x.shape[-1])
        first = self.class_token[...].astype(x.dtype)[None, None]
        first = jnp.broadcast_to(first, (len(x), 1, x.shape[-1]))
        x = jnp.concatenate([first, x], axis=1) + self.positions[...].astype(x.dtype)[None]
        x = self.dropout(x, rngs=rngs)
        return x if self.first_norm is None else self.first_norm(x)

    def _map(self, x):
        return x[:, 1:].reshape(len(x), *self.grid, x.shape[-1])


def _block(config, made):
    return TransformerBlock(
        config.hidden_dim,
        config.num_heads,
        config.feed_forward_dim,
        norm_placement="pre",
        activation=config.activation,
        dropout_rate=config.dropout_rate,
        attention_dropout_rate=config.attention_dropout_rate,
        hidden_dropout_rate=config.dropout_rate,
        epsilon=config.epsilon,
        implementation=config.implementation,
        **made,
    )


def _norm(config, made):
    return LayerNorm(config.hidden_dim, epsilon=config.epsilon, **made)


def _pair(size):
    return (size, size) if isinstance(size, int) else tuple(size)


def _grid(config, stem_stride):
    step = config.patch_size * stem_stride
    height, width = _pair(config.image_size)
    if height % step or width % step:
        raise ValueError(
            f"patches of {step} x {step} pixels cover an image whose sides they divide; "
            f"got image_size {height} x {width}"
        )
    return height // step, width // step


BASE = functools.partial(vit, hidden_dim=768, num_layers=12, num_heads=12)
LARGE = functools.partial(vit, hidden_dim=1024, num_layers=24, num_heads=16)
HUGE = functools.partial(vit, hidden_dim=1280, num_layers=32, num_heads=16)
VITS = {
    f"vit_{name}_patch{patch_size}_{image_size}": functools.partial(
        make, patch_size=patch_size, image_size=image_size
    )
    for name, make, patch_size, image_size in (
        ("base", BASE, 16, 224),
        ("base", BASE, 32, 224),
        ("large", LARGE, 16, 224),
        ("large", LARGE, 32, 224),
        ("huge", HUGE, 14, 224),
        ("base", BASE, 16, 384),
        ("base", BASE, 32, 384),
        ("large", LARGE, 16, 384),
        ("large", LARGE, 32, 384),
    )
}
