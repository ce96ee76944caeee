"""A kernel looks at noisy points of a sine: attention without anything learned, narrow and wide.

Data: 100 x in [0, 10], drawn evenly; y = sin(omega x) and normal noise of variance 1, as strong as
that; 11 queries, 0 to 10 (004, example 6.2.1 and problem 6.1). The book leaves omega open: 1.
Model: Nadaraya-Watson with three kernels and widths h from 0.05 to 20; the book has a squared
exponential one and h = 0.5. Measured: the mean absolute error at the queries to the sine, and over
a fine grid the root mean square; the width that the leave-one-out error, which needs no truth,
finds best. Drawn: the weights of the 100 points for each query (the book's figure 6.1), whose
columns sum to 1, and the fits.

What problem 6.1 asks: at a small h a query hears its nearest point alone, its column has one bright
cell, and the fit follows the noise; at a large h all cells are alike, and the fit is the mean.
Beyond h the two kernels other than the Gaussian are 0: at a small h some columns are empty, and
the mean answers there.

The book prints the kernel as exp(+|x - x_i| / h), which grows with the distance: that one asks the
farthest points. It gives no numbers.

Result, seeds 0 and 1: at h = 0.5 the Gaussian's mean absolute error is 0.36 and 0.21; at 0.05 0.72
and 0.56, at 20 0.58 and 0.58; the kernel as printed has 0.71 and 0.57, about that of the mean. Of
the three kernels, each at its best width, none is better than another: the least root mean squares
are 0.36 of each, and 0.20. A triangle is about twice as wide as the Gaussian that is as good.
Leaving one out chooses too narrow a Gaussian with seed 0, 0.38 where 0.86 is best, for an error of
0.49 to the sine, and 0.42 where 0.52 is best with seed 1, for 0.22. Cost: 8 s of processor time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Key
from jdl.models.nadaraya_watson import KERNELS, kernel_weights, leave_one_out, nadaraya_watson
from jdl.plot.canvas import COLOURS, canvas
from jdl.plot.curves import learning_curves
from jdl.recipes.report import Report

INTERVAL = 10.0


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    points: int = 100
    """Of the training data."""
    omega: float = 1.0
    """Radians per unit of x."""
    noise: float = 1.0
    """Standard deviation of the noise."""
    widths: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)
    """h of the table and, each second of them, of the pictures."""
    candidates: int = 60
    """Widths that the leave-one-out error chooses from, between the least and the largest."""
    grid: int = 400
    """Points of the fine grid."""


class Answers(NamedTuple):
    """What a kernel answers, for each of W widths.

    Attributes:
        queries: [W, Q].
        fine: [W, G], over the fine grid.
        weights: [W, Q, N], of the points in the answers to the queries.
        left_out: [W], root mean squares at points that were left out.
        error: [W], root mean squares to the sine over the fine grid.
    """

    queries: np.ndarray
    fine: np.ndarray
    weights: np.ndarray
    left_out: np.ndarray
    error: np.ndarray


def run(settings: Settings, key: Key) -> Report:
    """Draws the points, answers the queries, measures, draws."""
    key_x, key_noise = jax.random.split(key)
    x = jnp.sort(jax.random.uniform(key_x, [settings.points, 1], maxval=INTERVAL), axis=0)
    y = sine(settings, x) + settings.noise * jax.random.normal(key_noise, x.shape)
    queries = jnp.arange(INTERVAL + 1)[:, None]
    fine = jnp.linspace(0, INTERVAL, settings.grid)[:, None]
    truth = np.asarray(sine(settings, queries))[:, 0]

    least, most = min(settings.widths), max(settings.widths)
    candidates = np.geomspace(least, most, settings.candidates)
    widths = jnp.asarray([*settings.widths, *candidates])
    grows = jax.nn.softmax(jnp.abs(queries - x.T) / 0.5, axis=-1) @ y
    numbers = {"error_as_printed": float(np.abs(grows[:, 0] - truth).mean())}
    given, tried = {}, {}
    for kernel in KERNELS:
        found = answers(settings, kernel, widths, (x, y), queries, fine)
        given[kernel], tried[kernel] = (
            Answers(*(each[part] for each in found))
            for part in (slice(len(settings.widths)), slice(len(settings.widths), None))
        )
        for width, answer in zip(settings.widths, given[kernel].queries, strict=True):
            numbers[f"error_{kernel}_{width:g}"] = float(np.abs(answer - truth).mean())
        best, ideal = np.argmin(tried[kernel].left_out), np.argmin(tried[kernel].error)
        numbers |= {
            f"best_width_{kernel}": float(candidates[best]),
            f"grid_error_at_best_{kernel}": float(tried[kernel].error[best]),
            f"width_of_least_{kernel}": float(candidates[ideal]),
            f"least_grid_error_{kernel}": float(tried[kernel].error[ideal]),
        }
    curves = np.asarray(x)[:, 0], np.asarray(y)[:, 0], fine[:, 0], sine(settings, fine)[:, 0]
    return Report(
        numbers,
        {
            "attention": attention_matrices(settings.widths, given),
            "fit": fits(settings.widths, given, *curves),
            "widths": error_over_widths(candidates, tried),
        },
        table(settings, numbers),
    )


def sine(settings, x):
    """The truth at x."""
    return jnp.sin(settings.omega * x)


def answers(settings, kernel, widths, points, queries, fine):
    """The Answers of a kernel at all widths."""
    objective = leave_one_out(kernel)

    def answer(width):
        at_queries = nadaraya_watson(queries, *points, width, kernel=kernel)
        at_fine = nadaraya_watson(fine, *points, width, kernel=kernel)
        weights = kernel_weights(queries, points[0], width, kernel=kernel)
        left_out, _ = objective({"log_width": jnp.log(width)}, (), points, None)
        error = jnp.mean((at_fine - sine(settings, fine)) ** 2)
        return at_queries[:, 0], at_fine[:, 0], weights, jnp.sqrt(left_out), jnp.sqrt(error)

    return Answers(*map(np.asarray, jax.jit(lambda x: jax.lax.map(answer, x))(widths)))


def attention_matrices(widths, given):
    """Draws the weights: a row for each point, from the least x down, a column for each query."""
    columns = len(widths[::2])
    figure, panels = canvas(2.4 * columns + 0.4, 8.4, len(given), columns)
    names = [(kernel, i) for kernel in given for i in range(0, len(widths), 2)]
    for axes, (kernel, i) in zip(panels, names, strict=True):
        weights = given[kernel].weights[i].T
        axes.imshow(weights, cmap="viridis", vmin=0, aspect="auto")
        axes.set_title(f"{kernel}, h = {widths[i]:g}\nup to {weights.max():.2g}", fontsize=9)
        axes.set(xticks=range(0, weights.shape[1], 2))
        if kernel == list(given)[-1]:
            axes.set_xlabel("query x")
        if i == 0:
            axes.set_ylabel("training point")
    return figure


def fits(widths, given, x, y, fine, truth):
    """Draws the points, the sine and the fits of all kernels, a panel for each second width."""
    shown = range(0, len(widths), 2)
    figure, panels = canvas(2.9 * len(shown) + 0.4, 3.4, 1, len(shown), shared=True)
    for axes, i in zip(panels, shown, strict=True):
        axes.scatter(x, y, s=6, color="#999999", linewidth=0, label="data")
        axes.plot(fine, truth, color="#000000", lw=1, ls="--", label="sine")
        for colour, (kernel, found) in zip(COLOURS, given.items(), strict=False):
            axes.plot(fine, found.fine[i], color=colour, lw=1.4, label=kernel)
        axes.set(title=f"h = {widths[i]:g}", xlabel="x")
    panels[0].set_ylabel("y")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(given) + 2, frameon=False)
    return figure


def error_over_widths(widths, tried):
    """Draws what leaving one out says of each width, and how far the fit is from the sine."""
    panels = {
        "leave-one-out error (RMS)": {name: (widths, x.left_out) for name, x in tried.items()},
        "error to the sine (RMS)": {name: (widths, x.error) for name, x in tried.items()},
    }
    figure = learning_curves(panels, step="width h")
    for axes in figure.axes:
        axes.set_xscale("log")
    return figure


def table(settings, numbers):
    """A row for each width, a column for each kernel."""
    names = list(KERNELS)
    rows = [f"{'h':>8s}" + "".join(f"{name:>14s}" for name in names) + "   mean absolute error"]
    for width in settings.widths:
        errors = (numbers[f"error_{name}_{width:g}"] for name in names)
        rows.append(f"{width:8g}" + "".join(f"{error:14.3f}" for error in errors))
    best = (numbers[f"best_width_{name}"] for name in names)
    rows.append("best h  " + "".join(f"{width:14.2f}" for width in best) + "   leave-one-out")
    rows.append(f"the kernel as printed, exp(+|u|): {numbers['error_as_printed']:.3f}")
    return "\n".join(rows)
