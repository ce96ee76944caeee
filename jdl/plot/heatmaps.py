"""Heat over images, and the maps inside of a network."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import canvas, without_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def overlays(
    images: np.ndarray,
    heats: dict[str, np.ndarray],
    titles: Sequence[str] = (),
    *,
    signed: Sequence[str] = (),
    title: str = "",
    size: float = 1.1,
) -> "Figure":
    """Draws images in a row, and below them a row for each kind of heat, over the pale images.

    Args:
        images: [N, H, W, C] in [0, 1], C 1 or 3.
        heats: name of a row -> [N, H', W'], of any size; stretched over the images.
        titles: of each image, or nothing.
        signed: the rows whose heat has either sign: blue below zero, red above. The others are at
            least 0, white to red.
        title: above all.
        size: width of an image in inches.

    Returns:
        A figure. Each heat has its own scale, up to its largest magnitude.

    Raises:
        ValueError: images or heats of other shapes, or titles of another number.
    """
    images = np.asarray(images)
    number = len(images)
    wrong = [name for name, heat in heats.items() if np.ndim(heat) != 3 or len(heat) != number]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not number or wrong:
        raise ValueError(
            "overlays draws images [N, H, W, 1 or 3] and heats [N, H', W']; "
            f"got {list(images.shape)} and { ({k: np.shape(h) for k, h in heats.items()}) }"
        )
    if titles and len(titles) != number:
        raise ValueError(f"{number} images need as many titles; got {len(titles)}")
    rows, (height, width) = {"": None, **heats}, images.shape[1:3]
    figure, panels = canvas(
        number * size + 1.2, len(rows) * size * height / width + 0.6, len(rows), number, title=title
    )
    for axes in panels:
        without_frame(axes)
    for axes, text in zip(panels, titles, strict=False):
        axes.set_title(text, fontsize=9)
    for row, (name, heat) in enumerate(rows.items()):
        for column, axes in enumerate(panels[row * number : (row + 1) * number]):
            _draw_image(axes, images[column])
            if heat is not None:
                _draw_heat(axes, np.asarray(heat[column]), height, width, name in signed)
            if column == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def feature_maps(
    maps: np.ndarray,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    title: str = "",
    size: float = 0.8,
) -> "Figure":
    """Draws the maps of an image, each on a scale of its own from its least to its largest value.

    Args:
        maps: [H, W, C].
        titles: of each map, or None.
        columns: maps in a row; None makes the grid about twice as wide as high.
        title: above all.
        size: width of a map in inches.

    Returns:
        A figure; a constant map is drawn dark.

    Raises:
        ValueError: other shapes, or titles of another number.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"feature_maps draws maps [H, W, C]; got {list(maps.shape)}")
    number = maps.shape[-1]
    if titles is not None and len(titles) != number:
        raise ValueError(f"{number} maps need as many titles; got {len(titles)}")
    columns = min(number, columns or math.ceil(math.sqrt(2 * number)))
    rows = math.ceil(number / columns)
    height = size * maps.shape[0] / maps.shape[1] + (0.25 if titles else 0.05)
    figure, panels = canvas(
        max(columns * size, 3) + 0.4, rows * height + 0.5, rows, columns, title=title
    )
    for axes in panels:
        without_frame(axes)
    for axes, values in zip(panels, np.moveaxis(maps, -1, 0), strict=False):
        axes.imshow(
            values, cmap="viridis", vmin=values.min(), vmax=max(values.max(), values.min() + 1e-12)
        )
    for axes, text in zip(panels, titles or [], strict=False):
        axes.set_title(text, fontsize=9)
    return figure


def _draw_image(axes, image):
    grey = {"cmap": "gray_r", "vmin": 0, "vmax": 1} if image.shape[-1] == 1 else {}
    axes.imshow(np.clip(image.squeeze(-1) if grey else image, 0, 1), **grey)


def _draw_heat(axes, heat, height, width, signed):
    peak = max(float(np.abs(heat).max()), 1e-12)
    colours = {"cmap": "RdBu_r", "vmin": -peak} if signed else {"cmap": "Reds", "vmin": 0}
    axes.imshow(
        heat,
        vmax=peak,
        alpha=0.7,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="bilinear",
        **colours,
    )
