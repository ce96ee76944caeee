"""U-Net: a path that contracts, one that expands, and the maps of each level handed across.

    level     image [B, 572, 572, 1]
      1       2 x [3x3, 64]  [568] ---------- crop ---------> join, 2 x [3x3, 64]  [388] -> 1x1, K
                 pool 2                                         up 2x2, 64
      2       2 x [3x3, 128] [280] ---------- crop ---------> join, 2 x [3x3, 128] [196]
                 pool 2                                         up 2x2, 128
      3       2 x [3x3, 256] [136] ---------- crop ---------> join, 2 x [3x3, 256] [100]
                 pool 2                                         up 2x2, 256
      4       2 x [3x3, 512] [64] ----------- crop ---------> join, 2 x [3x3, 512] [52]
                 pool 2                                         up 2x2, 512
      5       2 x [3x3, 1024] [28]

As published nothing is padded: each 3x3 takes a row off every side, maps are cropped to be joined,
and the logits are those of the middle of the image: 388 of 572 rows. An image of any size is cut
into tiles that overlap, mirrored beyond its border (`jnp.pad` with mode="reflect"). The form that
most people use has padded=True: logits of the size of the image. skips=False leaves the joins out:
a plain encoder-decoder. 31,030,658 parameters with one channel and two classes; padded, with batch
normalisation and three channels (norm=BATCH_NORM), 31,037,698.

Source: Ronneberger, Fischer, Brox 2015, figure 1 and sections 2 and 3 (first weights, dropout at
the end of the contracting path). Its loss, pixels near borders weighted, is
`jdl.train.objectives.pixel_classification`.

Axes: B images, H rows, W columns, C channels, K classes.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.models.convnets.image_shape import check_images
from jdl.nn.inception import ConvUnit
from jdl.nn.pooling import max_pool
from jdl.nn.transposed_convolution import ConvTranspose

HE_NORMAL = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")
TAKEN_OFF = 4  # rows, by two 3x3 convolutions that are not padded


def unet(
    num_classes: int = 2,
    *,
    in_channels: int = 1,
    widths: Sequence[int] = (64, 128, 256, 512, 1024),
    padded: bool = False,
    skips: bool = True,
    dropout_rate: float = 0.5,
    activation: Callable = jax.nn.relu,
    norm: Callable | None = None,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A U-Net.

    Args:
        num_classes: K.
        in_channels: C.
        widths: maps of each level.
        padded: the 3x3 convolutions keep the size.
        skips: join the maps of the contracting path to those of the expanding one.
        dropout_rate: of the maps of the last two levels of the contracting path.
        activation: elementwise function.
        norm: norm(features, rngs=..., dtype=..., param_dtype=...) after each 3x3, which then has no
            biases; None for none, as published.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, C] -> logits [B, H', W', K], H' = `unet_rows(H, ...)`.
        method="features" gives the maps of each level down, then up; `classify` takes the last.

    Raises:
        ValueError: from `apply`, images of other channels, or of a size that is not halved evenly.

    Example:
        >>> model = unet(widths=(4, 8, 16))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> images = jax.ShapeDtypeStruct([2, 60, 60, 1], jnp.float32)
        >>> jax.eval_shape(model.apply, variables, images)[0].shape
        (2, 20, 20, 2)
    """
    unit = {
        "padding": 1 if padded else 0,
        "activation": activation,
        "norm": norm,
        "conv": lambda *shape, **options: nnx.Conv(*shape, kernel_init=HE_NORMAL, **options),
    }
    made = {"dtype": dtype, "param_dtype": param_dtype}
    form = padded, skips, dropout_rate
    return functional(
        lambda rngs: UNet(num_classes, in_channels, widths, form, unit, {**made, "rngs": rngs})
    )


def unet_rows(rows: int, levels: int = 5, *, padded: bool = False) -> int | None:
    """The rows of the logits of an image, or None if some pooling would see an odd number.

    Args:
        rows: H, or columns.
        levels: number of widths.
        padded: as in `unet`.

    Example:
        >>> unet_rows(572), unet_rows(570), unet_rows(256, padded=True)
        (388, None, 256)
    """
    taken = 0 if padded else TAKEN_OFF
    for _ in range(levels - 1):
        rows -= taken
        if rows % 2 or rows < 2:
            return None
        rows //= 2
    for _ in range(levels - 1):
        rows = 2 * (rows - taken)
    return rows - taken if rows > taken else None


class UNet(nnx.Module):
    """The network of `unet`."""

    def __init__(self, num_classes, in_channels, widths, form, unit, made):
        self.in_channels, self.levels = in_channels, len(widths)
        self.padded, self.skips, dropout_rate = form

        def pair(channels, features):
            shapes = (channels, features, 3), (features, features, 3)
            return nnx.Sequential(*(ConvUnit(*shape, **unit, **made) for shape in shapes))

        inputs = in_channels, *widths[:-1]
        self.down = nnx.List([pair(*shape) for shape in zip(inputs, widths, strict=True)])
        self.up, self.join = nnx.List(), nnx.List()
        for below, features in zip(widths[:0:-1], widths[-2::-1], strict=True):
            up = {"strides": 2, "padding": "VALID", "kernel_init": HE_NORMAL}
            self.up.append(ConvTranspose(below, features, 2, **up, **made))
            self.join.append(pair(2 * features if self.skips else features, features))
        self.dropout = nnx.Dropout(dropout_rate)
        self.head = nnx.Conv(widths[0], num_classes, (1, 1), kernel_init=HE_NORMAL, **made)

    def features(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> tuple[jax.Array, ...]:
        """Images [B, H, W, C] -> maps of each level, down and then up."""
        self._check(images)
        maps, x = [], images
        for level, pair in enumerate(self.down):
            x = pair(x if level == 0 else max_pool(x, 2))
            x = self.dropout(x, rngs=rngs) if level >= self.levels - 2 else x
            maps.append(x)
        for level, (up, join) in enumerate(zip(self.up, self.join, strict=True)):
            x = up(x)
            if self.skips:
                x = jnp.concatenate([cropped(maps[self.levels - 2 - level], x.shape), x], -1)
            x = join(x)
            maps.append(x)
        return tuple(maps)

    def classify(self, maps: jax.Array) -> jax.Array:
        """The last maps of `features` -> logits [B, H', W', K]."""
        return self.head(maps)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Images [B, H, W, C] -> logits [B, H', W', K]."""
        return self.classify(self.features(images, rngs=rngs)[-1])

    def _check(self, images):
        check_images(images, self.in_channels)
        for rows in images.shape[1:3]:
            if unet_rows(rows, self.levels, padded=self.padded) is None:
                fit = rows + 1
                while unet_rows(fit, self.levels, padded=self.padded) is None:
                    fit += 1
                raise ValueError(
                    f"each of {self.levels - 1} poolings halves an even number of rows; {rows} are "
                    f"not so halved. Pad the images to {fit}"
                )


def cropped(maps: jax.Array, shape: Sequence[int]) -> jax.Array:
    """The middle of maps [B, H, W, C], of as many rows and columns as `shape` has.

    Example:
        >>> cropped(jnp.arange(5.0).reshape(1, 5, 1, 1), (1, 3, 1, 9)).ravel().tolist()
        [1.0, 2.0, 3.0]
    """
    rows, columns = shape[1:3]
    top, left = (maps.shape[1] - rows) // 2, (maps.shape[2] - columns) // 2
    return maps[:, top : top + rows, left : left + columns]
