"""Metropolis walks on Beale's function beside gradient descent, with and without the Hessian.

004, example 9.3.1: from (1.2, 2), with the book's constant 2.2625, gradient descent at 1e-3, a
random walk of standard deviation 0.3, and one whose covariance is s^2 M, M the Hessian, s = 0.1.
The book names no density; here it is exp(-L), and the numbers are medians of 2000 chains. (It has
no finite mass: far out along w2 = 1 - 0.9/w1 the loss stays near 0.75, in a valley that narrows as
1/w1 alone. So a walk is a search here, and no average over it means anything.)

The book says that the random walk is slower than descent, but ends more than ten times lower after
about 80 iterations, and that the Hessian reaches 10 about three times faster. Found:

                                            L after 10    20     40     80   best of 80  first <= 10
    gradient descent                             15.34 10.48   6.82   3.58         3.58           22
    random walk, s = 0.3                          9.04  2.31   1.27   1.00        0.064           10
    covariance s^2 |M|, s = 0.1, as printed       4.57  2.64   1.76   1.25        0.246            5
    the same, with the ratio of proposals         5.87  2.98   2.10   1.75        0.577            6
    covariance s^2 / |M|, s = 0.1                151.7 148.1  141.0  128.1        127.6        never
    covariance s^2 / |M|, s = 1.7                81.59 28.94   1.73   1.11        0.278           27

The random walk is ahead of descent all the way. Ten times lower is right of the lowest loss so far,
not of the current one. The Hessian as a covariance does reach 10 in a fourth of the iterations of
descent and half of those of the random walk; but it steps far where the function is steep, which
pays on a wall and nowhere else. A covariance for sampling is the inverse, which at s = 0.1 moves
by 0.003 on this wall; 1.7 is the scale that fits a normal density of two numbers. |M| has the
absolute values of the Hessian's eigenvalues, which are -181 and 1098 at the start. 8 s on two busy
cores.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.bayes.metropolis import (
    hessian_metropolis,
    metropolis,
    metropolis_hastings,
    soft_absolute,
)
from jdl.core import Algorithm, Variables
from jdl.nn.landscapes import LANDSCAPES, beale_of_004
from jdl.plot.curves import learning_curves
from jdl.plot.landscapes import Paths, landscape_paths
from jdl.recipes.report import Report
from jdl.train import descent, gradient
from jdl.train.run import run as scan

WINDOW = (-3.5, 5.0, -1.5, 3.0)
CHECKPOINTS = (10, 20, 40, 80)
DESCENT = "gradient descent"


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    start: tuple[float, float] = (1.2, 2.0)
    """Where all start."""
    steps: int = 80
    """Of descent and of each chain, at least 80."""
    chains: int = 2000
    """Of each walk."""
    descent_rate: float = 1e-3
    """Of gradient descent."""
    walk_scale: float = 0.3
    """Standard deviation of the random walk."""
    hessian_scale: float = 0.1
    """The book's s, which multiplies the root of the Hessian or of its inverse."""
    sampling_scale: float = 1.7
    """The s that suits the inverse of the Hessian, 2.4 / sqrt(2)."""
    floor: float = 0.1
    """Least curvature of the metric."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Follows descent once, and each walk in many chains."""
    if settings.steps < max(CHECKPOINTS):
        raise ValueError(f"steps of at least 80, where the book compares; got {settings.steps}")
    start, (key_descent, key_walks) = jnp.array(settings.start), jax.random.split(key)
    rules = {name: rule for name, (rule, _) in walks(settings).items()}

    @jax.jit
    def follow():
        descended = path(descent_on_beale(settings), start, settings.steps, key_descent)
        keys = jax.random.split(key_walks, settings.chains)
        return {DESCENT: descended[None]} | {
            name: jax.vmap(lambda own, rule=rule: path(rule, start, settings.steps, own))(keys)
            for name, rule in rules.items()
        }

    points = {name: np.asarray(found) for name, found in follow().items()}
    points = {name: points[name] for name in [DESCENT, *rules]}  # jit sorts the names
    of_points = jax.jit(jax.vmap(jax.vmap(beale_of_004)))
    losses = {name: np.asarray(of_points(found)) for name, found in points.items()}

    metrics = numbers(losses)
    figures = {"paths": drawn_paths(points, losses), "losses": drawn_losses(losses)}
    return Report(metrics, figures, table(metrics, settings))


def descent_on_beale(settings: Settings) -> Algorithm:
    """Gradient descent at the book's rate."""

    def objective(params, buffers, batch, key):
        return beale_of_004(params), (buffers, {})

    return descent(gradient(objective), optax.sgd(settings.descent_rate))


def walks(settings: Settings) -> dict[str, tuple[Algorithm, str]]:
    """The walks over exp(-L), and what the table calls them."""
    scale, wide, floor = settings.hessian_scale, settings.sampling_scale, settings.floor

    def log_density(point):
        return -beale_of_004(point)

    propose, log_proposal = hessian_as_covariance(scale, floor)
    return {
        "random walk": (
            metropolis(log_density, settings.walk_scale),
            f"random walk, s = {settings.walk_scale}",
        ),
        "Hessian, as printed": (
            metropolis_hastings(log_density, propose, lambda to, origin: 0.0),
            f"covariance s^2 |M|, s = {scale}, as printed",
        ),
        "Hessian": (
            metropolis_hastings(log_density, propose, log_proposal),
            "the same, with the ratio of proposals",
        ),
        "inverse Hessian": (
            hessian_metropolis(log_density, scale, floor=floor),
            f"covariance s^2 / |M|, s = {scale}",
        ),
        "wide inverse Hessian": (
            hessian_metropolis(log_density, wide, floor=floor),
            f"covariance s^2 / |M|, s = {wide}",
        ),
    }


def hessian_as_covariance(scale: float, floor: float):
    """004's proposal: N(origin, scale^2 M), with the Hessian M made positive.

    Args:
        scale: s.
        floor: least eigenvalue of M.

    Returns:
        `propose` and `log_proposal` of `metropolis_hastings`.
    """

    def metric(point):
        values, vectors = jnp.linalg.eigh(jax.hessian(beale_of_004)(point))
        return soft_absolute(values, floor), vectors

    def propose(point, key):
        values, vectors = metric(point)
        noise = vectors.T @ jax.random.normal(key, point.shape)
        return point + scale * vectors @ (jnp.sqrt(values) * noise)

    def log_proposal(to, origin):
        values, vectors = metric(origin)
        along = vectors.T @ (to - origin) / scale
        return -(jnp.sum(jnp.log(values)) + jnp.sum(along**2 / values)) / 2

    return propose, log_proposal


def path(algorithm: Algorithm, start: jax.Array, steps: int, key: jax.Array) -> jax.Array:
    """The points of a run, the start first: [steps + 1, 2]."""
    points = scan(
        algorithm,
        algorithm.init(Variables(start)),
        None,
        key,
        length=steps,
        keep=lambda state, info: state.variables.params,
    )[1]
    return jnp.concatenate([start[None], points])


def numbers(losses) -> dict[str, float]:
    """Medians over the chains of the current loss, of the lowest so far, of the first <= 10."""
    metrics = {"loss_at_the_start": float(losses[DESCENT][0, 0])}
    for name, values in losses.items():
        best, low = np.minimum.accumulate(values, 1), values <= 10
        first = np.where(low.any(1), low.argmax(1), np.inf)
        for step in CHECKPOINTS:
            metrics[measure(name, "loss", step)] = float(np.median(values[:, step]))
        metrics[measure(name, "lowest", 80)] = float(np.median(best[:, 80]))
        metrics[measure(name, "first_below_10")] = float(np.median(first))
    return metrics


def measure(name: str, *parts) -> str:
    """The name of a metric: `random_walk_loss_80`."""
    return "_".join(map(str, (name, *parts))).replace(",", "").replace(" ", "_")


def drawn_paths(points, losses):
    """A panel for each of four walks: descent, and the chains at three quantiles of the loss."""
    panels = {}
    for name in (name for name in points if name not in (DESCENT, "Hessian")):
        order = np.argsort(losses[name][:, -1])
        shown = {
            f"chain at the {place}": order[len(order) * quarter // 4]
            for quarter, place in enumerate(("lower quartile", "median", "upper quartile"), 1)
        }
        panels[name] = Paths(
            jax.vmap(beale_of_004),
            {label: points[name][chain] for label, chain in shown.items()}
            | {DESCENT: points[DESCENT][0]},
            LANDSCAPES["beale of 004"].minimum,
        )
    steps = points[DESCENT].shape[1] - 1
    title = f"Beale's function of 004: {steps} steps from the ring, by the last loss"
    figure = landscape_paths(panels, WINDOW, title=title)
    for panel, axes in enumerate(figure.axes):
        axes.get_legend().set_visible(panel == 2)  # where the chains leave room for it
    return figure


def drawn_losses(losses):
    """Medians over the chains, step by step."""

    def curves(change):
        return {
            name: (np.arange(values.shape[1]), np.median(change(values), 0))
            for name, values in losses.items()
        }

    panels = {
        "L, median of the chains": curves(np.asarray),
        "lowest L so far, median": curves(lambda values: np.minimum.accumulate(values, 1)),
    }
    figure = learning_curves(panels, logarithmic=list(panels), title="Beale's function of 004")
    left, right = figure.axes
    left.get_legend().remove()
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.set_size_inches(11.0, 3.6)
    return figure


def table(metrics, settings: Settings) -> str:
    """The medians, row by row, and what the book says."""
    titles = {DESCENT: DESCENT} | {name: title for name, (_, title) in walks(settings).items()}
    header = "".join(f"{f'L({step})':>9s}" for step in CHECKPOINTS)
    lines = [f"{'median over the chains':44s}{header}{'best of 80':>12s}{'first <= 10':>13s}"]
    for name, title in titles.items():
        cells = "".join(f"{metrics[measure(name, 'loss', step)]:9.2f}" for step in CHECKPOINTS)
        first = metrics[measure(name, "first_below_10")]
        reached = f"{first:.0f}" if np.isfinite(first) else "never"
        lowest = metrics[measure(name, "lowest", 80)]
        lines.append(f"{title:44s}{cells}{lowest:12.3f}{reached:>13s}")
    ratio = metrics[measure(DESCENT, "loss", 80)] / metrics[measure("random walk", "lowest", 80)]
    faster = metrics[measure(DESCENT, "first_below_10")]
    faster /= metrics[measure("Hessian", "first_below_10")]
    return "\n".join(
        [
            *lines,
            f"L at the start {metrics['loss_at_the_start']:.4f}. Descent over the random walk's "
            f"best at 80: {ratio:.0f} (the book: over 10). Descent's iterations to 10 over those "
            f"with the Hessian: {faster:.1f} (the book: about 3)",
        ]
    )
