"""What a checkpoint was trained to see, told beside it and never hidden in the model.

    x [H, W, 3], uint8, or floats in [0, 1]
      -> resized so that the shorter side is `resize`, or to size x size where `resize` is None
      -> the middle size x size -> channels RGB or BGR
      -> (scale x - mean) / std

    ImageNet, PyTorch     scale 1, mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225)
    Inception, "tf"       scale 1, mean 0.5, std 0.5: pixels in [-1, 1]
    "caffe" of Keras      scale 255, BGR, mean (103.939, 116.779, 123.68), std 1

Resizing smooths where it shrinks (antialias), as Pillow and torchvision do; the kernels, triangle
and Keys' cubic of a = -0.5, are Pillow's too. Pillow rounds to whole levels after each axis, so
that its pixels differ from these by up to one level of 255, two where it overshoots and clips;
torchvision without antialias, and OpenCV, differ by far more.

Source: timm 1.0.31 (registry and transforms), torchvision 0.29.1 (transforms/_presets.py), Keras
3.15.1 (applications/imagenet_utils.py).
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
METHODS = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}


class Preprocessing(NamedTuple):
    """How an image becomes an input; see the formula of the module.

    Attributes:
        size: height and width of the input.
        resize: the shorter side before the middle is cut out; None squashes to size x size.
        interpolation: "bilinear", "bicubic" or "nearest".
        mean: of the three channels, in the order of `channels` and the units of `scale`.
        std: the same.
        channels: "RGB" or "BGR".
        scale: of pixels in [0, 1] before the mean is taken off, 1 or 255.
    """

    size: int = 224
    resize: int | None = 256
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    channels: str = "RGB"
    scale: float = 1.0


def cropped(size: int, crop_pct: float, **options) -> Preprocessing:
    """The middle `crop_pct` of the shorter side, as timm's registry gives it.

    Example:
        >>> cropped(224, 0.875).resize, cropped(224, 0.95).resize
        (256, 235)
    """
    return Preprocessing(size, math.floor(size / crop_pct), **options)


def preprocess(preprocessing: Preprocessing, image: jax.Array) -> jax.Array:
    """One image as the network wants it; for a batch of one size, `jax.vmap` of it.

    Args:
        preprocessing: of the checkpoint.
        image: [H, W, 3], RGB, uint8 or floats in [0, 1].

    Returns:
        [size, size, 3] float32.

    Raises:
        ValueError: another shape, or integers that are not uint8.

    Example:
        >>> image = jnp.full([300, 400, 3], 255, jnp.uint8)
        >>> preprocess(Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3), image).max()
        Array(1., dtype=float32)
    """
    chex.assert_shape(
        image,
        (None, None, 3),
        exception_type=ValueError,
        custom_message="preprocess takes one RGB image [H, W, 3]; for a batch, vmap it",
    )
    x = _fitted(preprocessing, unit(image))
    x = x if preprocessing.channels == "RGB" else x[..., ::-1]
    mean, std = (jnp.array(v)[None, None] for v in (preprocessing.mean, preprocessing.std))
    return (preprocessing.scale * x - mean) / std


def unit(image: jax.Array) -> jax.Array:
    """Pixels as floats in [0, 1].

    Raises:
        ValueError: integers of another type than uint8, whose range is not known.
    """
    image = jnp.asarray(image)
    if image.dtype == jnp.uint8:
        return image.astype(jnp.float32) / 255
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"pixels are uint8, or floats in [0, 1]; got {image.dtype}")
    return image.astype(jnp.float32)


def _fitted(preprocessing, image):
    height, width, channels = image.shape
    size, resize = preprocessing.size, preprocessing.resize
    if resize is None:
        rows, columns = size, size
    else:
        rows, columns = (
            (resize, int(resize * width / height))
            if height <= width
            else (int(resize * height / width), resize)
        )
    if (rows, columns) != (height, width):
        method = METHODS[preprocessing.interpolation]
        image = jax.image.resize(image, (rows, columns, channels), method, antialias=True)
        image = jnp.clip(image, 0, 1)  # the cubic kernel overshoots at edges
    top, left = round((rows - size) / 2), round((columns - size) / 2)
    return image[top : top + size, left : left + size]
