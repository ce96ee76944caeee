"""Pictures of posteriors: predictions, what their uncertainty is made of, how the chains went."""

from collections.abc import Mapping, Sequence
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
    axes.legend(loc="upper left", ncols=2, frameon=True, framealpha=0.8, edgecolor="none")
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


def uncertainty_split(
    x: np.ndarray,
    mean: np.ndarray,
    aleatoric: np.ndarray,
    epistemic: np.ndarray,
    *,
    data: tuple[np.ndarray, np.ndarray],
    target: np.ndarray | None = None,
    title: str = "",
) -> "Figure":
    """Draws a prediction, and below it what its variance is made of.

    Args:
        x: [n], increasing.
        mean: [n], of the targets.
        aleatoric: [n], variance that is noise.
        epistemic: [n], variance that more data would take away.
        data: inputs [N] and targets [N].
        target: [n], the function that made the data.
        title: of the upper axes.

    Returns:
        A Figure of two axes: bands of 2 standard deviations, and the two variances, one on top of
        the other.
    """
    total = aleatoric + epistemic
    figure, (above, below) = canvas(8, 6, 2, 1)
    above.scatter(*data, s=14, color="#333333", linewidths=0, label="data", zorder=4)
    for variance, colour, alpha, label in [
        (total, COLOURS[5], 0.3, "2 sigma, total"),
        (epistemic, COLOURS[0], 0.4, "2 sigma, epistemic"),
    ]:
        ends = mean - 2 * np.sqrt(variance), mean + 2 * np.sqrt(variance)
        above.fill_between(x, *ends, color=colour, alpha=alpha, linewidth=0, label=label)
    above.plot(x, mean, color=COLOURS[0], linewidth=2, label="mean")
    if target is not None:
        above.plot(x, target, "--", color=COLOURS[1], linewidth=1.5, label="target")
    above.set(ylabel="y", title=title, xlim=(x[0], x[-1]))
    above.legend(loc="best", ncols=2, frameon=False)
    below.stackplot(
        x,
        aleatoric,
        epistemic,
        labels=["aleatoric: noise", "epistemic: not knowing the model"],
        colors=[COLOURS[5], COLOURS[0]],
        alpha=0.6,
        linewidth=0,
    )
    below.set(xlabel="x", ylabel="variance of y", xlim=(x[0], x[-1]))
    below.set_ylim(0, 1.25 * float(np.max(total)))
    below.legend(loc="upper center", ncols=2, frameon=False)
    return figure


def energies(energy: np.ndarray, title: str = "Energy of the chains") -> "Figure":
    """Draws how far energies reach, and how far one draw changes them.

    If the changes are much narrower, the momenta cannot carry a chain through all energies, and
    the tails are seen too seldom: a Bayesian fraction of missing information below 0.3.

    Args:
        energy: [chains, draws], nats, as HMC and NUTS report it.
        title: of the axes.

    Returns:
        A Figure.

    Source: Betancourt 2016, "Diagnosing suboptimal cotangent disintegrations".
    """
    from jdl.bayes.diagnostics import bfmi

    energy = np.asarray(energy, float)
    level = (energy - energy.mean(1, keepdims=True)).ravel()
    change = np.diff(energy, axis=1).ravel()
    edges = np.linspace(*np.quantile(np.concatenate([level, change]), [0.001, 0.999]), 50)
    figure, (axes,) = canvas(7, 4)
    for values, colour, label in [
        (level, COLOURS[0], "energy less its mean"),
        (change, COLOURS[4], "change from draw to draw"),
    ]:
        axes.hist(values, edges, density=True, color=colour, alpha=0.5, label=label)
    fractions = ", ".join(f"{fraction:.2f}" for fraction in bfmi(energy))
    axes.set(xlabel="nats", ylabel="density", title=f"{title}: E-BFMI {fractions}")
    axes.legend(loc="upper right", frameon=False)
    return figure


def traces_and_ranks(draws: Mapping[str, np.ndarray], *, bins: int = 20) -> "Figure":
    """Draws traces of quantities, and how the ranks of their draws spread over the chains.

    Chains that draw from one distribution have ranks, among all draws, that are uniform in each.

    Args:
        draws: [chains, draws] by name.
        bins: of ranks.

    Returns:
        A Figure of two axes a quantity. The grey band holds 95 % of the bins of independent draws.

    Source: Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, section 4.
    """
    figure, axes = canvas(10, 0.5 + 2.2 * len(draws), len(draws), 2)
    for (name, values), left, right in zip(draws.items(), axes[::2], axes[1::2], strict=True):
        values = np.asarray(values)
        ranks = values.ravel().argsort().argsort().reshape(values.shape)
        edges = np.linspace(0, values.size, bins + 1)
        expected = values.shape[1] / bins
        spread = 2 * np.sqrt(expected * (1 - 1 / bins) * (1 - 1 / len(values)))
        right.axhspan(expected - spread, expected + spread, color="#DDDDDD", linewidth=0)
        for chain, (trace, rank) in enumerate(zip(values, ranks, strict=True)):
            colour = COLOURS[chain % len(COLOURS)]
            left.plot(trace, linewidth=0.6, color=colour, alpha=0.8)
            counts, _ = np.histogram(rank, edges)
            right.stairs(counts, edges, color=colour, linewidth=1.3, label=f"chain {chain + 1}")
        left.set(ylabel=name, xlim=(0, values.shape[1] - 1))
        right.set(ylabel="draws in a bin", xlim=(0, values.size))
        right.set_ylim(0, 1.35 * max(right.dataLim.ymax, expected + spread))
    axes[0].set_title("Traces")
    axes[1].set_title("Ranks among all chains")
    axes[-2].set_xlabel("draw")
    axes[-1].set_xlabel("rank")
    axes[1].legend(loc="upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def pairs(draws: Mapping[str, np.ndarray], diverged: np.ndarray | None = None) -> "Figure":
    """Draws params against each other in pairs, with the divergences.

    Divergences that crowd in one place show what the sampler cannot enter.

    Args:
        draws: [...] by name, all of one shape: [draws] or [chains, draws].
        diverged: of that shape, true or 1 for draws whose trajectory diverged.

    Returns:
        A Figure: histograms on the diagonal, scatters below it.

    Raises:
        ValueError: fewer than two params, or shapes that differ.
    """
    names, values = list(draws), [np.asarray(x) for x in draws.values()]
    marks = np.zeros(values[0].shape, bool) if diverged is None else np.asarray(diverged) > 0
    if len(values) < 2 or {x.shape for x in [*values, marks]} != {marks.shape}:
        raise ValueError(
            "pairs takes two or more params and divergences of one shape; got "
            f"{ {name: list(x.shape) for name, x in draws.items()} } and {list(marks.shape)}"
        )
    count, marks = len(values), marks.ravel()
    size = 1 + 2.3 * count
    figure, axes = canvas(size, size, count, count)
    for place, axis in enumerate(axes):
        row, column = divmod(place, count)
        across, up = values[column].ravel(), values[row].ravel()
        if column > row:
            axis.remove()
        elif column == row:
            axis.hist(across, 40, color=COLOURS[0], alpha=0.6)
            axis.set_yticks([])
            axis.spines["left"].set_visible(False)
        else:
            dots = {"s": 4, "linewidths": 0, "rasterized": True}
            axis.scatter(across[~marks], up[~marks], color=COLOURS[0], alpha=0.3, **dots)
            dots |= {"s": 14, "label": f"{marks.sum()} divergences"}
            axis.scatter(across[marks], up[marks], color=COLOURS[1], alpha=0.9, zorder=3, **dots)
        if row == count - 1:
            axis.set_xlabel(names[column])
        if column == 0 and row:
            axis.set_ylabel(names[row])
    if diverged is not None:
        axes[count].legend(loc="best", fontsize=8, frameon=False)
    return figure
