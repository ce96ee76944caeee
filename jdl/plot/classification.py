"""Pictures of classifiers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jdl.plot.canvas import COLOURS, canvas
from jdl.plot.images import image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_heatmap(
    confusion: np.ndarray, names: Sequence[str], title: str = "Confusion matrix"
) -> "Figure":
    """Draws a confusion matrix: counts as numbers, the share of each true class as colour.

    Args:
        confusion: counts [C, C], true classes down, predicted classes across.
        names: of the C classes.
        title: above the matrix.

    Returns:
        A figure. The colours follow the square root of the share, so that rare mistakes show.

    Raises:
        ValueError: counts of another shape than the names.
    """
    counts, classes = np.asarray(confusion), len(names)
    if counts.shape != (classes, classes):
        raise ValueError(f"{classes} names need counts {[classes] * 2}; got {list(counts.shape)}")
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.4 + 0.38 * classes
    figure, (axes,) = canvas(side + 0.7, side)
    image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            dark = shares[row, column] > 0.3
            ink = {"color": "white" if dark else "#222222", "fontsize": 9}
            axes.text(column, row, f"{count}", ha="center", va="center", **ink)
    longest = max(map(len, names))
    axes.set_xticks(range(classes), names, rotation=45 if longest > 3 else 0)
    axes.set_yticks(range(classes), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    right = np.trace(counts) / max(counts.sum(), 1)
    axes.set_title(f"{title}: {right:.2%} of {counts.sum()} right")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for line in np.arange(classes - 1) + 0.5:
        axes.axhline(line, color="white", linewidth=1)
        axes.axvline(line, color="white", linewidth=1)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    ticks = np.array([0, 0.01, 0.1, 0.25, 0.5, 1])
    bar.set_ticks(np.sqrt(ticks), labels=[f"{tick:.0%}" for tick in ticks])
    bar.outline.set_visible(False)
    return figure


def hardest_images(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    *,
    shown: int = 18,
    columns: int = 9,
    size: float = 0.9,
    title: str = "The hardest test images",
) -> "Figure":
    """Draws the images whose true class is least probable.

    Args:
        images: [N, H, W, C] in [0, 1].
        labels: [N], true classes.
        probabilities: [N, K], of the classes.
        names: of the K classes.
        shown: how many.
        columns: images in a row.
        size: width of an image in inches.
        title: above all, before the number of misread ones.

    Returns:
        A figure; a misread image says as what, in colour, another how probable the truth was.
    """
    of_truth, said = probabilities[np.arange(len(labels)), labels], probabilities.argmax(-1)
    order, wrong = np.argsort(of_truth)[:shown], said != labels
    titles = [
        f"{names[labels[i]]}, read {names[said[i]]}"
        if wrong[i]
        else f"{names[labels[i]]}: {of_truth[i]:.0%}"
        for i in order
    ]
    return image_grid(
        images[order],
        titles,
        colours=[COLOURS[1] if wrong[i] else "#333333" for i in order],
        columns=columns,
        size=size,
        title=f"{title}: {wrong.sum()} of {len(labels)} misread, "
        "then by the probability of the truth",
    )


def decision_regions(
    probabilities, inputs: np.ndarray, labels: np.ndarray, names: Sequence[str], title: str = ""
) -> "Figure":
    """Draws which class a classifier gives to each point of the plane, and the data.

    Args:
        probabilities: function of points [M, 2] to class probabilities [M, C].
        inputs: data [N, 2].
        labels: classes [N].
        names: of the C classes, two to seven.
        title: above the picture.

    Returns:
        A figure. A region is the paler the less certain the class; a line is where two classes are
        equally likely.

    Raises:
        ValueError: inputs that are not points of the plane, or another number of classes.
    """
    from matplotlib.colors import to_rgb

    inputs, labels = np.asarray(inputs), np.asarray(labels)
    if inputs.ndim != 2 or inputs.shape[1] != 2 or not 2 <= len(names) <= len(COLOURS):
        raise ValueError(
            f"decision_regions draws inputs [N, 2] of 2 to {len(COLOURS)} classes; "
            f"got {list(inputs.shape)} of {len(names)}"
        )
    middle, half = (inputs.max(0) + inputs.min(0)) / 2, 0.58 * np.ptp(inputs, axis=0).max()
    x, y = (np.linspace(centre - half, centre + half, 200) for centre in middle)
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
    shares = np.asarray(probabilities(grid))
    palette = np.array([to_rgb(colour) for colour in COLOURS[: len(names)]])
    certainty = (shares.max(-1, keepdims=True) - 1 / len(names)) / (1 - 1 / len(names))
    shade = 1 - 0.45 * certainty.clip(0, 1) * (1 - palette[shares.argmax(-1)])
    figure, (axes,) = canvas(5.6, 4.8)
    extent = (x[0], x[-1], y[0], y[-1])
    axes.imshow(shade.reshape(200, 200, 3), origin="lower", extent=extent, interpolation="bilinear")
    for label, name in enumerate(names):
        ahead = shares[:, label] - np.delete(shares, label, 1).max(1)
        axes.contour(x, y, ahead.reshape(200, 200), [0], colors="white", linewidths=1.2)
        of = labels == label
        axes.scatter(
            *inputs[of].T, s=14, color=COLOURS[label], edgecolor="white", linewidth=0.4, label=name
        )
    axes.set(xlabel="$x_1$", ylabel="$x_2$", title=title, xlim=extent[:2], ylim=extent[2:])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure
