"""Samples in the plane beside the data."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import COLOURS, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sample_strip(
    samples: np.ndarray,
    data: np.ndarray,
    titles: Sequence[str],
    *,
    fields: np.ndarray | None = None,
    field_name: str = "",
    extent: tuple[float, float, float, float],
    title: str = "",
) -> "Figure":
    """Draws samples at several moments, each over the data and a field.

    Args:
        samples: [T, N, 2].
        data: [M, 2], drawn in every panel.
        titles: of the T panels.
        fields: values in [0, 1] on a grid, [T, G, G], rows from the bottom; None draws none.
        field_name: what the values are, for the colour bar.
        extent: left, right, bottom, top of the panels, and of the fields.
        title: above all.

    Returns:
        A figure of T panels in a row, or two rows from five on.

    Raises:
        ValueError: other shapes, or titles of another number.
    """
    samples, data = np.asarray(samples), np.asarray(data)
    if samples.ndim != 3 or samples.shape[-1] != 2 or len(titles) != len(samples):
        raise ValueError(
            "sample_strip draws samples [T, N, 2] with T titles; "
            f"got {list(samples.shape)} and {len(titles)}"
        )
    rows = 1 if len(titles) < 5 else 2
    columns = -(-len(titles) // rows)
    figure, panels = canvas(
        2.3 * columns + 0.9, 2.5 * rows + 0.5, rows, columns, title=title, shared=True
    )
    for axes in panels[len(titles) :]:
        axes.set_visible(False)
    for index, axes in enumerate(panels[: len(titles)]):
        if fields is not None:
            drawn = axes.imshow(
                np.asarray(fields[index]),
                cmap="RdBu_r",
                vmin=0,
                vmax=1,
                alpha=0.55,
                origin="lower",
                extent=extent,
                interpolation="bilinear",
            )
        axes.scatter(*data.T, s=3, color="#444444", alpha=0.35, linewidth=0, label="data")
        axes.scatter(
            *samples[index].T, s=4, color=COLOURS[2], alpha=0.7, linewidth=0, label="samples"
        )
        axes.set(title=titles[index], xlim=extent[:2], ylim=extent[2:], aspect="equal")
    if fields is not None:
        bar = figure.colorbar(drawn, ax=panels, shrink=0.7, aspect=30, label=field_name)
        bar.outline.set_visible(False)
    panels[0].legend(loc="upper left", markerscale=4, handletextpad=0.1, fontsize=8, frameon=False)
    return figure
