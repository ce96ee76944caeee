"""Random changes of images that leave their classes alone, drawn anew at every step.

Axes: B images, H rows, W columns, C channels.
"""

import jax
import jax.numpy as jnp

from jdl.core import Key


def random_zoom_and_shift(
    images: jax.Array,
    key: Key,
    *,
    shape: tuple[int, int],
    max_zoom: float = 0.1,
    max_shift: float = 0.1,
) -> jax.Array:
    """Resizes images, and stretches and shifts each by its own random amounts.

    Along each of the two directions, with the centre of the image as the origin,

        new position = zoom * old position + shift
        zoom ~ uniform(1 - max_zoom, 1 + max_zoom),   shift ~ uniform(-max_shift, max_shift)

    Linear interpolation; what comes from outside the image is 0.

    Args:
        images: [B, H, W, C].
        key: of the changes.
        shape: rows and columns of the result.
        max_zoom: greatest relative change of a length, less than 1.
        max_shift: greatest shift, as a fraction of the image.

    Returns:
        The images [B, *shape, C]. With both maxima 0: `jax.image.resize` by "linear".

    Raises:
        ValueError: images of another rank, or `max_zoom` outside [0, 1).
    """
    if images.ndim != 4 or not 0 <= max_zoom < 1:
        raise ValueError(
            "random_zoom_and_shift takes images [B, H, W, C] and 0 <= max_zoom < 1; "
            f"got {list(images.shape)} and max_zoom={max_zoom}"
        )
    key_zoom, key_shift = jax.random.split(key)
    target = jnp.array(shape, images.dtype)
    draws = [len(images), 2]
    zoom = jax.random.uniform(key_zoom, draws, minval=1 - max_zoom, maxval=1 + max_zoom)
    shift = jax.random.uniform(key_shift, draws, minval=-max_shift, maxval=max_shift)

    def change(image, zoom, shift):
        return jax.image.scale_and_translate(
            image,
            (*shape, image.shape[-1]),
            (0, 1),
            scale=zoom * target / jnp.array(image.shape[:2], image.dtype),
            translation=target * (shift + (1 - zoom) / 2),
            method="linear",
        )

    return jax.vmap(change)(images, zoom, shift)
