"""Pictures of attention: who looks at whom, head by head, and where positions differ."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attention_heads(
    weights: np.ndarray,
    queries: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    title: str = "",
    size: float = 2.2,
) -> "Figure":
    """Draws the weights of each head: a row for each query, brighter where it looks.

    Args:
        weights: [H, I, J] or [I, J], of one sequence; `AttentionMaps` and `return_weights` have
            them for all layers and sequences.
        queries: the I tokens that look, or None.
        keys: the J tokens that are seen; None takes `queries` if there are as many.
        columns: heads in a row; None makes the grid about twice as wide as high.
        title: above all.
        size: width of a head in inches.

    Returns:
        A figure, all heads on the scale from 0 to 1.

    Raises:
        ValueError: weights of another rank, or labels of another number.
    """
    weights = np.asarray(weights, np.float32)
    if weights.ndim == 2:
        weights = weights[None]
    if weights.ndim != 3 or not weights.size:
        raise ValueError(
            "attention_heads draws weights [H, I, J] of one sequence; got "
            f"{list(weights.shape)}. Index the layer and the sequence first"
        )
    heads, num_queries, num_keys = weights.shape
    if keys is None and num_queries == num_keys:
        keys = queries
    for name, labels, number in (("queries", queries, num_queries), ("keys", keys, num_keys)):
        if labels is not None and len(labels) != number:
            raise ValueError(f"{number} {name} need as many labels; got {len(labels)}")
    columns = min(heads, columns or math.ceil(math.sqrt(2 * heads)))
    rows = math.ceil(heads / columns)
    height = size * max(num_queries / num_keys, 0.3) + 0.7
    figure, panels = canvas(columns * size + 1.2, rows * height + 0.4, rows, columns, title=title)
    for number, axes in enumerate(panels):
        if number >= heads:
            axes.set_axis_off()
            continue
        image = axes.imshow(weights[number], cmap="viridis", vmin=0, vmax=1, aspect="auto")
        if heads > 1:
            axes.set_title(f"head {number + 1}", fontsize=9)
        _label(axes, queries if number % columns == 0 else None, keys)
    figure.colorbar(image, ax=panels, label="weight", shrink=0.8)
    return figure


def position_map(positions: np.ndarray, *, title: str = "", size: float = 4.0) -> "Figure":
    """Draws positions as a map, and beside it how alike any two of them are.

    Args:
        positions: [T, D], a row for each position: `sinusoidal(jnp.arange(T), D)`, or a table that
            was learned.
        title: above all.
        size: width of a map in inches.

    Returns:
        A figure: the values, and the cosines [T, T] of the angles between positions.

    Raises:
        ValueError: positions of another rank.
    """
    positions = np.asarray(positions, np.float32)
    if positions.ndim != 2 or not positions.size:
        raise ValueError(f"position_map draws positions [T, D]; got {list(positions.shape)}")
    lengths = np.maximum(np.linalg.norm(positions, axis=1, keepdims=True), 1e-12)
    alike = (positions / lengths) @ (positions / lengths).T
    figure, (values, likeness) = canvas(2 * size + 1, size, 1, 2, title=title)
    peak = max(float(np.abs(positions).max()), 1e-12)
    for axes, image, limit, labels in (
        (values, positions, peak, ("feature", "position", "value")),
        (likeness, alike, 1, ("position", "position", "cosine")),
    ):
        shown = axes.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        figure.colorbar(shown, ax=axes, label=labels[2], shrink=0.8)
    return figure


def _label(axes, queries, keys):
    if keys is None:
        axes.set_xticks([])
    else:
        axes.set_xticks(range(len(keys)), keys, rotation=90, fontsize=8)
    if queries is None:
        axes.set_yticks([])
    else:
        axes.set_yticks(range(len(queries)), queries, fontsize=8)
