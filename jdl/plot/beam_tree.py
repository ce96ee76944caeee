"""The tree of a search for sequences: 001, figure 66; 004, table 5.1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.decoding import Level
from jdl.plot.canvas import COLOURS, canvas, without_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def beam_tree(
    levels: Sequence[Level],
    words: Sequence[str],
    *,
    end_token: int | None = None,
    start: str = "",
    title: str = "",
    size: float = 1.3,
) -> "Figure":
    """Draws the hypotheses of each level, joined to those they extend, with their scores.

    What finished is framed in green; the path to the best of all, finished if one is, is thick.

    Args:
        levels: of one sequence, fields [K]. Of the tree of `beam_search`, whose fields are
            [N, B, K], `[jax.tree.map(lambda x: x[t, b], tree) for t in range(N)]`; of that of
            `tree_search`, `[jax.tree.map(lambda x: x[b], level) for level in tree]`.
        words: of each token.
        end_token: finishes a hypothesis.
        start: what stands at the root.
        title: above all.
        size: height of a hypothesis among the most on a level, in a third of an inch.

    Returns:
        A figure.

    Raises:
        ValueError: no level, or a level of another rank.
    """
    levels = [Level(*map(np.asarray, level)) for level in levels]
    if not levels or any(level.tokens.ndim != 1 for level in levels):
        raise ValueError(
            "levels are those of one sequence, with fields [K], one at least; got "
            f"{[list(level.tokens.shape) for level in levels]}"
        )
    most = max(int(level.alive.sum()) for level in levels)
    width, height = 1.8 * (len(levels) + 1), max(2.0, size * most / 3 + 0.6)
    figure, (axes,) = canvas(width, height, title=title)
    without_frame(axes)
    best = _best_path(levels, end_token)
    above = {0: 0.0}
    _node(axes, 0, 0.0, start, COLOURS[6], True)
    for depth, level in enumerate(levels):
        alive = np.flatnonzero(level.alive)
        spread = np.linspace(0.5, -0.5, len(alive)) if len(alive) > 1 else [0.0]
        here = dict(zip(alive.tolist(), spread, strict=True))
        for place, y in here.items():
            ends = level.tokens[place] == end_token
            is_best = best.get(depth) == place
            parent = above[int(level.parents[place]) if depth else 0]
            axes.plot(
                [depth, depth + 1],
                [parent, y],
                color=COLOURS[0] if is_best else "#999999",
                linewidth=2.5 if is_best else 0.8,
                zorder=1,
            )
            text = f"{words[level.tokens[place]]}\n{level.scores[place]:.2f}"
            _node(axes, depth + 1, y, text, COLOURS[2] if ends else COLOURS[6], is_best)
        above = here
    axes.set(xlim=(-0.4, len(levels) + 0.5), ylim=(-0.65, 0.65))
    return figure


def _best_path(levels, end_token):
    """Level -> place, on the way to the best hypothesis."""
    found = [
        (level.tokens[place] == end_token, level.scores[place], depth, place)
        for depth, level in enumerate(levels)
        for place in np.flatnonzero(level.alive)
        if depth == len(levels) - 1 or level.tokens[place] == end_token
    ]
    path = {}
    if found:
        _, _, depth, place = max(found)
        for level in range(depth, -1, -1):
            path[level] = int(place)
            place = levels[level].parents[place]
    return path


def _node(axes, x, y, text, colour, is_best):
    frame = {"boxstyle": "round", "facecolor": "white", "edgecolor": colour}
    weight = "bold" if is_best else "normal"
    axes.text(x, y, text, ha="center", va="center", fontsize=8, fontweight=weight, bbox=frame)
