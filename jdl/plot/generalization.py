"""Pictures of training and test error, and of classifiers that were trained on other samples."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jdl.plot.canvas import COLOURS, canvas
from jdl.plot.lines import line_ends

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Errors(NamedTuple):
    """Two curves over the number of training examples.

    Attributes:
        examples: [n], in each training set.
        training: error rates [n].
        test: error rates [n].
    """

    examples: Sequence[int]
    training: np.ndarray
    test: np.ndarray


class ErrorPanel(NamedTuple):
    """What a panel of `error_curves` shows.

    Attributes:
        curves: name -> errors.
        least: the least error rate that a classifier can have.
        scale: of the errors, "log" or "linear".
    """

    curves: Mapping[str, Errors]
    least: float
    scale: str = "log"


def error_curves(panels: Mapping[str, ErrorPanel]) -> "Figure":
    """Draws test errors in full and training errors dashed, over the logarithm of their number.

    Args:
        panels: title -> what is drawn; on a logarithmic scale an error of 0 is not.

    Returns:
        A Figure.
    """
    figure, drawn = canvas(4.9 * len(panels), 4.2, 1, len(panels))
    for axes, (title, panel) in zip(drawn, panels.items(), strict=True):
        for colour, (name, (examples, training, test)) in zip(
            COLOURS, panel.curves.items(), strict=False
        ):
            if panel.scale == "log":
                training, test = (np.where(x > 0, x, np.nan) for x in (training, test))
            axes.plot(examples, test, "o-", color=colour, ms=3.5, label=f"{name}: test")
            axes.plot(examples, training, "o--", color=colour, ms=3, lw=1.2, label="training")
        axes.axhline(panel.least, color="#555555", lw=1, ls=":", label="least possible")
        axes.set(xscale="log", yscale=panel.scale, title=title)
        ticks = [t for t in (2, 5, 10, 20, 50, 100, 200, 500, 1000) if t <= max(examples)]
        axes.set_xticks(ticks, map(str, ticks))
        axes.minorticks_off()
        axes.set(xlabel="training examples N", ylabel="error rate")
        axes.grid(color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "columnspacing": 1.2}
        axes.legend(frameon=False, fontsize=8, ncols=len(panel.curves) + 1, **place)
    return figure


def lines_of_samples(
    panels: Mapping[str, np.ndarray], centres: np.ndarray, std: float, best: np.ndarray
) -> "Figure":
    """Draws the lines w'x + b = 0 of classifiers that saw different samples.

    Args:
        panels: title -> (w, b) of each classifier, [k, 3].
        centres: of two round Gaussians [2, 2]; rings of one, two and three deviations are drawn.
        std: their standard deviation.
        best: (w, b) [3] of the best line, dashed.

    Returns:
        A Figure.
    """
    from matplotlib.patches import Circle

    figure, drawn = canvas(3.5 * len(panels), 4.1, 1, len(panels), shared=True)
    reach = np.abs(centres).max() + 4 * std
    for axes, (title, lines) in zip(drawn, panels.items(), strict=True):
        for line in lines:
            axes.plot(
                *line_ends(line[:2], line[2], 2 * reach),
                color=COLOURS[0],
                lw=0.8,
                alpha=0.3,
                zorder=1,
            )
        axes.plot(
            *line_ends(best[:2], best[2], 2 * reach),
            "--",
            color="#222222",
            lw=1.4,
            label="best",
            zorder=3,
        )
        for colour, centre in zip(COLOURS[1:], centres, strict=False):
            for times in (1, 2, 3):
                axes.add_patch(Circle(centre, times * std, color=colour, alpha=0.22, lw=0))
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=title)
        axes.set(xlabel="$x_1$")
    drawn[0].set(ylabel="$x_2$")
    drawn[0].legend(loc="lower left", frameon=False)
    return figure
