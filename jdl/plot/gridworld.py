"""Pictures of policies on a grid."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import COLOURS, canvas, without_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Up, right, down, left, as (x, y) on axes whose y points down: the order of `jdl.rl.gridworld`.
DIRECTIONS = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)])


def grid_policies(
    layout: Sequence[str],
    policies: dict[str, np.ndarray],
    shades: dict[str, np.ndarray],
    *,
    label: str = "visits in an episode",
) -> "Figure":
    """Draws policies side by side: an arrow for each action, as long as it is probable.

    The start has a green frame; actions of probability up to 0.1 have no arrow.

    Args:
        layout: rows of letters, S start, G goal, P pit, # wall.
        policies: by title, [rows * columns, 4] probabilities of up, right, down, left.
        shades: by the same titles, [rows * columns], at least 0, what the colour of a cell shows.
        label: of the colours.

    Returns:
        A Figure.

    Raises:
        ValueError: arrays of another size than the grid, or titles that differ.
    """
    if set(policies) != set(shades):
        raise ValueError(f"policies and shades have one title each; got {[*policies]}, {[*shades]}")
    rows, columns = len(layout), len(layout[0])
    for title in policies:
        if policies[title].shape != (rows * columns, 4) or shades[title].size != rows * columns:
            raise ValueError(
                f"a grid of {rows} x {columns} has policies [{rows * columns}, 4] and shades "
                f"[{rows * columns}]; {title!r} has {policies[title].shape}, {shades[title].shape}"
            )
    walls = np.array([[letter == "#" for letter in row] for row in layout])
    largest = max(float(np.max(shade)) for shade in shades.values())
    figure, drawn = canvas(0.62 * columns * len(policies) + 1, 0.62 * rows + 0.7, 1, len(policies))
    for axes, title in zip(drawn, policies, strict=True):
        shade = np.ma.array(np.reshape(shades[title], walls.shape), mask=walls)
        axes.set_facecolor("#4d4d4d")  # of the walls
        image = axes.imshow(shade, cmap="Blues", vmin=0, vmax=largest)
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
        _arrows(axes, layout, policies[title])
        _letters(axes, layout)
        without_frame(axes)
        axes.set_title(title)
    figure.colorbar(image, ax=drawn, label=label, fraction=0.03, pad=0.01)
    return figure


def _arrows(axes, layout, probabilities):
    columns = len(layout[0])
    floor = [i for i, letter in enumerate("".join(layout)) if letter in "S."]
    for direction, probability in zip(DIRECTIONS, probabilities.T, strict=True):
        seen = [i for i in floor if probability[i] > 0.1]
        y, x = np.divmod(seen, columns)
        u, v = 0.42 * direction[:, None] * probability[None, seen]
        axes.quiver(
            x,
            y,
            u,
            v,
            color=COLOURS[1],
            angles="xy",
            scale_units="xy",
            scale=1,
            units="xy",
            width=0.07,
            headwidth=3.2,
            headlength=2.6,
            headaxislength=2.6,
            minlength=0,
        )


def _letters(axes, layout):
    from matplotlib.patches import Rectangle

    marks = {"G": ("goal", COLOURS[2]), "P": ("pit", "#202020"), "S": ("", "none")}
    for y, row in enumerate(layout):
        for x, letter in enumerate(row):
            if letter in marks:
                text, colour = marks[letter]
                edge = COLOURS[2] if letter == "S" else "none"
                axes.add_patch(
                    Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fc=colour, ec=edge, lw=2.5)
                )
                axes.text(x, y, text, color="white", ha="center", va="center", fontsize=10)
