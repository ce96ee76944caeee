"""Pictures of many small images."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import canvas, without_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_grid(
    images: np.ndarray,
    titles: Sequence[str] | None = None,
    *,
    colours: Sequence[str] | None = None,
    rows: Sequence[str] = (),
    columns: int | None = None,
    title: str = "",
    size: float = 0.9,
) -> "Figure":
    """Draws images side by side.

    Args:
        images: [N, H, W, C] in [0, 1]; one channel is drawn black on white, three as colours.
        titles: of each image, or None.
        colours: of each title, or None.
        rows: names of the rows, or nothing.
        columns: images in a row; None makes the grid about twice as wide as high.
        title: above all.
        size: width of an image in inches.

    Returns:
        A figure.

    Raises:
        ValueError: no images, other shapes, or titles of another number.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(f"image_grid draws images [N, H, W, 1 or 3]; got {list(images.shape)}")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"{len(images)} images need as many titles; got {len(titles)}")
    figure, panels = _panels(
        len(images), columns, size, images.shape[1:3], titles, title, 1.0 if rows else 0.4
    )
    grey = {"cmap": "gray_r", "vmin": 0, "vmax": 1} if images.shape[-1] == 1 else {}
    for axes, image in zip(panels, np.clip(images, 0, 1), strict=False):
        axes.imshow(image.squeeze(-1) if grey else image, **grey)
    for axes, colour in zip(panels, colours or [], strict=False):
        axes.title.set_color(colour)
    for axes, name in zip(panels[:: len(panels) // max(len(rows), 1)], rows, strict=False):
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def filters(
    weights: np.ndarray,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    title: str = "",
    size: float = 0.7,
) -> "Figure":
    """Draws weights of either sign as images, all on one scale.

    Args:
        weights: [N, H, W].
        titles: of each filter, or None.
        columns: filters in a row; None makes the grid about twice as wide as high.
        title: above all.
        size: width of a filter in inches.

    Returns:
        A figure, blue below zero, white at zero, red above. The scale ends at the 99.5th percentile
        of the magnitudes.

    Raises:
        ValueError: no filters, other shapes, or titles of another number.
    """
    weights = np.asarray(weights)
    if weights.ndim != 3 or not len(weights):
        raise ValueError(f"filters draws weights [N, H, W]; got {list(weights.shape)}")
    if titles is not None and len(titles) != len(weights):
        raise ValueError(f"{len(weights)} filters need as many titles; got {len(titles)}")
    figure, panels = _panels(len(weights), columns, size, weights.shape[1:], titles, title, 1.4)
    scale = max(float(np.percentile(np.abs(weights), 99.5)), 1e-12)
    for axes, image in zip(panels, weights, strict=False):
        drawn = axes.imshow(image, cmap="RdBu_r", vmin=-scale, vmax=scale)
    bar = figure.colorbar(drawn, ax=panels, shrink=0.7, aspect=30, label="weight")
    bar.outline.set_visible(False)
    return figure


def _panels(number, columns, size, shape, titles, title, margin):
    columns = min(number, columns or math.ceil(math.sqrt(2 * number)))
    rows = math.ceil(number / columns)
    height = size * shape[0] / shape[1] + (0.25 if titles else 0.05)
    figure, panels = canvas(
        max(columns * size, 3) + margin,
        rows * height + (0.5 if title else 0.1),
        rows,
        columns,
        title=title,
    )
    for axes in panels:
        without_frame(axes)
    for axes, text in zip(panels, titles or [], strict=False):
        axes.set_title(text, fontsize=9)
    return figure, panels
