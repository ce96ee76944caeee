"""GoogLeNet, also Inception-v1: nine Inception modules, each with kernels of three sizes.

    image [B, 224, 224, 3]
      -> 7x7, 64 maps, stride 2             [B, 112, 112, 64]   -> max pool -> [response norm]
      -> 1x1, 64 -> 3x3, 192 -> [response norm]   [B, 56, 56, 192]    -> max pool
      -> modules 3a, 3b                     [B, 28, 28, 480]    -> max pool
      -> modules 4a to 4e                   [B, 14, 14, 832]    -> max pool
      -> modules 5a, 5b                     [B, 7, 7, 1024]
      -> mean -> dropout -> classes

Max pools have windows of 3 and stride 2, and round up: a window that begins inside of the maps
counts. With `auxiliary=True` a head on 4a and one on 4d see the maps while training.

    name           biases, norms       5x5 as   last pool   parameters   with the two heads
    inception_v1   biases, response    5x5      3           6,998,552    13,378,280
    googlenet      no biases, batch    3x3      2           6,624,904    13,004,888

The first is the paper's; the second is torchvision's, which says that its 3x3 is a mistake that the
trained weights now have, and whose eps is 1e-3. 004 says 5 M.

Source: Szegedy et al. 2014, table 1 and section 5 (0.4 of the means dropped, 0.7 of the heads'
units); torchvision 0.28. Departs: kernels start as He's by the fan out; the paper does not say.

Axes: B images, H rows, W columns, C channels.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.auxiliary import AuxiliaryLogits
from jdl.models.convnets.image_shape import check_images
from jdl.models.convnets.pooled_head import PooledHead
from jdl.nn.inception import AuxiliaryHead, ConvUnit, Inception, InceptionWidths
from jdl.nn.normalization import local_response_norm
from jdl.nn.pooling import max_pool

MODULES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
LEAST = 32  # rows and columns


def inception_v1(
    modules: Sequence[Sequence[Sequence[int]]] = MODULES,
    stem: Sequence[int] = (64, 64, 192),
    *,
    num_classes: int | None = 1000,
    in_channels: int = 3,
    auxiliary: bool = False,
    auxiliary_size: int | None = 14,
    auxiliary_features: Sequence[int] = (128, 1024),
    norm: Callable | None = None,
    response_norm: Callable | None = local_response_norm,
    large_size: int = 5,
    last_window: int = 3,
    dropout_rate: float = 0.4,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """GoogLeNet as published.

    Args:
        modules: of the three stages the `InceptionWidths` of each module.
        stem: maps of the three convolutions before them.
        num_classes: K; None for no linear layer, so that the outputs are the means.
        in_channels: C of the images.
        auxiliary: whether training has heads on the first and the last but one module of the
            second stage; their losses are `auxiliary_classification`.
        auxiliary_size: rows and columns of the maps that the heads see, a sixteenth of the
            image's; None pools any size to 4 x 4, as torchvision does.
        auxiliary_features: maps and hidden units of the heads.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...) of each convolution in place of
            biases; None has biases.
        response_norm: maps -> maps, twice before the modules; None for none.
        large_size: kernels of the branch called 5x5.
        last_window: of the last max pool.
        dropout_rate: of the means.
        dtype: of the computation; None takes that of the params and the images together.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, K], or with the heads in training
        `AuxiliaryLogits`. Its method `features` gives the maps before each of four poolings, and
        the last, which `classify` takes.

    Raises:
        ValueError: heads without classes; from `apply`, images of other channels, or smaller than
            32, or of another size than the heads take.

    Example:
        >>> model = googlenet(MODULES[:1] + ((), ()), num_classes=10)  # 3a and 3b alone
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 96, 96, 3], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 10)
    """
    if auxiliary and num_classes is None:
        raise ValueError("auxiliary heads have classes; got num_classes=None. Drop auxiliary=True")
    made = {"norm": norm, "dtype": dtype, "param_dtype": param_dtype}
    features, hidden_dim = auxiliary_features
    heads = {"size": auxiliary_size, "features": features, "hidden_dim": hidden_dim}
    shape = response_norm, large_size, last_window
    return functional(
        lambda rngs: GoogLeNet(
            modules,
            stem,
            in_channels,
            shape,
            num_classes,
            heads if auxiliary else None,
            dropout_rate,
            made,
            rngs=rngs,
        )
    )


class GoogLeNet(nnx.Module):
    """The network of `inception_v1` and `googlenet`."""

    def __init__(
        self, modules, stem, in_channels, shape, num_classes, heads, dropout_rate, made, *, rngs
    ):
        made = {**made, "rngs": rngs}
        response_norm, large_size, self.last_window = shape
        self.in_channels, self.deterministic = in_channels, False
        self.response_norm = jax.nn.identity if response_norm is None else response_norm
        self.conv1 = ConvUnit(in_channels, stem[0], 7, 2, **made)
        self.conv2 = ConvUnit(stem[0], stem[1], 1, **made)
        self.conv3 = ConvUnit(stem[1], stem[2], 3, **made)
        channels, self.stages = stem[2], nnx.List()
        for stage in modules:
            self.stages.append(nnx.List())
            for widths in stage:
                widths = InceptionWidths(*widths)
                module = Inception(channels, widths, large_size=large_size, **made)
                self.stages[-1].append(module)
                channels = module.out_features
        self.seen = () if heads is None else (0, max(0, len(modules[1]) - 2))
        self.heads = nnx.List()
        for number in self.seen:
            seen = self.stages[1][number].out_features
            self.heads.append(AuxiliaryHead(seen, num_classes, **heads, **made))
        del made["norm"]
        self.head = PooledHead(channels, num_classes, dropout_rate=dropout_rate, **made)

    def __call__(
        self, images: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array | AuxiliaryLogits:
        """Images [B, H, W, C] -> logits [B, K], or `AuxiliaryLogits`."""
        maps, seen = self._maps(images)
        logits = self.classify(maps[-1], rngs=rngs)
        if self.deterministic or not self.heads:
            return logits
        heads = zip(self.heads, seen, strict=True)
        return AuxiliaryLogits(logits, tuple(head(x, rngs=rngs) for head, x in heads))

    def features(self, images: jax.Array) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> maps before each pooling, and the last."""
        return self._maps(images)[0]

    def classify(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """The last maps [B, H', W', D] -> logits [B, K], or means [B, D] without classes."""
        return self.head(maps, rngs=rngs)

    def _maps(self, images):
        """The features, and the maps that the auxiliary heads see."""
        check_images(images, self.in_channels, LEAST)
        first = self.conv1(images)
        x = self.response_norm(halved(first))
        x = self.response_norm(self.conv3(self.conv2(x)))
        found, stages = [first, x], []
        for stage, window in zip(self.stages, (3, 3, self.last_window), strict=True):
            x = halved(x, window)
            stages.append([x := module(x) for module in stage])
            found.append(x)
        return tuple(found), [stages[1][number] for number in self.seen]


def halved(x: jax.Array, window: int = 3) -> jax.Array:
    """The maximum of windows at stride 2, the last of which may reach over the border.

    Args:
        x: maps [B, H, W, C].
        window: 2 or 3.

    Returns:
        [B, ceil((H - window) / 2) + 1, ..., C].
    """
    return max_pool(x, window, 2, [(0, (size - window) % 2) for size in x.shape[1:3]])


googlenet = functools.partial(
    inception_v1,
    norm=functools.partial(nnx.BatchNorm, momentum=0.9, epsilon=1e-3),
    response_norm=None,
    large_size=3,
    last_window=2,
    auxiliary_size=None,
    dropout_rate=0.2,
)
GOOGLENETS = {"googlenet": googlenet, "inception_v1": inception_v1}
