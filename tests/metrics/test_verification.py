"""Verification by a distance, against scikit-learn's ROC curve and thresholds tried one by one."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_curve

from jdl.metrics.verification import (
    best_threshold,
    cross_validated_accuracy,
    equal_error_rate,
    true_accept_rate,
    verification_accuracy,
)
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
SAME = RNG.random(120) < 0.4
DISTANCES = (RNG.normal(size=120) + np.where(SAME, 1.0, 2.0)).round(1).astype(np.float32)  # ties


def tried(distances, same):
    """(accuracy, threshold) of the best of all thresholds, the smallest of equals."""
    candidates = [-np.inf, *np.unique(distances)]
    accuracies = [np.mean((distances <= t) == same) for t in candidates]
    return max(accuracies), candidates[int(np.argmax(accuracies))]


def test_the_best_threshold_is_that_of_all_that_were_tried():
    found = quick(best_threshold)(DISTANCES, SAME)
    accuracy, distance = tried(DISTANCES, SAME)
    np.testing.assert_allclose(found.accuracy, accuracy, rtol=1e-6)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-6)
    np.testing.assert_allclose(
        verification_accuracy(DISTANCES, SAME, found.distance), accuracy, rtol=1e-6
    )


def test_if_all_pairs_differ_none_is_called_the_same():
    found = best_threshold(jnp.array([0.1, 0.2]), jnp.array([False, False]))
    assert found.distance == -jnp.inf and found.accuracy == 1


def test_the_threshold_of_a_fold_is_chosen_on_the_others():
    found = quick(lambda d, s: cross_validated_accuracy(d, s, 4))(DISTANCES, SAME)
    for fold in range(4):
        mine = np.arange(120) // 30 == fold
        _, threshold = tried(DISTANCES[~mine], SAME[~mine])
        expected = np.mean((DISTANCES[mine] <= threshold) == SAME[mine])
        np.testing.assert_allclose(found[fold], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="divide the 120 pairs"):
        cross_validated_accuracy(DISTANCES, SAME, 7)


def test_the_equal_error_rate_lies_where_the_roc_curve_crosses_the_falling_diagonal():
    false, true, _ = roc_curve(SAME, -DISTANCES, drop_intermediate=False)
    grid = np.linspace(0, 1, 200_001)
    expected = grid[np.argmin(np.abs(1 - np.interp(grid, false, true) - grid))]
    np.testing.assert_allclose(quick(equal_error_rate)(DISTANCES, SAME), expected, atol=1e-4)
    parted = np.array([0.1, 0.2, 0.8, 0.9]), np.array([True, True, False, False])
    assert equal_error_rate(*parted) == 0


def test_the_true_accept_rate_is_the_largest_that_the_false_one_allows():
    false, true, _ = roc_curve(SAME, -DISTANCES, drop_intermediate=False)
    for level in (0.0, 0.1, 0.5):
        found = true_accept_rate(DISTANCES, SAME, level)
        np.testing.assert_allclose(found, true[false <= level].max(), rtol=1e-6)
