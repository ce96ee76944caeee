"""The recipe against both rules in NumPy."""

import jax
import numpy as np
import pytest

from jdl.recipes import mmse as recipe

SETTINGS = recipe.Settings(points=40, passes=200, repeats=5, scales=(0.0, 8.0))


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


def sets():
    keys = jax.random.split(jax.random.split(jax.random.key(0))[0], SETTINGS.repeats)
    return [map(np.asarray, recipe.separable(k, SETTINGS.points, SETTINGS.margin)) for k in keys]


def passes_in_numpy(inputs, targets, change):
    """The first pass after which no point is wrong."""
    extended, weights = np.column_stack([inputs, np.ones(len(inputs))]), np.zeros(3)
    for count in range(1, SETTINGS.passes + 1):
        for x, y in zip(extended, targets, strict=True):
            weights = weights + change(x @ weights, y) * x
        if ((extended @ weights > 0) == (targets > 0)).all():
            return count
    return np.inf


@pytest.mark.parametrize(
    "name, change",
    [
        ("perceptron", lambda f, y: ((y > 0) * 1.0) - (f > 0)),
        ("MMSE", lambda f, y: -0.1 * (np.tanh(f) - y) * (1 - np.tanh(f) ** 2)),  # 004 eq. 1.26
    ],
)
def test_passes_are_those_of_the_rule_in_numpy(name, change, report):
    needed = [passes_in_numpy(inputs, targets, change) for inputs, targets in sets()]
    assert report.metrics[f"{name}_passes"] == np.median(needed)
    assert report.metrics[f"{name}_mean_passes"] == np.mean(needed)


def test_mmse_settles_on_overlapping_classes_and_the_perceptron_does_not(report):
    metrics = report.metrics
    assert metrics["MMSE_swing"] < 3 < 10 < metrics["perceptron_swing"]
    assert metrics["MMSE_wrong_most"] <= metrics["perceptron_wrong_most"]
    assert metrics["perceptron_wrong_least"] > 0, "a line would separate the set"


def test_a_neuron_that_starts_saturated_on_the_wrong_side_stalls(report):
    assert 0 < report.metrics["stall_0"] < 20 and report.metrics["stall_8"] == -1
    assert "8: never" in report.text


def test_each_rule_has_its_lines(report):
    for axes in report.figures["boundaries"].axes:
        assert len(axes.lines) == recipe.LATE
    assert set(report.figures) == {"boundaries", "wrong", "stall"}
