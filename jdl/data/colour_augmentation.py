"""Changes of colour and tone, of images in [0, 1]; each image by its own draws.

    grey         g = 0.299 R + 0.587 G + 0.114 B
    brightness   factor x
    contrast     factor x + (1 - factor) mean(g)
    saturation   factor x + (1 - factor) g
    hue          the angle of hue, a whole turn being 1, plus a shift
    solarised    1 - x where x >= threshold
    posterised   the upper bits of x in bytes
    autocontrast (x - min) / (max - min), of each channel of each image
    equalised    the rank of x among the pixels of its channel and image, in 256 levels

Results are clipped to [0, 1], so standardise after these, not before. Factor 1 and shift 0 are the
image itself. Sources: 001 (lines 1007-1016), 004 line 1475; Pillow's ImageEnhance and ImageOps,
whose bytes they are but for rounding; the jitter is torchvision's, from Howard 2013.

Axes: B images, H rows, W columns, C channels.
"""

import jax
import jax.numpy as jnp

from jdl.core import Key
from jdl.data.image_checks import for_each_image, require_colour, require_images

GREY = 0.299, 0.587, 0.114  # ITU-R BT.601


def greyed(images: jax.Array) -> jax.Array:
    """Grey images, with three equal channels.

    Args:
        images: floats [B, H, W, 3].

    Raises:
        ValueError: images of another shape.
        TypeError: integers.
    """
    images = require_colour(images, "greyed")
    return jnp.broadcast_to(_grey(images), images.shape)


def brightened(images: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Brighter images, or darker; 0 is black.

    Args:
        images: floats [B, H, W, C] in [0, 1].
        factor: not negative, of all images or of each, [B].
    """
    images = require_images(images, "brightened")
    return jnp.clip(images * for_each_image(factor, images), 0, 1)


def contrasted(images: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Images with more contrast, or less; 0 is all of the mean grey.

    Args:
        images: floats [B, H, W, C] in [0, 1], C 1 or 3.
        factor: not negative, of all images or of each, [B].
    """
    images = require_images(images, "contrasted")
    grey = _grey(images) if images.shape[-1] == 3 else images
    return _blended(images, grey.mean((1, 2, 3), keepdims=True), factor)


def saturated(images: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Images of stronger colours, or weaker; 0 is grey.

    Args:
        images: floats [B, H, W, 3] in [0, 1].
        factor: not negative, of all images or of each, [B].
    """
    images = require_colour(images, "saturated")
    return _blended(images, _grey(images), factor)


def hue_turned(images: jax.Array, turn: jax.Array | float) -> jax.Array:
    """Images whose hues are turned; value and saturation of a pixel stay.

        value = max(R, G, B),   chroma = value - min(R, G, B)
        channel n = value - chroma clip(min(k, 4 - k), 0, 1),   k = (n + 6 hue) mod 6,  n = 5, 3, 1

    Args:
        images: floats [B, H, W, 3] in [0, 1].
        turn: of a whole turn, 1/3 takes red to green; of all images or of each, [B].

    Example:
        >>> red = jnp.array([1.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
        >>> hue_turned(red, 0.5).ravel().tolist()  # cyan
        [0.0, 1.0, 1.0]
    """
    images = require_colour(images, "hue_turned")
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    safe = jnp.where(chroma > 0, chroma, 1)
    sixth = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixth += 6 * for_each_image(turn, images)[..., 0]

    def channel(n):
        k = (n + sixth) / 6
        k = 6 * (k - jnp.floor(k))
        return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

    return jnp.stack([channel(5), channel(3), channel(1)], -1)


def random_colour_jitter(
    images: jax.Array,
    key: Key,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
) -> jax.Array:
    """Changes brightness, contrast, saturation and hue of each image.

    Factors are uniform in [max(0, 1 - x), 1 + x], the turn of the hue in [-hue, hue]. The order of
    the four is drawn once for the batch, so that each is computed once.

    Args:
        images: floats [B, H, W, 3] in [0, 1].
        key: of the draws.
        brightness: x of its factor, not negative, as the next two.
        contrast: x of its factor.
        saturation: x of its factor.
        hue: greatest turn, at most 0.5.

    Returns:
        Images of the same shape, in [0, 1].

    Raises:
        ValueError: images of another shape, or hue outside [0, 0.5].
        TypeError: integers.
    """
    images = require_colour(images, "random_colour_jitter")
    if not 0 <= hue <= 0.5:
        raise ValueError(f"hue is a part of a turn either way, in [0, 0.5]; got {hue}")
    key_order, key_turn, *keys = jax.random.split(key, 5)

    def factor(key, x):
        return jax.random.uniform(key, [len(images)], images.dtype, max(0.0, 1 - x), 1 + x)

    factors = [factor(k, x) for k, x in zip(keys, (brightness, contrast, saturation), strict=True)]
    turn = jax.random.uniform(key_turn, [len(images)], images.dtype, -hue, hue)
    changes = [
        lambda x: brightened(x, factors[0]),
        lambda x: contrasted(x, factors[1]),
        lambda x: saturated(x, factors[2]),
        lambda x: hue_turned(x, turn),
    ]
    order = jax.random.permutation(key_order, len(changes))
    return jax.lax.fori_loop(
        0, len(changes), lambda i, x: jax.lax.switch(order[i], changes, x), images
    )


def random_grey(images: jax.Array, key: Key, *, probability: float = 0.1) -> jax.Array:
    """Makes some images grey.

    Args:
        images: floats [B, H, W, 3].
        key: of the choices.
        probability: of an image to be grey.
    """
    images = require_colour(images, "random_grey")
    chosen = jax.random.bernoulli(key, probability, [len(images)])
    return jnp.where(for_each_image(chosen, images), _grey(images), images)


def solarised(images: jax.Array, threshold: jax.Array | float) -> jax.Array:
    """Images whose bright pixels are inverted: 1 - x where x is at least the threshold.

    Args:
        images: floats [B, H, W, C] in [0, 1].
        threshold: of all images or of each, [B]; 0 inverts all.
    """
    images = require_images(images, "solarised")
    return jnp.where(images >= for_each_image(threshold, images), 1 - images, images)


def posterised(images: jax.Array, bits: jax.Array | int) -> jax.Array:
    """Images of few levels: of each byte the upper bits.

    Args:
        images: floats [B, H, W, C] in [0, 1], rounded to 256 levels first.
        bits: that stay, 0 to 8, of all images or of each, [B].
    """
    images = require_images(images, "posterised")
    lost = 8 - for_each_image(bits, images).astype(jnp.int32)
    return ((_bytes(images) >> lost) << lost).astype(images.dtype) / 255


def autocontrasted(images: jax.Array) -> jax.Array:
    """Images whose channels reach from 0 to 1 each; an even channel stays.

    Args:
        images: floats [B, H, W, C].
    """
    images = require_images(images, "autocontrasted")
    low, high = (f(images, (1, 2), keepdims=True) for f in (jnp.min, jnp.max))
    even = high == low
    return jnp.where(even, images, (images - low) / jnp.where(even, 1, high - low))


def equalised(images: jax.Array) -> jax.Array:
    """Images whose levels are about equally frequent, in each channel.

        level' = (pixels below the level + step / 2) / step,   in whole numbers, at most 255
        step   = pixels below the brightest level in use / 255

    A channel with less than 255 pixels below its brightest level stays.

    Args:
        images: floats [B, H, W, C] in [0, 1], rounded to 256 levels first.
    """
    images = require_images(images, "equalised")
    pixels = images.shape[1] * images.shape[2]
    # The barriers keep XLA from computing a level, or an entry of a table, anew for each reader; on
    # a CPU this, and one flat histogram in place of one under vmap, is faster.
    levels = jnp.moveaxis(_bytes(images), -1, 1).reshape(-1, pixels)
    levels = jax.lax.optimization_barrier(levels)
    rows = jnp.arange(len(levels))[:, None]
    counts = jnp.zeros(256 * len(levels), jnp.int32).at[(256 * rows + levels).ravel()].add(1)
    counts = counts.reshape(-1, 256)
    below = jnp.cumsum(counts, 1) - counts
    step = (pixels - jnp.take_along_axis(counts, levels.max(1, keepdims=True), 1)) // 255
    even = jnp.minimum((below + step // 2) // jnp.maximum(step, 1), 255)
    tables = jax.lax.optimization_barrier(jnp.where(step > 0, even, jnp.arange(256)[None]))
    found = jnp.take_along_axis(tables, levels, 1)
    found = found.reshape(len(images), images.shape[-1], *images.shape[1:3])
    return jnp.moveaxis(found, 1, -1).astype(images.dtype) / 255


def _grey(images):
    # Planes added up: a sum over an axis of three is ten times slower on a CPU.
    return sum(weight * images[..., i : i + 1] for i, weight in enumerate(GREY))


def _blended(images, other, factor):
    return jnp.clip(other + for_each_image(factor, images) * (images - other), 0, 1)


def _bytes(images):
    return jnp.round(255 * jnp.clip(images, 0, 1)).astype(jnp.int32)
