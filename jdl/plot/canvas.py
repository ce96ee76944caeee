"""Figures with empty axes in one manner: quiet frames, colours that all eyes can tell apart.

A Figure made here belongs to nobody else: pyplot keeps no list of it and no window opens.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008, "Color universal design": blue, vermilion, green, purple, orange, sky, black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": "#333333",
    "xtick.color": "#666666",
    "ytick.color": "#666666",
    "xtick.labelcolor": "#333333",
    "ytick.labelcolor": "#333333",
    "legend.frameon": False,
    "image.interpolation": "nearest",
    "figure.dpi": 150,
}


def canvas(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    title: str = "",
    shared: bool = False,
) -> tuple["Figure", list]:
    """Makes a figure and its axes.

    Args:
        width: in inches.
        height: in inches.
        rows: of axes.
        columns: of axes.
        title: above all axes.
        shared: whether all axes show the same range.

    Returns:
        The figure, and its axes in a list, row by row.

    Raises:
        ImportError: Matplotlib is missing.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need Matplotlib: pip install matplotlib") from error
    cycle = matplotlib.cycler(color=COLOURS)
    with matplotlib.rc_context({**STYLE, "axes.prop_cycle": cycle}):
        figure = Figure(figsize=(width, height), layout="constrained")
        if title:
            figure.suptitle(title, fontsize=12)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)
    return figure, list(axes.ravel())


def without_frame(axes) -> None:
    """Takes ticks and frame away, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
