"""Xception: 36 convolutions in 14 modules, almost all separable, with shortcuts around the modules.

    image [B, 299, 299, 3]
      -> conv1 3x3, 32 maps, stride 2   [B, 149, 149, 32]  -> conv2 3x3, 64  [B, 147, 147, 64]
      entry    128 maps                 [B, 74, 74, 128]
               256                      [B, 37, 37, 256]
               728                      [B, 19, 19, 728]
      middle   8 modules of 728         [B, 19, 19, 728]
      exit     728 and 1024 maps        [B, 10, 10, 1024]
      -> conv3 separable, 1536 -> conv4 separable, 2048    [B, 10, 10, 2048]
      -> mean over space -> classes

    entry, exit   x -> relu, separable, norm, twice -> max pool 3x3, stride 2, added to 1x1 stride 2
    middle        x -> relu, separable, norm, three times                      added to x

The relu before the first module is that of conv2. Each separable layer is 3x3 a channel and then
1x1 with nothing between (the paper's figure 10). Inception taken to its extreme would mix first and
filter then; in a deep stack the order does not matter (section 2), and 004 tells both. There are
no biases but the head's. 22,855,952 parameters.

    Keras   the defaults: padding="SAME", eps 1e-3
    timm    legacy_xception: padding="symmetric", norm=jdl.nn.residual.BATCH_NORM

Source: Chollet 2017, figure 5, section 4. conv1 and conv2 are not padded, the rest keeps its size.

Axes: B images, H rows, W columns, C channels, K classes. Pixels lie in [-1, 1].
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.image_shape import check_images
from jdl.models.convnets.pooled_head import PooledHead
from jdl.nn.convolution import SeparableConv
from jdl.nn.inverted_residual import border
from jdl.nn.pooling import max_pool

XCEPTION_NORM = functools.partial(nnx.BatchNorm, momentum=0.99, epsilon=1e-3)
LEAST = 7  # conv1 and conv2 leave a place


def xception(
    middle: int = 8,
    *,
    stem_maps: Sequence[int] = (32, 64),
    entry_maps: Sequence[int] = (128, 256, 728),
    exit_maps: Sequence[int] = (1024, 1536, 2048),
    num_classes: int | None = 1000,
    in_channels: int = 3,
    dropout_rate: float = 0.5,
    padding: str = "SAME",
    activation: Callable = jax.nn.relu,
    norm: Callable = XCEPTION_NORM,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """Xception for images of any size from 7 x 7.

    Args:
        middle: modules of the middle flow.
        stem_maps: of conv1 and conv2.
        entry_maps: of the modules of the entry flow.
        exit_maps: of the exit flow's module, of conv3 and of conv4.
        num_classes: K; None for no head, so that outputs are the means over space.
        in_channels: C.
        dropout_rate: probability of dropping a mean while training; 0.5 for ImageNet (section 4.4).
        padding: of the poolings; "symmetric", of one place on each side (timm), differs where the
            size is even.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...).
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K]. `method="features"` gives a map for each
        size, five: of conv2, of each module of the entry flow (the last after the middle flow),
        and of conv4.

    Raises:
        ValueError: from `apply`, images of other channels or too small.

    Example:
        >>> model = xception(1)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> features = lambda v: model.apply(v, jnp.zeros([1, 299, 299, 3]), method="features")[0]
        >>> [maps.shape[1:] for maps in jax.eval_shape(features, variables)]
        [(147, 147, 64), (74, 74, 128), (37, 37, 256), (19, 19, 728), (10, 10, 2048)]
    """
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}

    def build(rngs):
        made = dtypes | {"rngs": rngs}
        head = PooledHead(exit_maps[-1], num_classes, dropout_rate=dropout_rate, **made)
        options = {"padding": padding, "activation": activation, "norm": norm}
        sizes = stem_maps, entry_maps, middle, exit_maps
        return Xception(in_channels, sizes, head, **options, **made)

    return functional(build)


class Xception(nnx.Module):
    """The network of `xception`."""

    def __init__(self, in_channels, sizes, head, *, padding, activation, norm, **made):
        stem, entry, middle, last = sizes
        self.in_channels, self.activation = in_channels, activation
        plain = functools.partial(nnx.Conv, padding="VALID", use_bias=False, **made)
        self.conv1, self.norm1 = plain(in_channels, stem[0], (3, 3), 2), norm(stem[0], **made)
        self.conv2, self.norm2 = plain(stem[0], stem[1], (3, 3)), norm(stem[1], **made)
        module = functools.partial(
            XceptionModule, padding=padding, activation=activation, norm=norm, **made
        )
        self.entry, channels = nnx.List(), stem[1]
        for maps in entry:
            first = len(self.entry) == 0
            self.entry.append(module(channels, (maps, maps), strides=2, activate_first=not first))
            channels = maps
        self.middle = nnx.List([module(channels, [channels] * 3) for _ in range(middle)])
        self.exit = module(channels, (channels, last[0]), strides=2)
        separable = functools.partial(SeparableConv, use_bias=False, **made)
        self.conv3, self.norm3 = separable(last[0], last[1]), norm(last[1], **made)
        self.conv4, self.norm4 = separable(last[1], last[2]), norm(last[2], **made)
        self.head = head

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> the last map of each size."""
        check_images(images, self.in_channels, LEAST)
        x = self.activation(self.norm1(self.conv1(images)))
        x = self.activation(self.norm2(self.conv2(x)))
        maps = [x]
        for module in self.entry:
            x = module(x)
            maps.append(x)
        for module in self.middle:
            x = module(x)
        maps[-1] = x
        x = self.exit(x)
        x = self.activation(self.norm3(self.conv3(x)))
        return (*maps, self.activation(self.norm4(self.conv4(x))))

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K]."""
        return self.head(maps, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, K]."""
        return self.classify(self.features(images)[-1], rngs=rngs)


class XceptionModule(nnx.Module):
    """Separable layers with a shortcut; with strides, pooled at their end.

    Args:
        in_features: C.
        features: maps of each layer.
        strides: of the pooling and of the shortcut; 1: neither, and the input itself is added.
        activate_first: the first layer sees the activated input.
        padding: of the pooling, "SAME" or "symmetric".
        activation: elementwise function before each layer.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...), after each layer.
        made: dtype, param_dtype and rngs.
    """

    def __init__(
        self,
        in_features: int,
        features: Sequence[int],
        *,
        strides: int = 1,
        activate_first: bool = True,
        padding: str = "SAME",
        activation: Callable = jax.nn.relu,
        norm: Callable = XCEPTION_NORM,
        **made,
    ):
        self.strides, self.activate_first = strides, activate_first
        self.padding, self.activation = border(padding, 3), activation
        pairs = zip([in_features, *features[:-1]], features, strict=True)
        self.convs = nnx.List([SeparableConv(*pair, use_bias=False, **made) for pair in pairs])
        self.norms = nnx.List([norm(maps, **made) for maps in features])
        self.shortcut = nnx.List()
        if strides > 1:
            self.shortcut.append(
                nnx.Conv(in_features, features[-1], (1, 1), strides, use_bias=False, **made)
            )
            self.shortcut.append(norm(features[-1], **made))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] -> [B, H / strides, W / strides, D], rounded up."""
        y = x
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = self.activation(y) if index or self.activate_first else y
            y = norm(conv(y))
        for layer in self.shortcut:
            x = layer(x)
        y = max_pool(y, 3, self.strides, self.padding) if self.strides > 1 else y
        return y + x.astype(y.dtype)
