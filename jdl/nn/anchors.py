"""Anchors: boxes of fixed sizes and shapes around each place of a map, that a detector moves.

    w = size / sqrt(ratio),   h = size sqrt(ratio),   centred at (stride column, stride row)

Corners relative to the centre are whole numbers, as torchvision rounds them. A stride is the size
of the image by that of the map, rounded down: of an image of 800 rows, whose maps have 25 and 13,
they are 32 and 61. Departs from Ren et al. 2015 as torchvision and Detectron do: a level of a
pyramid has one size (Lin et al. 2017, section 4.1), and anchors that leave the image take part in
training.

Source: Ren, He, Girshick, Sun 2015, section 3.1.1.

Axes: N = H W len(sizes) len(ratios) boxes, places by row and column, at each of them all ratios.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def anchors(
    image_shape: Sequence[int],
    map_shape: Sequence[int],
    sizes: Sequence[float],
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
) -> jax.Array:
    """The anchors of all places of a map.

    Args:
        image_shape: rows and columns of the image.
        map_shape: rows and columns of the map.
        sizes: square roots of the areas, in pixels.
        ratios: of height to width.

    Returns:
        Boxes [N, 4], in pixels. At a place all sizes of the first ratio come first.

    Example:
        >>> anchors((8, 8), (2, 2), [4], [1.0]).tolist()[1]
        [2.0, -2.0, 6.0, 2.0]
    """
    strides = [image // maps for image, maps in zip(image_shape, map_shape, strict=True)]
    rows, columns = (jnp.arange(n) * s for n, s in zip(map_shape, strides, strict=True))
    y, x = jnp.meshgrid(rows, columns, indexing="ij")
    places = jnp.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
    return (places + _around_zero(sizes, ratios)[None]).reshape(-1, 4)


def _around_zero(sizes, ratios):
    roots = np.sqrt(np.asarray(ratios, np.float32))[:, None]
    sizes = np.asarray(sizes, np.float32)[None]
    width, height = (sizes / roots).ravel(), (sizes * roots).ravel()
    return np.round(np.stack([-width, -height, width, height], axis=-1) / 2)
