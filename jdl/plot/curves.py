"""Numbers over the steps of a run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]


def learning_curves(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    logarithmic: Sequence[str] = (),
    title: str = "",
    step: str = "step",
) -> "Figure":
    """Draws curves over steps, one panel for each quantity.

    Args:
        panels: quantity with its unit -> name of a curve -> (steps [T], values [T]).
        logarithmic: the quantities with a logarithmic axis.
        title: above all.
        step: what the horizontal axis counts.

    Returns:
        A figure. A curve of more than 200 points is drawn pale, with its running median over a
        fortieth of its length in full colour.

    Raises:
        ValueError: no panel, or steps and values of different lengths.
    """
    if not panels:
        raise ValueError("learning_curves draws at least one panel; got none")
    figure, drawn = canvas(4.6 * len(panels), 3.4, 1, len(panels), title=title)
    for axes, (quantity, curves) in zip(drawn, panels.items(), strict=True):
        for name, (steps, values) in curves.items():
            steps, values = np.asarray(steps), np.asarray(values)
            if steps.shape != values.shape or steps.ndim != 1:
                raise ValueError(
                    f"curve {name!r} needs steps [T] and values [T]; "
                    f"got {list(steps.shape)} and {list(values.shape)}"
                )
            _draw(axes, name, steps, values)
        if quantity in logarithmic:
            axes.set_yscale("log")
        axes.set(xlabel=step, ylabel=quantity)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.margins(x=0.02)
        if len(curves) > 1 or next(iter(curves)):
            axes.legend(frameon=True, framealpha=0.8, edgecolor="none")
    return figure


def _draw(axes, name, steps, values):
    if len(values) <= 200:
        dotted = {"marker": "o", "markersize": 3.5} if 2 < len(values) <= 40 else {}
        axes.plot(steps, values, label=name, linewidth=1.6, **dotted)
        return
    (pale,) = axes.plot(steps, values, alpha=0.25, linewidth=0.7)
    width = len(values) // 40 | 1  # odd
    windows = np.lib.stride_tricks.sliding_window_view(values, width)
    inner = steps[width // 2 : len(steps) - width // 2]
    axes.plot(inner, np.median(windows, -1), color=pale.get_color(), linewidth=1.6, label=name)
