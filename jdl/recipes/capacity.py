"""The capacity of a perceptron: two patterns a weight, by Cover's count and by experiment.

Random points get random labels; a linear program says whether a hyperplane has them right. 001
names the limit and asks for the experiment, and gives no number. Cover's theorem gives it: of N
points in general position and d weights, the bias among them, all labelings are realizable while
N <= d, exactly half at N = 2 d, and as d grows the fall at two becomes a step.

At N = 2 d, seeds 0 and 1, 100 labelings each (standard error 0.05): 0.54 and 0.54 with 2 inputs,
0.44 and 0.45 with 5, 0.45 and 0.56 with 20; exactly 0.5. At N = 1.5 d the exact fraction is 0.875
(4 of 3 weights), 0.855 (9 of 6) and 0.965 (32 of 21). Cost: 12 s of two busy cores.
"""

from dataclasses import dataclass

import jax
import numpy as np

from jdl.metrics.capacity import separable_fraction, separable_labelings
from jdl.plot.neurons import capacity_curves
from jdl.recipes.report import Report


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    inputs: tuple[int, ...] = (2, 5, 20)
    """Inputs of the perceptrons; each has a bias besides."""
    loads: tuple[float, ...] = (1.0, 1.5, 2.0, 2.5, 3.0)
    """Patterns a weight to measure at."""
    labelings: int = 100
    """Random labelings of random points for each."""
    largest_load: float = 4.0
    """Patterns a weight to draw the exact curve up to."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Measures the fractions, counts them exactly, draws."""
    exact, measured, metrics, deviations = {}, {}, {}, []
    for inputs, key_inputs in zip(
        settings.inputs, jax.random.split(key, len(settings.inputs)), strict=True
    ):
        weights = inputs + 1
        name = f"{inputs} inputs"
        drawn = np.arange(1, round(settings.largest_load * weights) + 1)
        exact[name] = drawn / weights, np.array([realizable(int(n), weights) for n in drawn])

        counts = np.unique([round(load * weights) for load in settings.loads])
        keys = jax.random.split(key_inputs, len(counts))
        found = np.array(
            [
                separable_fraction(int(n), inputs, k, num_labelings=settings.labelings)
                for n, k in zip(counts, keys, strict=True)
            ]
        )
        truth = np.array([realizable(int(n), weights) for n in counts])
        errors = np.sqrt(truth * (1 - truth) / settings.labelings)
        measured[name] = counts / weights, found, errors
        deviations += list(np.abs(found - truth))
        metrics |= {
            f"at_capacity_{inputs}": float(found[counts == 2 * weights].mean()),
            f"exact_at_capacity_{inputs}": realizable(2 * weights, weights),
            f"exact_at_1.5_{inputs}": realizable(round(1.5 * weights), weights),
        }
    metrics["largest_deviation"] = float(max(deviations))
    title = "Random labelings that a perceptron can realize"
    figure = capacity_curves(exact, measured, title=title)
    return Report(metrics, {"capacity": figure}, table(metrics, settings))


def realizable(num_points: int, num_weights: int) -> float:
    """The fraction of all labelings, by Cover's count."""
    return separable_labelings(num_points, num_weights) / 2**num_points


def table(metrics: dict[str, float], settings: Settings) -> str:
    """The metrics as text."""
    rows = [
        f"{inputs:3} inputs: {metrics[f'at_capacity_{inputs}']:.2f} of labelings of "
        f"{2 * (inputs + 1)} points realized, exactly "
        f"{metrics[f'exact_at_capacity_{inputs}']:.2f}; of {round(1.5 * (inputs + 1))} points "
        f"{metrics[f'exact_at_1.5_{inputs}']:.3f}"
        for inputs in settings.inputs
    ]
    deviation = f"largest deviation from the exact fraction: {metrics['largest_deviation']:.2f}"
    return "\n".join([*rows, deviation, "The book names the limit and gives no number."])
