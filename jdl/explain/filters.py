"""Filters and feature maps as arrays to look at; `jdl.plot` draws them.

The first layer's filters are images themselves. Those above are seen by what excites them: the
images of a data set with the largest activations (Zeiler and Fergus 2014, figure 2), and the maps,
`model.apply(variables, images, method="features")`. 004 problem 4.3.
"""

import jax
import jax.numpy as jnp


def kernel_images(kernel: jax.Array) -> jax.Array:
    """The filters of a layer as images.

    Args:
        kernel: [k, l, C, D].

    Returns:
        [D, k, l, C].

    Raises:
        ValueError: a kernel of another rank.
    """
    if kernel.ndim != 4:
        raise ValueError(f"a kernel of filters is [k, l, C, D]; got {list(kernel.shape)}")
    return jnp.moveaxis(kernel, -1, 0)


def most_activating(maps: jax.Array, top: int) -> tuple[jax.Array, jax.Array]:
    """The images that excite each map most, and where.

    Args:
        maps: of many images, [N, H, W, C].
        top: images of each map, at most N.

    Returns:
        Indices of images [C, top], the strongest first, and (row, column) of their peaks
        [C, top, 2].

    Example:
        >>> maps = jnp.zeros([3, 2, 2, 1]).at[1, 0, 1, 0].set(5.0).at[2, 1, 1, 0].set(7.0)
        >>> images, places = most_activating(maps, 2)
        >>> images.tolist(), places.tolist()
        ([[2, 1]], [[[1, 1], [0, 1]]])
    """
    number, _, width, channels = maps.shape
    flat = maps.reshape(number, -1, channels)
    _, images = jax.lax.top_k(flat.max(1).T, top)
    peaks = jnp.take_along_axis(flat.argmax(1).T, images, axis=-1)
    return images, jnp.stack(jnp.divmod(peaks, width), -1)
