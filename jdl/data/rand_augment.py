"""RandAugment: a few operations of chance, of one magnitude, one after the other.

Each image draws `num_operations` of the 14 of `OPERATIONS`, all as probable, and with what goes
both ways a sign. With level = magnitude / max_magnitude:

    rotate              +- 30 level degrees
    shear x, y          +- 0.3 level
    translate x, y      +- 150 / 331 level of the width, the height
    brightness, colour, contrast, sharpness   factor 1 +- 0.9 level
    solarise            what is at least 1 - level
    posterise           to 8 - round(4 level) bits
    identity, autocontrast, equalise          the same at every level

Source: Cubuk, Zoph, Shlens and Le 2020, section 3 and table 6; the ranges are those of AutoAugment
as torchvision has them, whose magnitudes go to 30.

Images of a batch take different operations, and a program without branches computes all of them
for all images: the five moves are one matrix and one reading, the rest arithmetic, but for the
histogram of equalise, which takes most of the time on a CPU.

Axes: B images, H rows, W columns.
"""

import jax
import jax.numpy as jnp

from jdl.core import Key
from jdl.data.colour_augmentation import (
    autocontrasted,
    brightened,
    contrasted,
    equalised,
    posterised,
    saturated,
    solarised,
)
from jdl.data.image_checks import for_each_image, require_colour
from jdl.data.sharpness import sharpened
from jdl.data.warps import affine, affine_matrix

MOVES = "rotate", "shear_x", "shear_y", "translate_x", "translate_y"
FACTORS = {
    "brightness": brightened,
    "colour": saturated,
    "contrast": contrasted,
    "sharpness": sharpened,
}
OPERATIONS = (
    "identity",
    *MOVES,
    *FACTORS,
    *("solarise", "posterise", "autocontrast", "equalise"),
)


def random_operations(
    images: jax.Array,
    key: Key,
    *,
    num_operations: int = 2,
    magnitude: float = 9.0,
    max_magnitude: float = 30.0,
    fill: float = 0.5,
) -> jax.Array:
    """RandAugment.

    Args:
        images: floats [B, H, W, 3] in [0, 1], at least 3 x 3.
        key: of the operations and signs.
        num_operations: N; 2 for ImageNet, 3 for CIFAR-10 with WRN-28-10 in the paper.
        magnitude: M; 9 for ResNet-50 on ImageNet.
        max_magnitude: of the scale; 10 in the paper's section 3, with 30 in its experiments.
        fill: beyond the image.

    Returns:
        Images of the same shape, in [0, 1].

    Raises:
        ValueError: images of another shape, or a magnitude outside of its scale.
        TypeError: integers.

    Example:
        >>> images = jnp.full([2, 8, 8, 3], 0.25)
        >>> jax.eval_shape(random_operations, images, jax.random.key(0)).shape
        (2, 8, 8, 3)
    """
    images = require_colour(images, "random_operations")
    if not 0 <= magnitude <= max_magnitude:
        raise ValueError(f"magnitude is in [0, {max_magnitude}]; got {magnitude}")
    level = magnitude / max_magnitude
    for own in jax.random.split(key, num_operations):
        key_operation, key_sign = jax.random.split(own)
        number = jax.random.randint(key_operation, [len(images)], 0, len(OPERATIONS))
        sign = jax.random.rademacher(key_sign, [len(images)], images.dtype)
        images = operated(images, number, sign * level, fill=fill)
    return images


def operated(
    images: jax.Array, number: jax.Array, level: jax.Array, *, fill: float = 0.5
) -> jax.Array:
    """One operation for each image.

    Args:
        images: floats [B, H, W, 3] in [0, 1].
        number: indices into `OPERATIONS`, [B].
        level: in [-1, 1], [B]; the size alone counts for what goes one way.
        fill: beyond the image.

    Returns:
        Images of the same shape.
    """
    images = require_colour(images, "operated")

    def of(name):
        return number == OPERATIONS.index(name)

    turn, shear_x, shear_y, right, down = (jnp.where(of(name), level, 0) for name in MOVES)
    height, width = images.shape[1:3]
    matrices = affine_matrix(
        30 * turn,
        shear=0.3 * jnp.stack([shear_y, shear_x], -1),
        shift=150 / 331 * jnp.stack([height * down, width * right], -1),
    )
    size = jnp.abs(level)
    changed = {
        **{name: change(images, 1 + 0.9 * level) for name, change in FACTORS.items()},
        "solarise": solarised(images, 1 - size),
        "posterise": posterised(images, 8 - jnp.round(4 * size)),
        "autocontrast": autocontrasted(images),
        "equalise": equalised(images),
    }
    moved = jnp.any(jnp.stack([of(name) for name in MOVES]), 0)
    found = jnp.where(for_each_image(moved, images), affine(images, matrices, fill=fill), images)
    for name, other in changed.items():
        found = jnp.where(for_each_image(of(name), images), other, found)
    return found
