"""The recipe's experiment beside Cover's count."""

import jax
import numpy as np
import pytest

from jdl.recipes import capacity as recipe

SETTINGS = recipe.Settings(inputs=(1, 2), loads=(1.0, 2.0, 3.0), labelings=60)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


def test_half_of_the_labelings_of_two_points_a_weight_are_realizable():
    for weights in (1, 2, 5, 21):
        assert recipe.realizable(2 * weights, weights) == 0.5
        assert recipe.realizable(weights, weights) == 1.0 > recipe.realizable(weights + 1, weights)


def test_on_a_line_a_threshold_makes_2n_of_the_2_to_the_n_labelings():
    assert [recipe.realizable(n, 2) for n in (2, 3, 4, 5)] == [1, 6 / 8, 8 / 16, 10 / 32]


def test_the_experiment_agrees_with_the_count(report):
    error = 0.5 / np.sqrt(60)
    assert 0 < report.metrics["largest_deviation"] < 4 * error
    for inputs in (1, 2):
        assert abs(report.metrics[f"at_capacity_{inputs}"] - 0.5) < 4 * error


def test_measured_points_lie_at_the_loads_asked_for(report):
    axes = report.figures["capacity"].axes[0]
    dots = [container.lines[0] for container in axes.containers]
    for line, weights in zip(dots, (2, 3), strict=True):
        np.testing.assert_allclose(line.get_xdata(), [1, 2, 3])
        assert line.get_ydata()[0] == 1, f"{weights} points of {weights} weights are all realizable"
