"""What a convolutional network says of images that it cannot take.

Axes: B images, H rows, W columns, C channels.
"""

import jax


def check_images(images: jax.Array, in_channels: int, least: int = 1) -> None:
    """Raises ValueError unless images are [B, H, W, C] of the channels and the size wanted.

    Args:
        images: what came.
        in_channels: C.
        least: rows and columns that they have at the least.

    Example:
        >>> import jax.numpy as jnp
        >>> check_images(jnp.zeros([2, 3, 32, 32]), 3)
        Traceback (most recent call last):
        ValueError: images are [B, H, W, 3]; got [2, 3, 32, 32]. Channels come last
    """
    if images.ndim != 4 or images.shape[-1] != in_channels:
        raise ValueError(
            f"images are [B, H, W, {in_channels}]; got {list(images.shape)}. Channels come last"
        )
    if min(images.shape[1:3]) < least:
        raise ValueError(
            f"images have {least} rows and columns at the least; got {list(images.shape)}. "
            "Resize or pad them"
        )
