"""Changes of images that leave the class alone, drawn anew at each step: geometry.

A random change is a pure function (images, key) -> images of a batch, and each image has draws of
its own: for one image, give a batch of one, or `jax.vmap` over images and keys. All work under
`jit`, on the device. Flips and crops move pixels and keep any dtype; what interpolates takes
floats, of any range. Changes of colour are in `jdl.data.colour_augmentation`, bends and affine maps
in `jdl.data.warps`, mixtures and holes in `jdl.data.mixing`, and a random choice of many in
`jdl.data.rand_augment`. Source: 001 (lines 1007-1016), 003 (722-728), 004 (1473-1491).

Axes: B images, H rows, W columns, C channels.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Key
from jdl.data.image_checks import for_each_image, require_images
from jdl.data.warps import affine, affine_matrix

Change = Callable[[jax.Array, Key], jax.Array]


def chain(*changes: Change) -> Change:
    """One change after the other, each with a key of its own.

    Args:
        changes: functions (images, key) -> images.

    Returns:
        A function (images, key) -> images.

    Example:
        >>> change = chain(random_flip, random_crop)  # as is usual for CIFAR
        >>> jax.jit(change)(jnp.ones([2, 8, 8, 3]), jax.random.key(0)).shape
        (2, 8, 8, 3)
    """

    def changed(images, key):
        for change, own in zip(changes, jax.random.split(key, len(changes)), strict=True):
            images = change(images, own)
        return images

    return changed


def sometimes(change: Change, probability: float) -> Change:
    """A change of some images: computed for all, kept for those that a draw of each chooses.

    Args:
        change: (images, key) -> images of the same shape.
        probability: of an image to be changed.

    Returns:
        A function (images, key) -> images.
    """

    def changed(images, key):
        key_choice, key_change = jax.random.split(key)
        chosen = jax.random.bernoulli(key_choice, probability, [len(images)])
        return jnp.where(for_each_image(chosen, images), change(images, key_change), images)

    return changed


def random_flip(
    images: jax.Array, key: Key, *, vertical: bool = False, probability: float = 0.5
) -> jax.Array:
    """Mirrors images left to right.

    Args:
        images: [B, H, W, C], of any dtype.
        key: of the choices.
        vertical: upside down instead.
        probability: of an image to be mirrored.

    Returns:
        Images of the same shape.

    Example:
        >>> image = jnp.array([1, 2, 3]).reshape(1, 1, 3, 1)
        >>> random_flip(image, jax.random.key(0), probability=1.0).ravel().tolist()
        [3, 2, 1]
    """
    images = require_images(images, "random_flip", floats=False)
    chosen = jax.random.bernoulli(key, probability, [len(images)])
    return jnp.where(for_each_image(chosen, images), jnp.flip(images, 1 if vertical else 2), images)


def random_crop(
    images: jax.Array,
    key: Key,
    *,
    shape: tuple[int, int] | None = None,
    padding: int = 4,
    mode: str = "constant",
) -> jax.Array:
    """Pads images and cuts a part from a random place of each, every place as probable.

    The defaults are those of He and others 2016, section 4.2, for CIFAR. AlexNet's: images of
    256 x 256, `shape=(224, 224), padding=0`.

    Args:
        images: [B, H, W, C], of any dtype.
        key: of the places.
        shape: rows and columns of the part; None keeps those of the images.
        padding: pixels on each side.
        mode: of the padding, as `jnp.pad` names it: "constant" is 0, "reflect" mirrors.

    Returns:
        [B, *shape, C].

    Raises:
        ValueError: images of another rank, or a part larger than the padded image.
    """
    images = require_images(images, "random_crop", floats=False)
    shape = tuple(images.shape[1:3] if shape is None else shape)
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode)
    room = [padded.shape[i + 1] - shape[i] for i in range(2)]
    if min(room) < 0:
        raise ValueError(
            f"a part of {list(shape)} does not fit into {list(padded.shape[1:3])}, padding "
            "included; take a smaller part or more padding"
        )
    key_down, key_right = jax.random.split(key)
    top = jax.random.randint(key_down, [len(images)], 0, room[0] + 1)
    left = jax.random.randint(key_right, [len(images)], 0, room[1] + 1)

    def cut(image, top, left):
        rows = image.at[top + jnp.arange(shape[0])].get(mode="promise_in_bounds")
        return rows.at[:, left + jnp.arange(shape[1])].get(mode="promise_in_bounds")

    return jax.vmap(cut)(padded, top, left)


def centre_crop(images: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The middle of images, for evaluation; of an odd rest the larger part is right and below.

    Args:
        images: [B, H, W, C], of any dtype.
        shape: rows and columns of the part.

    Returns:
        [B, *shape, C].

    Raises:
        ValueError: images of another rank, or a part larger than the image.
    """
    images = require_images(images, "centre_crop", floats=False)
    top, left = ((images.shape[i + 1] - shape[i]) // 2 for i in range(2))
    if min(top, left) < 0:
        raise ValueError(f"a part of {list(shape)} does not fit into {list(images.shape)}")
    return images[:, top : top + shape[0], left : left + shape[1]]


def random_resized_crop(
    images: jax.Array,
    key: Key,
    *,
    shape: tuple[int, int],
    areas: tuple[float, float] = (0.08, 1.0),
    ratios: tuple[float, float] = (3 / 4, 4 / 3),
    attempts: int = 10,
) -> jax.Array:
    """Cuts a part of random area and shape from a random place of each image, and resizes it.

        width * height = area ~ uniform(areas) * W * H
        width / height = ratio,   log ratio ~ uniform(log ratios)
        left ~ uniform(0, W - width),   top ~ uniform(0, H - height)

    The first of some attempts that fits into the image counts; if none does, the largest part of
    the middle with the nearest ratio. Linear interpolation, smoothed where it shrinks.

    Source: Szegedy and others 2015 (GoogLeNet), section 6; the attempts are torchvision's. Departs
    from both: places are not rounded to whole pixels.

    Args:
        images: floats [B, H, W, C].
        key: of the parts.
        shape: rows and columns of the result.
        areas: least and greatest part of the image's area.
        ratios: least and greatest width / height.
        attempts: to find a part that fits.

    Returns:
        [B, *shape, C].

    Raises:
        ValueError: images of another rank.
        TypeError: integers.
    """
    images = require_images(images, "random_resized_crop")
    size, corner = _parts(images, key, areas, ratios, attempts)
    zoom = jnp.array(shape, images.dtype)[None] / size

    def cut(image, zoom, corner):
        target = (*shape, image.shape[-1])
        return jax.image.scale_and_translate(image, target, (0, 1), zoom, -zoom * corner, "linear")

    return jax.vmap(cut)(images, zoom, corner)


def _parts(images, key, areas, ratios, attempts):
    """Heights and widths [B, 2], and tops and lefts [B, 2], of `random_resized_crop`."""
    batch, height, width, _ = images.shape
    key_area, key_ratio, key_corner = jax.random.split(key, 3)
    draws = [batch, attempts]
    area = height * width * jax.random.uniform(key_area, draws, images.dtype, *areas)
    low, high = map(math.log, ratios)
    ratio = jnp.exp(jax.random.uniform(key_ratio, draws, images.dtype, low, high))
    sizes = jnp.stack([jnp.sqrt(area / ratio), jnp.sqrt(area * ratio)], -1)
    bounds = jnp.array([height, width], images.dtype)
    fits = jnp.all(sizes <= bounds[None, None], -1)
    first = jnp.take_along_axis(sizes, fits.argmax(1)[:, None, None], 1)[:, 0]
    nearest = min(max(width / height, ratios[0]), ratios[1])
    largest = jnp.array([min(height, width / nearest), min(width, height * nearest)], first.dtype)
    found = fits.any(1)[:, None]
    size = jnp.where(found, first, largest[None])
    place = jnp.where(found, jax.random.uniform(key_corner, [batch, 2], images.dtype), 0.5)
    return size, place * (bounds[None] - size)


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
    angles = jnp.asarray(degrees, images.dtype)
    if images.ndim != 4 or angles.shape not in ((), (len(images),)):
        raise ValueError(
            "rotated takes images [B, H, W, C] and degrees [] or [B]; "
            f"got {list(images.shape)} and {list(angles.shape)}"
        )
    return affine(images, affine_matrix(angles))
