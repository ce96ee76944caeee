"""Made pictures of two coloured shapes, each with the sentence that tells it.

    a red circle left of a blue square

A picture has a left and a right half, or an upper and a lower one, with a shape in each; the
sentence begins with the left or the upper one. There are 512 sentences, and many pictures of each:
places are drawn, and all pixels have noise.
"""

from typing import NamedTuple

import jax
import numpy as np

from jdl.core import Key

COLOURS = {
    "red": (0.85, 0.1, 0.1),
    "green": (0.1, 0.65, 0.2),
    "blue": (0.15, 0.25, 0.9),
    "yellow": (0.95, 0.85, 0.1),
}
SHAPES = ("circle", "square", "triangle", "cross")
RELATIONS = ("left of", "above")
WIDTH = 16
RADIUS = 3  # half the width of a shape, in pixels
NOISE = 0.03


class CaptionedImages(NamedTuple):
    """Pictures and what they show.

    Attributes:
        images: [N, H, W, 3] float32 in [0, 1].
        captions: N sentences.
    """

    images: np.ndarray
    captions: tuple[str, ...]


def captioned_shapes(key: Key, examples: int) -> CaptionedImages:
    """Draws pictures of 16 x 16 pixels of two shapes side by side, or one above the other.

    Args:
        key: of the draws.
        examples: N.

    Returns:
        The pictures, the same for a key everywhere.

    Example:
        >>> made = captioned_shapes(jax.random.key(0), 2)
        >>> made.images.shape, len(made.captions[0].split()) in (7, 8)
        ((2, 16, 16, 3), True)
    """
    key_choice, key_place, key_noise = jax.random.split(key, 3)
    counts = np.array([len(RELATIONS), *[len(COLOURS), len(SHAPES)] * 2])
    shares = np.asarray(jax.random.uniform(key_choice, [examples, len(counts)]))
    choices = np.minimum((shares * counts[None]).astype(int), counts[None] - 1)
    places = np.asarray(jax.random.uniform(key_place, [examples, 2, 2]))
    images = np.ones([examples, WIDTH, WIDTH, 3], np.float32)
    captions = []
    for image, (relation, *things), place in zip(images, choices.tolist(), places, strict=True):
        words = [_drawn(image, relation, i, things[2 * i :][:2], place[i]) for i in range(2)]
        captions.append(f" {RELATIONS[relation]} ".join(words))
    noise = np.asarray(jax.random.normal(key_noise, images.shape))
    return CaptionedImages(np.clip(images + NOISE * noise, 0, 1), tuple(captions))


def _drawn(image, relation, half, thing, place):
    """Draws a thing in its half of the picture; its name."""
    colour, shape = list(COLOURS)[thing[0]], SHAPES[thing[1]]
    along = WIDTH / 2 + 5 * (
        place[0] - 0.5
    )  # less apart than the halves, so that one word is right
    across = RADIUS + (WIDTH / 2 - 2 * RADIUS) * place[1] + half * WIDTH / 2
    row, column = (along, across) if RELATIONS[relation] == "left of" else (across, along)
    y, x = np.mgrid[:WIDTH, :WIDTH] + 0.5
    y, x = (y - row) / RADIUS, (x - column) / RADIUS
    inside = np.maximum(abs(x), abs(y)) <= 1
    inside &= {
        "circle": x**2 + y**2 <= 1,
        "square": inside,
        "triangle": abs(x) <= (y + 1) / 2,
        "cross": np.minimum(abs(x), abs(y)) <= 0.35,
    }[shape]
    image[inside] = COLOURS[colour]
    return f"a {colour} {shape}"
