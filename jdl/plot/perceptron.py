"""Pictures of the perceptron rule: its line after each mistake, and how many it makes."""

from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import COLOURS, canvas
from jdl.plot.lines import draw_classes, line_ends

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def boundaries(
    inputs: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    biases: np.ndarray,
    offenders: np.ndarray,
    *,
    widest: tuple[np.ndarray, float] | None = None,
    title: str = "",
) -> "Figure":
    """Draws the points of two classes and the line w'x + b = 0 after each mistake, light to dark.

    Args:
        inputs: [N, 2].
        labels: [N], positive for the one class.
        weights: [k, 2], after each mistake.
        biases: [k].
        offenders: [k, 2], the points that were on the wrong side; each has the mistake's number.
        widest: weights and bias of the separator of largest margin, dashed.
        title: of the axes.

    Returns:
        A Figure.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    figure, (axes,) = canvas(6.2, 5.6)
    reach = np.linalg.norm(np.ptp(inputs, axis=0) + 0.8)
    count = len(weights)
    shades = colormaps["Blues"](np.linspace(0.2, 1.0, max(count, 2)))[:count]
    for number, (weight, bias, shade) in enumerate(zip(weights, biases, shades, strict=True), 1):
        line = line_ends(weight, bias, reach)
        last = number == count
        axes.plot(*line, color=shade, linewidth=2.6 if last else 1.3, zorder=2 + last)
    if widest is not None:
        line = line_ends(*widest, reach)
        axes.plot(*line, "--", color="#555555", linewidth=1.3, label="widest margin", zorder=2)
    draw_classes(axes, inputs, labels, size=34)
    axes.set_title(title)
    for point, numbers in _numbers(offenders).items():
        axes.annotate(
            ", ".join(map(str, numbers)),
            point,
            (5, 4),
            textcoords="offset points",
            fontsize=8,
            color="#333333",
            zorder=5,
        )
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.12), ncols=3, frameon=False)
    if count > 1:
        scale = ScalarMappable(
            BoundaryNorm(np.arange(count + 1) + 0.5, count), ListedColormap(list(shades))
        )
        ticks = np.unique(np.linspace(1, count, min(count, 8)).round().astype(int))
        figure.colorbar(scale, ax=axes, label="line after mistake number", ticks=ticks, pad=0.02)
    return figure


def mistakes_and_bounds(margins: np.ndarray, mistakes: np.ndarray, bounds: np.ndarray) -> "Figure":
    """Draws mistakes beside Novikoff's bound, for data sets of different margins.

    Args:
        margins: [n], eta of each data set.
        mistakes: [n], at least 1.
        bounds: [n].

    Returns:
        A Figure with logarithmic axes.
    """
    figure, (axes,) = canvas(5.4, 3.8)
    axes.scatter(margins, bounds, s=14, color=COLOURS[1], alpha=0.7, label="Novikoff's bound")
    axes.scatter(margins, mistakes, s=14, color=COLOURS[0], alpha=0.7, label="mistakes made")
    axes.set(xscale="log", yscale="log", xlabel="margin eta", ylabel="mistakes")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    return figure


def _numbers(offenders):
    """Point -> the numbers of its mistakes, from 1."""
    found = {}
    for number, point in enumerate(offenders, 1):
        found.setdefault(tuple(point.tolist()), []).append(number)
    return found
