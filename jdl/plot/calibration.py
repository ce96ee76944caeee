"""Pictures of how far probabilities and uncertainties can be trusted."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jdl.metrics.calibration import Reliability, expected_calibration_error
from jdl.metrics.ranking import auroc, fpr_at_tpr, roc_curve
from jdl.plot.canvas import COLOURS, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability_diagram(tables: Mapping[str, Reliability], title: str = "") -> "Figure":
    """Draws accuracy over confidence in bins, and how many examples each bin has.

    Args:
        tables: of one or more classifiers, by name.
        title: above all axes.

    Returns:
        A Figure: a column a classifier. Bars are accuracies, hatched bars their gap to the mean
        confidence of the bin: above the bar the classifier was too sure, within it too modest.
        The title of a column has the expected calibration error.
    """
    from matplotlib.ticker import PercentFormatter

    count = len(tables)
    figure, axes = canvas(0.6 + 3.7 * count, 5, 2, count, title=title)
    grid = axes[0].get_subplotspec().get_gridspec()
    grid.set_height_ratios([3, 1])
    for column, (name, table) in enumerate(tables.items()):
        above, below = axes[column], axes[count + column]
        edges, counts = np.asarray(table.edges), np.asarray(table.count)
        accuracy, confidence = np.asarray(table.accuracy), np.asarray(table.mean_confidence)
        place = {"x": edges[:-1], "width": np.diff(edges), "align": "edge"}
        above.bar(height=accuracy, color=COLOURS[0], alpha=0.75, edgecolor="white", **place)
        gap = {"facecolor": "none", "edgecolor": COLOURS[1], "hatch": "////", "linewidth": 0.8}
        seen = counts > 0
        above.bar(
            edges[:-1][seen],
            (confidence - accuracy)[seen],
            np.diff(edges)[seen],
            accuracy[seen],
            align="edge",
            label="gap to the mean confidence",
            **gap,
        )
        above.plot([0, 1], [0, 1], ":", color="#666666", linewidth=1)
        error = float(expected_calibration_error(table))
        above.set(title=f"{name}: ECE {error:.1%}", xlim=(0, 1), ylim=(0, 1))
        below.bar(height=counts / max(counts.sum(), 1), color="#999999", edgecolor="white", **place)
        below.set(xlabel="confidence", xlim=(0, 1))
        below.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes[0].set_ylabel("accuracy")
    axes[0].legend(loc="upper left", fontsize=8, frameon=False)
    axes[count].set_ylabel("examples")
    return figure


def roc_curves(
    scores: Mapping[str, np.ndarray], positive: np.ndarray, title: str = "Out of distribution?"
) -> "Figure":
    """Draws ROC curves of detectors, with their areas and FPR at 95 % TPR.

    Args:
        scores: [N] by name, larger for what is rather positive.
        positive: [N], true or 1 for positives, here examples out of distribution.
        title: of the axes.

    Returns:
        A Figure.
    """
    import jax.numpy as jnp

    figure, (axes,) = canvas(5.6, 5.2)
    for (name, values), colour in zip(scores.items(), _cycled(len(scores)), strict=True):
        arrays = jnp.asarray(values), jnp.asarray(positive)
        curve, area, at_95 = roc_curve(*arrays), auroc(*arrays), fpr_at_tpr(*arrays)
        label = f"{name}: AUROC {float(area):.3f}, FPR95 {float(at_95):.2f}"
        axes.plot(*map(np.asarray, curve[:2]), color=colour, linewidth=1.8, label=label)
    axes.plot([0, 1], [0, 1], ":", color="#666666", linewidth=1)
    axes.axhline(0.95, color="#BBBBBB", linewidth=0.8, zorder=0)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title=title)
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal")
    axes.legend(loc="lower right", fontsize=8.5, frameon=False)
    return figure


def coverage_curves(
    levels: np.ndarray,
    coverage: Mapping[str, np.ndarray],
    *,
    examples: int | None = None,
    title: str = "Do intervals hold what they claim?",
) -> "Figure":
    """Draws the share of targets in central intervals over the level of the intervals.

    Args:
        levels: [L] in [0, 1].
        coverage: [L] by name, as from `jdl.metrics.calibration.central_coverage`.
        examples: that coverages are counted on; draws the band that chance explains.
        title: of the axes.

    Returns:
        A Figure: below the diagonal intervals are too narrow, above it too wide.
    """
    levels = np.asarray(levels)
    figure, (axes,) = canvas(5.2, 5)
    axes.plot([0, 1], [0, 1], ":", color="#666666", linewidth=1)
    if examples is not None:
        reach = 2 * np.sqrt(levels * (1 - levels) / examples)
        band = {"color": "#DDDDDD", "linewidth": 0, "label": "2 sigma of counting"}
        axes.fill_between(levels, levels - reach, levels + reach, **band)
    for (name, values), colour in zip(coverage.items(), _cycled(len(coverage)), strict=True):
        axes.plot(levels, np.asarray(values), color=colour, linewidth=1.8, label=name)
    axes.text(0.97, 0.5, "too narrow", ha="right", color="#777777")
    axes.text(0.03, 0.5, "too wide", color="#777777")
    axes.set(xlabel="level of the interval", ylabel="share of targets inside", title=title)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="upper left", fontsize=8.5, frameon=False)
    return figure


def entropy_histograms(
    entropies: Mapping[str, Mapping[str, np.ndarray]],
    *,
    largest: float | None = None,
    title: str = "",
) -> "Figure":
    """Draws how uncertain classifiers are in and out of distribution.

    Args:
        entropies: by classifier or kind of uncertainty, then by data set: [N] nats.
        largest: end of the axis, such as log C; None for the largest entropy.
        title: above all axes.

    Returns:
        A Figure: axes for each classifier with a histogram a data set, of equal areas.
    """
    end = largest or max(float(np.max(x)) for sets in entropies.values() for x in sets.values())
    edges = np.linspace(0, end, 31)
    figure, axes = canvas(0.5 + 3.6 * len(entropies), 3.4, 1, len(entropies), title=title)
    for axis, (name, sets) in zip(axes, entropies.items(), strict=True):
        for (label, values), colour in zip(sets.items(), _cycled(len(sets)), strict=True):
            values = np.clip(np.asarray(values), 0, end)
            share = np.full(len(values), 1 / len(values))
            axis.hist(values, edges, weights=share, color=colour, alpha=0.5, label=label)
            axis.axvline(values.mean(), color=colour, linewidth=1.2, linestyle="--")
        axis.set(xlabel="nats", title=name, xlim=(0, end))
    axes[0].set_ylabel("share of examples")
    axes[0].legend(loc="upper right", frameon=False)
    return figure


def _cycled(count):
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
