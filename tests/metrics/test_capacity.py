import itertools

import numpy as np
import pytest

from jdl.metrics.capacity import linearly_separable, separable_fraction, separable_labelings


@pytest.mark.parametrize("num_points, num_features", [(3, 2), (5, 2), (6, 1), (5, 3)])
def test_cover_counts_the_separable_labelings_of_points_in_general_position(
    num_points, num_features
):
    points = np.random.default_rng(0).normal(size=[num_points, num_features])
    labelings = itertools.product([0, 1], repeat=num_points)
    count = sum(linearly_separable(points, labels) for labels in labelings)
    assert count == separable_labelings(num_points, num_features + 1)


@pytest.mark.parametrize("num_weights", [1, 3, 20])
def test_all_labelings_up_to_a_point_a_weight_and_half_at_two(num_weights):
    assert separable_labelings(num_weights, num_weights) == 2**num_weights
    assert separable_labelings(2 * num_weights, num_weights) == 2 ** (2 * num_weights) // 2


def test_points_on_a_line_are_not_in_general_position():
    line = np.arange(4.0)[:, None] * np.ones([1, 2])
    count = sum(linearly_separable(line, y) for y in itertools.product([0, 1], repeat=4))
    assert count == separable_labelings(4, 2) < separable_labelings(4, 3)


def test_the_experiment_agrees_with_the_count(key):
    fraction = separable_fraction(8, 3, key, num_labelings=100)
    assert separable_labelings(8, 4) == 2**7
    assert abs(fraction - 0.5) < 3 * 0.05  # three standard errors
    assert separable_fraction(4, 3, key, num_labelings=10) == 1
