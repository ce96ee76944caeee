"""Pictures of how predictions change while their inputs move away from the data."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import COLOURS, canvas, without_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DASHES = ("-", "--", ":", "-.")


def scores_over_shift(
    positions: Sequence[float],
    scores: Mapping[str, Mapping[str, np.ndarray]],
    *,
    shift: str,
    title: str = "",
) -> "Figure":
    """Draws scores of several methods over the size of a shift, one legend for all.

    Args:
        positions: sizes of the shift [T].
        scores: name of a score with its unit -> method -> values [T].
        shift: name of the horizontal axis, with its unit.
        title: above all axes.

    Returns:
        A Figure: axes for each score.
    """
    figure, panels = canvas(3.5 * len(scores), 3.9, 1, len(scores), title=title)
    for axes, (name, curves) in zip(panels, scores.items(), strict=True):
        for i, (method, values) in enumerate(curves.items()):
            style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i // len(COLOURS) % 4]}
            axes.plot(positions, values, label=method, linewidth=1.7, **style)
        axes.set(xlabel=shift, title=name)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.margins(x=0.01)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def probabilities_over_shift(
    positions: Sequence[float],
    images: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    names: Sequence[str],
    truths: Sequence[int],
    *,
    shift: str,
    least: float = 0.2,
    title: str = "",
) -> "Figure":
    """Draws images as they move away from the data, and what classifiers make of each.

    Args:
        positions: sizes of the shift [T], equally spaced.
        images: [E, T, H, W, 1] in [0, 1], of E examples.
        probabilities: method -> [E, T, C], of the classes.
        names: of the C classes.
        truths: true class of each example, [E]; its curve is black.
        shift: name of the horizontal axis, with its unit.
        least: only classes that reach this probability are drawn.
        title: above all axes.

    Returns:
        A Figure: a column an example; its images in a row above one panel a method.
    """
    examples, steps = images.shape[:2]
    rows = 1 + len(probabilities)
    width, height = 4.2, 1.7  # of a panel, inches
    size = 0.6 + (width + 0.4) * examples, 1.1 + (height + 0.2) * len(probabilities)
    figure, axes = canvas(*size, rows, examples, title=title)
    square = width / steps * images.shape[2] / images.shape[3]
    axes[0].get_subplotspec().get_gridspec().set_height_ratios([square / height, *[1] * (rows - 1)])
    step = (positions[-1] - positions[0]) / (steps - 1)
    ends = positions[0] - step / 2, positions[-1] + step / 2
    for column in range(examples):
        strip = np.concatenate(list(images[column, ..., 0]), axis=1)
        place = {"extent": (*ends, 0, 1), "aspect": "auto"}  # each image above its position
        axes[column].imshow(strip, cmap="gray_r", vmin=0, vmax=1, **place)
        without_frame(axes[column])
        for row, (method, values) in enumerate(probabilities.items(), 1):
            panel = axes[row * examples + column]
            _curves(panel, positions, values[column], names, truths[column], least)
            panel.set(xlim=ends, ylim=(-0.03, 1.12), yticks=[0, 0.5, 1])
            if column == 0:
                panel.set_ylabel(method)
            if row == rows - 1:
                panel.set_xlabel(shift)
    return figure


def _curves(panel, positions, values, names, truth, least):
    """The classes that matter somewhere, each named where it is likeliest."""
    for label in np.flatnonzero((values.max(0) >= least) | (np.arange(len(names)) == truth)):
        colour = "#000000" if label == truth else COLOURS[label % (len(COLOURS) - 1)]
        dash = DASHES[label // (len(COLOURS) - 1) % 4] if label != truth else "-"
        panel.plot(positions, values[:, label], dash, color=colour, linewidth=1.7)
        top = int(values[:, label].argmax())
        place = positions[top], values[top, label] + 0.03
        panel.text(*place, names[label], color=colour, ha="center", weight="bold", fontsize=9)
