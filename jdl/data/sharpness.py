"""Blurred and sharpened images.

    blur        sum_n w[n] x[i + n],   w[n] = e^(-n^2 / (2 std^2)) / sum of the same,  |n| <= radius
    sharpness   factor * x + (1 - factor) * smooth(x),   smooth: 3 x 3 of 1, centre 5, over 13

The blur goes along the rows and then the columns, each as a product with a matrix [H, H] of the
weights: fast on every device, differentiable, and its std may differ between images under `jit`.
The border is mirrored without repeating it. Source of sharpness: Pillow's ImageEnhance, whose outer
rows and columns stay as they are; of the blur in training: Chen and others 2020 (SimCLR), appendix
A.

Axes: B images, H rows, W columns, C channels.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Key
from jdl.data.image_checks import for_each_image, require_images


def blurred(images: jax.Array, std: jax.Array | float, *, radius: int | None = None) -> jax.Array:
    """Gaussian blur; the weights of a fixed std are those of `jdl.nn.filters.gaussian`.

    Args:
        images: floats [B, H, W, C].
        std: in pixels, above 0: of all images, or of each, [B].
        radius: where the weights are cut off, less than H and W; None takes 4 std, rounded, and
            needs a std that is a number.

    Returns:
        Images of the same shape.

    Raises:
        ValueError: images of another rank, a radius that does not fit, or none for an array.
        TypeError: integers.

    Example:
        >>> dot = jnp.zeros([1, 5, 5, 1]).at[0, 2, 2].set(1.0)
        >>> blurred(dot, 0.5, radius=1)[0, 2, :, 0].round(2).tolist()
        [0.0, 0.07999999821186066, 0.6200000047683716, 0.07999999821186066, 0.0]
    """
    images = require_images(images, "blurred")
    if radius is None:
        if not isinstance(std, int | float):
            raise ValueError("stds in an array need a radius, such as 4 times the largest")
        radius = int(4 * std + 0.5)
    if not 0 <= radius < min(images.shape[1:3]):
        raise ValueError(
            f"radius={radius} reaches beyond the mirror image of {list(images.shape)}; "
            "give a radius below H and W"
        )
    std = for_each_image(std, images)[:, :, 0, 0]
    n = jnp.arange(-radius, radius + 1, dtype=images.dtype)[None]
    weights = jnp.broadcast_to(jax.nn.softmax(-((n / std) ** 2) / 2), [len(images), n.size])
    reach = [jnp.asarray(_reach(size, radius), images.dtype) for size in images.shape[1:3]]
    along = [jnp.einsum("bn,nij->bij", weights, each, precision="highest") for each in reach]
    down = jnp.einsum("bhi,biwc->bhwc", along[0], images, precision="highest")
    return jnp.einsum("bwj,bhjc->bhwc", along[1], down, precision="highest")


def random_blur(
    images: jax.Array, key: Key, *, stds: tuple[float, float] = (0.1, 2.0), radius: int = 3
) -> jax.Array:
    """Gaussian blur by a std of chance for each image, uniform between two.

    SimCLR's range, for 224 x 224 pixels with a kernel of a tenth of the side; radius 3 fits images
    of 64 x 64.

    Args:
        images: floats [B, H, W, C].
        key: of the stds.
        stds: least and greatest, in pixels.
        radius: where the weights are cut off.

    Returns:
        Images of the same shape.
    """
    images = require_images(images, "random_blur")
    std = jax.random.uniform(key, [len(images)], images.dtype, *stds)
    return blurred(images, std, radius=radius)


def sharpened(images: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Images with more sharpness, or less: 0 is smooth, 1 the image itself, 2 sharp.

    Args:
        images: floats [B, H, W, C] in [0, 1], at least 3 x 3.
        factor: of all images, or of each, [B].

    Returns:
        Images of the same shape, clipped to [0, 1]; the outer rows and columns as they were.
    """
    images = require_images(images, "sharpened")
    factor = for_each_image(factor, images)
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    centre = images[:, 1:-1, 1:-1]
    smooth = images.at[:, 1:-1, 1:-1].set((around + 4 * centre) / 13)
    return jnp.clip(smooth + factor * (images - smooth), 0, 1)


def _reach(size, radius):
    """[n, i, j]: whether pixel j is pixel i + n - radius, mirrored at the borders."""
    at = np.arange(size)[None] + np.arange(-radius, radius + 1)[:, None]
    at = np.abs(at)
    at = np.minimum(at, 2 * (size - 1) - at)
    return at[..., None] == np.arange(size)[None, None]
