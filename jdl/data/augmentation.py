"""Changes of images: random ones that leave the class alone, drawn anew at each step, and turns.

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


def rotated(images: jax.Array, degrees: jax.Array | float) -> jax.Array:
    """Turns images about their centres, anticlockwise.

    Bilinear interpolation; what comes from outside the image is 0. The corners of a square leave
    the image on the way, so turns add up exactly only for multiples of 90 degrees.

    Args:
        images: [B, H, W, C].
        degrees: of all images, or of each, [B].

    Returns:
        Images of the same shape. Square images by 90 degrees: `jnp.rot90`.

    Raises:
        ValueError: images of another rank, or another number of angles.

    Example:
        >>> image = jnp.zeros([1, 3, 3, 1]).at[0, 1, 2].set(1.0)  # a dot on the right
        >>> rotated(image, 90.0)[0, :, :, 0].round().tolist()  # goes to the top
        [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    angles = jnp.deg2rad(jnp.asarray(degrees, images.dtype))
    if images.ndim != 4 or angles.shape not in ((), (len(images),)):
        raise ValueError(
            "rotated takes images [B, H, W, C] and degrees [] or [B]; "
            f"got {list(images.shape)} and {list(angles.shape)}"
        )
    middle = (jnp.array(images.shape[1:3], images.dtype) - 1) / 2
    down, right = jnp.meshgrid(
        *(jnp.arange(n) - (n - 1) / 2 for n in images.shape[1:3]), indexing="ij"
    )

    def turn(image, angle):
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        source = [middle[0] + right * sin + down * cos, middle[1] + right * cos - down * sin]

        def channel(values):
            return jax.scipy.ndimage.map_coordinates(values, source, order=1)

        return jax.vmap(channel, -1, -1)(image)

    return jax.vmap(turn)(images, jnp.broadcast_to(angles, len(images)))
