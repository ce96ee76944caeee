"""Pictures of posteriors: predictions with their bands, and whether the chains agree."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import COLOURS, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def predictive_band(
    x: np.ndarray,
    draws: np.ndarray,
    noise_std: float,
    *,
    data: tuple[np.ndarray, np.ndarray],
    target: np.ndarray | None = None,
    shown: int = 8,
    title: str = "",
) -> "Figure":
    """Draws the posterior of a function of one variable: mean, 2-sigma bands, a few draws.

    Args:
        x: [n], increasing.
        draws: [draws, n], values of the function at x, one row a draw from the posterior.
        noise_std: of an observation, in the unit of y; the outer band has it, the inner has not.
        data: inputs [N] and targets [N].
        target: [n], the function that made the data.
        shown: draws shown as lines, taken at equal distances.
        title: of the axes.

    Returns:
        A Figure.
    """
    mean, std = draws.mean(0), draws.std(0)
    total = np.sqrt(std**2 + noise_std**2)
    figure, (axes,) = canvas(8, 4.5)
    axes.scatter(*data, s=5, color="#999999", alpha=0.5, linewidths=0, label="data", zorder=1)
    outer = {"color": COLOURS[5], "alpha": 0.25, "linewidth": 0}
    axes.fill_between(
        x, mean - 2 * total, mean + 2 * total, label="2 sigma with noise", zorder=2, **outer
    )
    inner = {"color": COLOURS[0], "alpha": 0.35, "linewidth": 0}
    axes.fill_between(
        x, mean - 2 * std, mean + 2 * std, label="2 sigma of the function", zorder=3, **inner
    )
    lines = draws[:: max(1, len(draws) // shown)][:shown]
    axes.plot(x, lines.T, color=COLOURS[0], linewidth=0.5, alpha=0.5, zorder=4)
    axes.plot(x, mean, color=COLOURS[0], linewidth=2, label="posterior mean", zorder=5)
    if target is not None:
        axes.plot(x, target, "--", color=COLOURS[1], linewidth=1.5, label="target", zorder=6)
    axes.set(xlabel="x", ylabel="y", title=title, xlim=(x[0], x[-1]))
    edge = [mean - 2.5 * total, mean + 2.5 * total]
    axes.set_ylim(min(edge[0].min(), data[1].min()), max(edge[1].max(), data[1].max()))
    axes.legend(loc="upper left", ncols=2, frameon=False)
    return figure


def chain_diagnostics(
    x: np.ndarray,
    r_hat: np.ndarray,
    effective_draws: np.ndarray,
    log_density: np.ndarray,
    *,
    limits: Sequence[float] = (1.01, 1.05),
) -> "Figure":
    """Draws R-hat and effective sample size of predictions along x, and the traces of the chains.

    Args:
        x: [n].
        r_hat: [n], of the predictions.
        effective_draws: [n], of all chains together.
        log_density: [chains, draws], nats.
        limits: of R-hat, as dotted lines.

    Returns:
        A Figure of three axes.
    """
    figure, (left, middle, right) = canvas(11, 3.2, 1, 3)
    left.plot(x, r_hat, color=COLOURS[0])
    for limit in limits:
        left.axhline(limit, color=COLOURS[1], linestyle=":", linewidth=1)
    left.set(xlabel="x", ylabel="R-hat", title="Do the chains agree?")
    left.set_ylim(0.998, max(limits[-1] + 0.005, float(np.max(r_hat)) + 0.005))
    middle.plot(x, effective_draws, color=COLOURS[2])
    middle.axhline(log_density.size, color="#999999", linestyle=":", linewidth=1)
    middle.annotate("draws", (x[0], log_density.size), (2, 3), textcoords="offset points")
    middle.set(xlabel="x", ylabel="effective draws", title="How many count as independent?")
    middle.set_ylim(0, 1.15 * max(log_density.size, float(np.max(effective_draws))))
    for chain, trace in enumerate(log_density):
        right.plot(trace, linewidth=0.6, color=COLOURS[chain % len(COLOURS)], alpha=0.8)
    right.set(xlabel="draw", ylabel="log density, nats", title="Traces of the chains")
    return figure
