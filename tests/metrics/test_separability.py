"""The widest separator against a search, a general optimizer and cases done by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize

from jdl.metrics.separability import widest_separator


def cloud(seed, points=30, dimensions=2):
    generator = np.random.default_rng(seed)
    inputs = 3 * generator.normal(size=[points, dimensions])
    truth = generator.normal(size=dimensions + 1)
    values = inputs @ truth[:-1] + truth[-1]
    return inputs, np.where(values > 0, 1, -1)


def margins(separators, inputs, labels):
    signed = labels[:, None] * np.column_stack([inputs, np.ones(len(inputs))])
    return (separators @ signed.T).min(-1) / np.linalg.norm(separators, axis=-1)


def test_two_points_by_hand():
    found = widest_separator(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1, 0]))
    np.testing.assert_allclose([*found.weights, found.bias, found.margin], [1, 0, 0, 1], atol=1e-12)


def test_the_bias_counts_in_the_norm():
    found = widest_separator(np.array([[3.0], [1.0]]), np.array([1, 0]))
    # Hull of (3, 1) and (-1, -1): nearest point of the segment to the origin has norm 1/sqrt(5).
    np.testing.assert_allclose(found.margin, 1 / np.sqrt(5), rtol=1e-12)
    np.testing.assert_allclose([*found.weights, found.bias], [1 / 5**0.5, -2 / 5**0.5], rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_no_random_hyperplane_is_better_and_the_best_is_near(seed):
    inputs, labels = cloud(seed)
    found = widest_separator(inputs, labels)
    separators = np.random.default_rng(9).normal(size=[200_000, 3])
    best = np.array([*found.weights, found.bias])
    near = best + 1e-3 * separators[:1000]
    assert max(margins(separators, inputs, labels).max(), margins(near, inputs, labels).max()) <= (
        found.margin + 1e-12
    )
    np.testing.assert_allclose(margins(best, inputs, labels), found.margin, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(best), 1.0, rtol=1e-12)


@pytest.mark.parametrize("dimensions", [1, 5])
def test_it_equals_a_quadratic_programme(dimensions):
    inputs, labels = cloud(3, 20, dimensions)
    signed = labels[:, None] * np.column_stack([inputs, np.ones(20)])
    found = widest_separator(inputs, labels)
    solved = minimize(
        lambda v: v @ v / 2,
        np.array([*found.weights, found.bias]) * 3 / found.margin,
        jac=lambda v: v,
        constraints={"type": "ineq", "fun": lambda v: signed @ v - 1, "jac": lambda v: signed},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    np.testing.assert_allclose(found.margin, 1 / np.linalg.norm(solved.x), rtol=1e-5)


def test_inputs_in_another_unit_are_separated_all_the_same():
    inputs, labels = cloud(1)
    assert widest_separator(1e4 * inputs, labels).margin > 0
    assert widest_separator(1e-2 * inputs, labels).margin > 0


def test_a_point_of_both_classes_cannot_be_separated():
    inputs = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 2.0]])
    found = widest_separator(inputs, np.array([1, -1, 1]))
    assert found.margin == 0 and found.bias == 0 and not found.weights.any()


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"inputs \[N, D\]"):
        widest_separator(np.zeros(3), np.zeros(3))
