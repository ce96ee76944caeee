"""Pictures of what optimizers do on a function of two numbers."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jdl.plot.canvas import COLOURS, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Window = tuple[float, float, float, float]


class Paths(NamedTuple):
    """What a panel of `landscape_paths` shows.

    Attributes:
        function: points [M, 2] -> values [M].
        paths: name -> points [T, 2], the start first; what is not finite is left out.
        minimum: where the function is least.
    """

    function: Callable[[np.ndarray], np.ndarray]
    paths: Mapping[str, np.ndarray]
    minimum: tuple[float, float]


def landscape_paths(
    panels: Mapping[str, Paths], window: Window, *, columns: int = 2, title: str = ""
) -> "Figure":
    """Draws paths over contours whose values grow by a constant factor.

    Args:
        panels: title -> what is drawn; at most seven paths in each.
        window: (left, right, bottom, top).
        columns: of panels.
        title: above all.

    Returns:
        A Figure. A ring is the start, a square the end of a path, a star the minimum.

    Raises:
        ValueError: more than seven paths in a panel.
    """
    crowded = [name for name, panel in panels.items() if len(panel.paths) > len(COLOURS)]
    if crowded:
        raise ValueError(f"a panel has colours for {len(COLOURS)} paths; {crowded} has more")
    rows = -(-len(panels) // columns)
    figure, drawn = canvas(4.9 * columns, 3.5 * rows + 0.3, rows, columns, title=title, shared=True)
    for axes in drawn[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, panel) in zip(drawn, panels.items(), strict=False):
        _contours(axes, panel.function, window)
        for colour, (rule, path) in zip(COLOURS, panel.paths.items(), strict=False):
            path = path[np.isfinite(path).all(-1)]
            axes.plot(*path.T, color=colour, linewidth=1.5, alpha=0.9, label=rule, zorder=3)
            axes.scatter(*path[-1], s=22, marker="s", color=colour, ec="white", lw=0.6, zorder=5)
        axes.scatter(*path[0], s=36, color="white", ec="#222222", lw=1.4, zorder=6)
        star = {"marker": "*", "color": "#FFD700", "ec": "#222222", "lw": 0.7}
        axes.scatter(*panel.minimum, s=150, **star, zorder=4)
        axes.set(xlim=window[:2], ylim=window[2:], title=name)
        axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    for index, axes in enumerate(drawn):
        axes.set(
            xlabel="$w_1$" if index >= len(panels) - columns else "",
            ylabel="$w_2$" if index % columns == 0 else "",
        )
    return figure


def start_maps(panels: Mapping[str, np.ndarray], window: Window, *, label: str = "") -> "Figure":
    """Draws for every starting point how low a rule came from there.

    Args:
        panels: title -> values [rows, columns], row 0 at the bottom of the window; a value that is
            not finite, of a rule that diverged, is red.
        window: (left, right, bottom, top), the centres of the outermost cells.
        label: of the colours, which follow the logarithm of the values.

    Returns:
        A Figure.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    every = np.concatenate([np.ravel(values) for values in panels.values()])
    low, high = np.percentile(every[np.isfinite(every) & (every > 0)], [1, 99])
    colours = colormaps["viridis"].with_extremes(bad=COLOURS[1])
    figure, drawn = canvas(4.0 * len(panels) + 0.8, 3.1, 1, len(panels), shared=True)
    for axes, (name, values) in zip(drawn, panels.items(), strict=True):
        finite = np.where(np.isfinite(values), np.clip(values, low, high), np.nan)
        right, up = (
            np.linspace(*edges, count)
            for edges, count in zip((window[:2], window[2:]), values.shape[::-1], strict=True)
        )
        mesh = axes.pcolormesh(
            right, up, np.ma.masked_invalid(finite), cmap=colours, norm=LogNorm(low, high)
        )
        axes.set(title=name, xlabel="$w_1$ at the start")
    drawn[0].set(ylabel="$w_2$ at the start")
    bar = figure.colorbar(mesh, ax=drawn, label=label, extend="both")
    bar.outline.set_visible(False)
    return figure


def _contours(axes, function, window):
    right, up = np.linspace(*window[:2], 240), np.linspace(*window[2:], 240)
    grid = np.stack(np.meshgrid(right, up), -1).reshape(-1, 2).astype(np.float32)
    values = np.log10(np.asarray(function(grid)).reshape(240, 240) + 1e-3)
    levels = np.linspace(values.min(), values.max(), 26)
    axes.contourf(right, up, values, levels, cmap="Greys", alpha=0.55)
    axes.contour(right, up, values, levels, colors="white", linewidths=0.5, linestyles="solid")
