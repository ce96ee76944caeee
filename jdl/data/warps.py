"""Images bent and moved: each pixel of the result is read from a place of the image.

    affine    new position = matrix * old position + shift,  from the centre of the image, in pixels
    matrix    = rotation * shear * zoom

              [cos  -sin]   [1         shear[0]]   [zoom[0]   0      ]
            = [sin   cos] * [shear[1]  1       ] * [0         zoom[1]]

    elastic   old position = new position + alpha * blur(noise, std),  noise uniform(-1, 1)

Positions are (down, right), so that rotation is anticlockwise. `order` 1 interpolates linearly
between the four pixels around a place; 0 takes the nearest, which is for masks of classes and keeps
the dtype. Beyond the image, `mode` says what is read, with the words of `jnp.pad`: "constant" is
`fill`, and a place within one pixel of the border is between the border and the fill; "edge" is the
nearest pixel; "reflect" the mirror image without repeating the border.

An image and its mask move alike by the same matrices:

    matrices = random_affine_matrices(len(images), images.shape[1:3], key, max_degrees=10)
    affine(images, matrices), affine(masks, matrices, order=0), affine_boxes(boxes, matrices, shape)

Source: 001 (lines 1007-1016), 004 example 2.3.1; Simard, Steinkraus and Platt 2003, section 2.
Reading from places costs a gather a corner, slow on a CPU: what can be done by flips, crops and
`random_zoom_and_shift` is faster there.

Axes: B images, H rows, W columns, C channels.
"""

import itertools

import jax
import jax.numpy as jnp

from jdl.core import Key
from jdl.data.image_checks import require_images
from jdl.data.sharpness import blurred

MODES = "constant", "edge", "reflect"


def warped(
    images: jax.Array,
    rows: jax.Array,
    columns: jax.Array,
    *,
    order: int = 1,
    mode: str = "constant",
    fill: float = 0.0,
) -> jax.Array:
    """Reads images at places between the pixels.

    Args:
        images: [B, H, W, C]; floats for order 1.
        rows: places [B, h, w], or [h, w] for all; 0 is the middle of the first row.
        columns: places of the same shape.
        order: 1 linear, 0 nearest.
        mode: "constant", "edge" or "reflect".
        fill: beyond the image, for "constant".

    Returns:
        [B, h, w, C] in the dtype of the images.

    Raises:
        ValueError: images or places of another rank, an unknown order or mode.
        TypeError: integers with order 1.
    """
    images = require_images(images, "warped", floats=order == 1)
    if order not in (0, 1) or mode not in MODES:
        raise ValueError(f"order is 0 or 1, mode one of {MODES}; got {order} and {mode!r}")
    if rows.shape != columns.shape or rows.shape[:-2] not in ((), images.shape[:1]):
        raise ValueError(
            f"places are [h, w] or [B, h, w] with B = {len(images)}; "
            f"got rows {list(rows.shape)} and columns {list(columns.shape)}"
        )
    shape = [len(images), *rows.shape[-2:]]
    rows, columns = jnp.broadcast_to(rows, shape), jnp.broadcast_to(columns, shape)
    if order == 0:
        corner = jnp.floor(rows + 0.5).astype(int), jnp.floor(columns + 0.5).astype(int)
        return _pixels(images, *corner, mode, fill)
    floor = jnp.floor(rows), jnp.floor(columns)
    rest = (rows - floor[0])[..., None], (columns - floor[1])[..., None]
    first = floor[0].astype(int), floor[1].astype(int)
    total = 0
    for down, right in itertools.product((0, 1), (0, 1)):
        weight = (rest[0] if down else 1 - rest[0]) * (rest[1] if right else 1 - rest[1])
        pixels = _pixels(images, first[0] + down, first[1] + right, mode, fill)
        total += weight.astype(images.dtype) * pixels
    return total


def affine_matrix(
    degrees: jax.Array | float = 0.0,
    zoom: jax.Array | tuple[float, float] = (1.0, 1.0),
    shear: jax.Array | tuple[float, float] = (0.0, 0.0),
    shift: jax.Array | tuple[float, float] = (0.0, 0.0),
) -> jax.Array:
    """The matrix [..., 2, 3] of a zoom, then a shear, a rotation, and a shift.

    Its determinant, the area of what was 1, is zoom[0] zoom[1] (1 - shear[0] shear[1]).

    Args:
        degrees: [...], anticlockwise.
        zoom: [..., 2], of lengths down and right; -1 is a flip.
        shear: [..., 2], pixels down for each to the right, and right for each down.
        shift: [..., 2], pixels down and right.

    Example:
        >>> affine_matrix(zoom=(2.0, 1.0), shear=(0.0, 0.5), shift=(0.0, 3.0)).tolist()
        [[2.0, 0.0, 0.0], [1.0, 1.0, 3.0]]
    """
    angle = jnp.deg2rad(jnp.asarray(degrees, float))
    zoom, shear, shift = (jnp.asarray(x, float) for x in (zoom, shear, shift))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    down = [(cos - sin * shear[..., 1]) * zoom[..., 0], (cos * shear[..., 0] - sin) * zoom[..., 1]]
    right = [(sin + cos * shear[..., 1]) * zoom[..., 0], (sin * shear[..., 0] + cos) * zoom[..., 1]]
    cells = jnp.broadcast_arrays(*down, shift[..., 0], *right, shift[..., 1])
    return jnp.stack(cells, -1).reshape(*cells[0].shape, 2, 3)


def affine(
    images: jax.Array,
    matrices: jax.Array,
    *,
    order: int = 1,
    mode: str = "constant",
    fill: float = 0.0,
) -> jax.Array:
    """Moves images by matrices, about their centres.

    Args:
        images: [B, H, W, C]; floats for order 1.
        matrices: [2, 3] for all, or [B, 2, 3]; see `affine_matrix`.
        order: 1 linear, 0 nearest.
        mode: what is read beyond the image.
        fill: for the mode "constant".

    Returns:
        Images of the same shape.

    Raises:
        ValueError: images or matrices of another shape, an unknown order or mode.
        TypeError: integers with order 1.

    Example:
        >>> image = jnp.zeros([1, 3, 3, 1]).at[0, 1, 1].set(1.0)
        >>> affine(image, affine_matrix(shift=(0.0, 0.25)))[0, 1, :, 0].tolist()
        [0.0, 0.75, 0.25]
    """
    images = require_images(images, "affine", floats=order == 1)
    if matrices.shape not in ((2, 3), (len(images), 2, 3)):
        raise ValueError(
            f"matrices are [2, 3] or [{len(images)}, 2, 3]; got {list(matrices.shape)}"
        )
    height, width = images.shape[1:3]
    cells = jnp.broadcast_to(matrices, [len(images), 2, 3])[..., None, None]
    a, b, c, d, e, f = (cells[:, i, j] for i in range(2) for j in range(3))
    down = jnp.arange(height)[None, :, None] - (height - 1) / 2 - c
    right = jnp.arange(width)[None, None] - (width - 1) / 2 - f
    determinant = a * e - b * d
    rows = (e * down - b * right) / determinant + (height - 1) / 2
    columns = (a * right - d * down) / determinant + (width - 1) / 2
    return warped(images, rows, columns, order=order, mode=mode, fill=fill)


def affine_boxes(boxes: jax.Array, matrices: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Moves boxes as `affine` moves their images: the smallest boxes around the moved corners.

    Args:
        boxes: (x_min, y_min, x_max, y_max) [B, N, 4], in pixels from the corner of the image, whose
            first pixel is from 0 to 1.
        matrices: [2, 3] for all, or [B, 2, 3].
        shape: rows and columns of the images.

    Returns:
        [B, N, 4], cut at the borders; a box that left the image has no area.

    Example:
        >>> boxes = jnp.array([[[0.0, 0.0, 2.0, 1.0]]])
        >>> affine_boxes(boxes, affine_matrix(90.0), (4, 4)).round().tolist()
        [[[0.0, 2.0, 1.0, 4.0]]]
    """
    if boxes.ndim != 3 or boxes.shape[-1] != 4:
        raise ValueError(f"boxes are [B, N, 4]; got {list(boxes.shape)}")
    matrices = jnp.broadcast_to(matrices, [len(boxes), 2, 3])
    centre = jnp.array(shape, boxes.dtype) / 2
    corners = boxes[..., [1, 0, 1, 2, 3, 0, 3, 2]].reshape(*boxes.shape[:2], 4, 2)
    corners -= centre[None, None, None]
    moved = jnp.einsum("bij,bnkj->bnki", matrices[..., :2], corners, precision="highest")
    moved += (matrices[..., 2] + centre[None])[:, None, None]
    low = jnp.clip(moved.min(-2), 0, 2 * centre[None, None])
    high = jnp.clip(moved.max(-2), 0, 2 * centre[None, None])
    return jnp.concatenate([low[..., ::-1], high[..., ::-1]], -1)


def random_affine_matrices(
    number: int,
    shape: tuple[int, int],
    key: Key,
    *,
    max_degrees: float = 0.0,
    max_zoom: float = 0.0,
    max_shear: float = 0.0,
    max_shift: float = 0.0,
) -> jax.Array:
    """Draws matrices for `affine`, each of its own draws, uniform in their ranges.

    Args:
        number: of matrices, B.
        shape: rows and columns of the images.
        key: of the draws.
        max_degrees: greatest angle either way.
        max_zoom: greatest relative change of a length, down and right by themselves, less than 1.
        max_shear: greatest shear, to the right for each pixel down, either way.
        max_shift: greatest shift, as a fraction of the image, down and right by themselves.

    Returns:
        [B, 2, 3].

    Raises:
        ValueError: `max_zoom` outside [0, 1).
    """
    if not 0 <= max_zoom < 1:
        raise ValueError(f"0 <= max_zoom < 1; got {max_zoom}")
    keys = jax.random.split(key, 4)

    def uniform(key, columns):
        return jax.random.uniform(key, [number, columns], minval=-1.0)

    shear = max_shear * uniform(keys[2], 1)
    return affine_matrix(
        max_degrees * uniform(keys[0], 1)[:, 0],
        1 + max_zoom * uniform(keys[1], 2),
        jnp.concatenate([jnp.zeros_like(shear), shear], -1),
        max_shift * jnp.array(shape, float)[None] * uniform(keys[3], 2),
    )


def random_affine(
    images: jax.Array,
    key: Key,
    *,
    max_degrees: float = 0.0,
    max_zoom: float = 0.0,
    max_shear: float = 0.0,
    max_shift: float = 0.0,
    order: int = 1,
    mode: str = "constant",
    fill: float = 0.0,
) -> jax.Array:
    """Turns, zooms, shears and shifts each image by its own draws.

    With `max_degrees=359, max_zoom=0.1, max_shift=0.1, mode="edge"` and `random_flip`: 004's
    example 2.3.1 on CIFAR-10.

    Args:
        images: [B, H, W, C]; floats for order 1.
        key: of the draws.
        max_degrees: as the other maxima, of `random_affine_matrices`.
        max_zoom: relative.
        max_shear: relative.
        max_shift: as a fraction of the image.
        order: 1 linear, 0 nearest.
        mode: what is read beyond the image.
        fill: for the mode "constant".

    Returns:
        Images of the same shape.
    """
    images = require_images(images, "random_affine", floats=order == 1)
    matrices = random_affine_matrices(
        len(images),
        images.shape[1:3],
        key,
        max_degrees=max_degrees,
        max_zoom=max_zoom,
        max_shear=max_shear,
        max_shift=max_shift,
    )
    return affine(images, matrices, order=order, mode=mode, fill=fill)


def random_elastic(
    images: jax.Array,
    key: Key,
    *,
    alpha: float = 34.0,
    std: float = 4.0,
    order: int = 1,
    mode: str = "edge",
    fill: float = 0.0,
) -> jax.Array:
    """Bends each image by a smooth field of chance, as a hand's tremor does.

    A displacement has a standard deviation of alpha / (std sqrt(12 pi)) pixels along either axis:
    1.4 with the defaults, which Simard and others found best for 29 x 29 digits.

    Args:
        images: [B, H, W, C], sides longer than 4 std; floats for order 1.
        key: of the field; images and masks bend alike by the same key.
        alpha: factor of the blurred noise, in pixels.
        std: of the Gaussian that blurs the noise, in pixels.
        order: 1 linear, 0 nearest.
        mode: what is read beyond the image.
        fill: for the mode "constant".

    Returns:
        Images of the same shape.
    """
    images = require_images(images, "random_elastic", floats=order == 1)
    batch, height, width, _ = images.shape
    noise = jax.random.uniform(key, [batch, height, width, 2], minval=-1.0)
    field = alpha * blurred(noise, std)
    rows = jnp.arange(height)[None, :, None] + field[..., 0]
    columns = jnp.arange(width)[None, None] + field[..., 1]
    return warped(images, rows, columns, order=order, mode=mode, fill=fill)


def _pixels(images, rows, columns, mode, fill):
    """The pixels [B, h, w, C] at whole rows and columns [B, h, w]."""
    batch, height, width, channels = images.shape
    at = _inside(rows, height, mode) * width + _inside(columns, width, mode)
    flat = images.reshape(batch, height * width, channels)
    take = jax.vmap(lambda flat, at: flat.at[at].get(mode="promise_in_bounds"))
    found = take(flat, at)
    if mode != "constant":
        return found
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return jnp.where(inside[..., None], found, jnp.asarray(fill, images.dtype))


def _inside(index, size, mode):
    if mode == "reflect" and size > 1:
        index = index % (2 * (size - 1))
        return jnp.minimum(index, 2 * (size - 1) - index)
    return jnp.clip(index, 0, size - 1)
