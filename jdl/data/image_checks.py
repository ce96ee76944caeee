"""What the functions of image augmentation ask of their arguments.

Axes: B images, H rows, W columns, C channels.
"""

import jax
import jax.numpy as jnp


def require_images(images: jax.Array, caller: str, *, floats: bool = True) -> jax.Array:
    """The images as an array, if they are a batch.

    Args:
        images: [B, H, W, C].
        caller: name of the function that asks, for the message.
        floats: integers are refused too.

    Raises:
        ValueError: images of another rank.
        TypeError: integers where `floats`.
    """
    images = jnp.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            f"{caller} takes images [B, H, W, C]; got {list(images.shape)}; one image: image[None]"
        )
    if floats and not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(
            f"{caller} takes floats; got {images.dtype}; bytes become floats in [0, 1] by "
            "images.astype(jnp.float32) / 255"
        )
    return images


def require_colour(images: jax.Array, caller: str) -> jax.Array:
    """The images as an array, if they are a batch of floats with three channels.

    Args:
        images: [B, H, W, 3].
        caller: name of the function that asks, for the message.

    Raises:
        ValueError: images of another shape.
        TypeError: integers.
    """
    images = require_images(images, caller)
    if images.shape[-1] != 3:
        raise ValueError(f"{caller} takes red, green, blue, C = 3; got {list(images.shape)}")
    return images


def for_each_image(values: jax.Array | float, images: jax.Array) -> jax.Array:
    """Numbers, one or one for each image, that broadcast with the images.

    Args:
        values: [] or [B].
        images: [B, H, W, C].

    Returns:
        [1, 1, 1, 1] or [B, 1, 1, 1]; floats in the dtype of floating images.

    Raises:
        ValueError: another number of values.
    """
    values = jnp.asarray(values)
    if values.shape not in ((), (len(images),)):
        raise ValueError(
            f"one value for all images, or one for each of {len(images)}; got {list(values.shape)}"
        )
    if jnp.issubdtype(values.dtype, jnp.floating) and jnp.issubdtype(images.dtype, jnp.floating):
        values = values.astype(images.dtype)
    return values.reshape(-1, 1, 1, 1)
