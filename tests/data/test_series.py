"""Windows of series, forecasts, and scalers that know the training part alone."""

import jax.numpy as jnp
import numpy as np
import pytest

from jdl.data.series import (
    min_max_scaler,
    recursive_forecast,
    scaled,
    sliding_windows,
    split_windows,
    standard_scaler,
    unscaled,
)

SERIES = np.random.default_rng(0).normal(size=[20, 2]).astype(np.float32)


def test_windows_are_the_hankel_matrix_of_004():
    inputs, targets = sliding_windows(SERIES, 4)  # eqs. 5.26 and 5.27, as rows
    assert inputs.shape == (16, 4, 2)
    assert targets.shape == (16, 1, 2)
    for n in range(16):
        np.testing.assert_array_equal(inputs[n], SERIES[n : n + 4])
        np.testing.assert_array_equal(targets[n, 0], SERIES[n + 4])


def test_several_steps_ahead_and_a_stride():
    inputs, targets = sliding_windows(SERIES[:, 0], 3, 2, stride=5)
    assert len(inputs) == 1 + (20 - 3 - 2) // 5
    np.testing.assert_array_equal(targets[-1, :, 0], SERIES[18:, 0])


def test_training_knows_nothing_of_the_test_part():
    changed = SERIES.copy()
    changed[12:] = 1e6
    for horizon in (1, 3):
        train, test = split_windows(SERIES, 12, 4, horizon)
        other, other_test = split_windows(changed, 12, 4, horizon)
        np.testing.assert_array_equal(train.inputs, other.inputs)
        np.testing.assert_array_equal(train.targets, other.targets)
        assert (other_test.targets == 1e6).all()
        assert len(train.inputs) == 12 - 4 - horizon + 1
        assert len(test.inputs) == 8 - horizon + 1


@pytest.mark.parametrize("fit", [standard_scaler, min_max_scaler])
def test_a_scaler_is_that_of_scikit_learn_and_of_the_training_part(fit):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    name = {standard_scaler: "StandardScaler", min_max_scaler: "MinMaxScaler"}[fit]
    oracle = getattr(preprocessing, name)().fit(SERIES[:12])
    found = scaled(fit(SERIES[:12]), SERIES)
    np.testing.assert_allclose(found, oracle.transform(SERIES), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(unscaled(fit(SERIES[:12]), found), SERIES, rtol=1e-5, atol=1e-6)
    leaking = scaled(fit(SERIES), SERIES)
    assert np.abs(leaking - found).max() > 0.01


def test_a_constant_feature_becomes_the_least_of_the_range():
    assert scaled(min_max_scaler([3.0, 3.0], -1, 1), np.array([[3.0]])).tolist() == [[-1.0]]
    assert scaled(standard_scaler([3.0, 3.0]), np.array([[3.0]])).tolist() == [[0.0]]


def test_recursion_follows_a_linear_recurrence_to_the_end():
    """The three cosines of 004 eq. 5.24 have a linear recurrence: each step is exact."""
    t = np.arange(60)
    series = sum(a * np.cos(np.pi * t / p) for a, p in [(1, 6), (0.5, 3), (0.5, 1.5)])
    inputs, targets = sliding_windows(series, 6)
    weights = np.linalg.lstsq(inputs[..., 0], targets[:, 0, 0])[0]
    found = recursive_forecast(
        lambda x: jnp.einsum("bwd,w->bd", x, jnp.asarray(weights)), inputs[:1], 10
    )
    np.testing.assert_allclose(found[0, :, 0], series[6:16], atol=1e-4)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="take 21 steps"):
        sliding_windows(SERIES, 20)
    with pytest.raises(ValueError, match="train_steps=19"):
        split_windows(SERIES, 19, 3, 2)
    with pytest.raises(ValueError, match="at least 1"):
        sliding_windows(SERIES, 0)
    with pytest.raises(ValueError, match="to be read as the next step"):
        recursive_forecast(lambda x: x, jnp.zeros([1, 2, 1]), 2)
    with pytest.raises(ValueError, match="low < high"):
        min_max_scaler(SERIES, 1, 0)
    with pytest.raises(ValueError, match="a series is"):
        sliding_windows(SERIES[None], 2)
