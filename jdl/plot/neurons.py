"""Pictures of single neurons: how they learn, what they can hold, how a synapse changes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import COLOURS, canvas
from jdl.plot.lines import draw_classes, line_ends

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = {"color": "#e6e6e6", "linewidth": 0.8}


def capacity_curves(
    exact: Mapping[str, tuple[np.ndarray, np.ndarray]],
    measured: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    title: str = "",
) -> "Figure":
    """Draws the fraction of separable labelings over patterns a weight.

    Args:
        exact: name -> (patterns a weight [T], fraction [T]), lines.
        measured: the same names -> (patterns a weight [M], fraction [M], standard error [M]).
        title: above the axes.

    Returns:
        A figure, with the capacity of two patterns a weight dashed.
    """
    figure, (axes,) = canvas(6.4, 4.0)
    axes.axvline(2, color="#888888", linewidth=1, linestyle="--")
    axes.text(2.05, 1.0, "capacity: 2 a weight", color="#555555", fontsize=9, va="center")
    for colour, (name, curve) in zip(COLOURS, exact.items(), strict=False):
        axes.plot(*curve, color=colour, linewidth=1.5, label=name)
        loads, fractions, errors = measured[name]
        axes.errorbar(loads, fractions, errors, fmt="o", color=colour, markersize=4, linewidth=1)
    axes.set(xlabel="patterns per weight, N / d", ylabel="fraction that a perceptron can realize")
    axes.set(ylim=(-0.04, 1.08), title=title)
    axes.grid(**GRID)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower left", title="exact; dots measured")
    return figure


def late_lines(
    inputs: np.ndarray,
    labels: np.ndarray,
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    title: str = "",
) -> "Figure":
    """Draws the lines w'x + b = 0 of several moments, a panel for each rule, on the data.

    Args:
        inputs: [N, 2].
        labels: [N], positive for the one class.
        lines: rule -> (weights [K, 2], biases [K]); the last is drawn strongest.
        title: above all.

    Returns:
        A figure.
    """
    figure, panels = canvas(4.3 * len(lines), 4.4, 1, len(lines), title=title, shared=True)
    reach = np.linalg.norm(np.ptp(inputs, axis=0) + 0.8)
    for axes, (rule, (weights, biases)) in zip(panels, lines.items(), strict=True):
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), 1):
            last = number == len(weights)
            axes.plot(
                *line_ends(weight, bias, reach),
                color="#222222",
                linewidth=2 if last else 0.9,
                alpha=1 if last else 0.25,
            )
        draw_classes(axes, inputs, labels, size=26)
        axes.set_title(rule)
    panels[-1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def truth_planes(
    gates: Mapping[str, tuple[tuple[int, ...], tuple[np.ndarray, float] | None]],
) -> "Figure":
    """Draws functions of two bits: true corners filled, and the line of a unit that computes them.

    Args:
        gates: name -> (truth table of 00, 01, 10, 11; weights [2] and bias of a unit, or None if
            there is none).

    Returns:
        A figure, a panel for each; where the unit is on, the plane is shaded.
    """
    figure, panels = canvas(2.3 * len(gates), 3.0, 1, len(gates), shared=True)
    ticks = np.linspace(-0.5, 1.5, 301)
    x, y = np.meshgrid(ticks, ticks)
    for axes, (name, (table, unit)) in zip(panels, gates.items(), strict=True):
        if unit is not None:
            (first, second), bias = unit
            value = first * x + second * y + bias
            axes.contourf(x, y, value, [0, np.inf], colors=[COLOURS[1]], alpha=0.18)
            axes.contour(x, y, value, [0], colors="#222222", linewidths=1.5)
        for corner, true in enumerate(table):
            axes.plot(
                corner // 2,
                corner % 2,
                "o",
                markersize=11,
                color=COLOURS[1] if true else "white",
                markeredgecolor=COLOURS[1] if true else COLOURS[0],
                markeredgewidth=1.8,
            )
        axes.set(aspect="equal", xticks=[0, 1], yticks=[0, 1], xlabel="$x_1$")
        axes.set_title(name if unit is not None else f"{name}: no line")
    panels[0].set_ylabel("$x_2$")
    return figure


def plasticity_window(
    times: np.ndarray, changes: np.ndarray, lags: Sequence[float], measured: Sequence[float]
) -> "Figure":
    """Draws the change of a weight over the lag of two spikes.

    Args:
        times: t_post - t_pre in ms, [T].
        changes: relative to the largest weight, [T].
        lags: of single pairs in ms, [L].
        measured: their changes, [L].

    Returns:
        A figure in percent of the largest weight.
    """
    figure, (axes,) = canvas(6.4, 3.9)
    changes = 100 * np.asarray(changes)
    for side, colour, name in [
        (times > 0, 0, "LTP: pre before post"),
        (times < 0, 1, "LTD: post before pre"),
    ]:
        axes.plot(times[side], changes[side], color=COLOURS[colour], linewidth=2, label=name)
        axes.fill_between(times[side], changes[side], color=COLOURS[colour], alpha=0.15)
    axes.plot(lags, 100 * np.asarray(measured), "o", color="#222222", markersize=4.5, label="pairs")
    axes.axhline(0, color="#666666", linewidth=0.8)
    axes.axvline(0, color="#666666", linewidth=0.8)
    axes.set(xlabel="$t_{post} - t_{pre}$ [ms]", ylabel="change [% of the largest weight]")
    axes.set_title("The window of spike-timing-dependent plasticity")
    axes.legend(frameon=False, loc="upper left")
    return figure
