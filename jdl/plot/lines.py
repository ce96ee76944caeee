"""What pictures of linear classifiers in the plane share."""

from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def line_ends(weight: np.ndarray, bias: float, length: float) -> np.ndarray:
    """Two points of the line w'x + b = 0, far from each other.

    Args:
        weight: w [2], not zero.
        bias: b.
        length: each end lies at least this far from the origin.

    Returns:
        x [2] and y [2], [2, 2].

    Example:
        >>> x, y = line_ends(np.array([1.0, 0.0]), -2.0, 5.0)
        >>> x.tolist(), bool(y[0] < -5 < 5 < y[1])
        ([2.0, 2.0], True)
    """
    norm = weight @ weight
    middle = -bias * weight / norm
    along = np.array([-weight[1], weight[0]]) / np.sqrt(norm)
    reach = length + np.linalg.norm(middle)
    return np.stack([middle - reach * along, middle + reach * along], axis=1)


def draw_classes(axes: "Axes", inputs: np.ndarray, labels: np.ndarray, size: float) -> None:
    """Draws the points of two classes and frames them.

    Args:
        axes: to draw on.
        inputs: [N, 2].
        labels: [N], positive for the one class.
        size: of a point, in points squared.
    """
    for positive, colour, marker in [(True, COLOURS[1], "o"), (False, COLOURS[2], "s")]:
        axes.scatter(
            *inputs[(labels > 0) == positive].T,
            s=size,
            color=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.6,
            label="y = 1" if positive else "y = -1",
            zorder=4,
        )
    low, high = inputs.min(0) - 0.4, inputs.max(0) + 0.4
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
