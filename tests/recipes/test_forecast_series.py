"""Forecasts: the report agrees with the series, and no model has seen the test part."""

import dataclasses

import jax
import numpy as np
import pytest

from jdl.data import harmonic_series
from jdl.recipes import forecast_series

SHORT = forecast_series.Settings(epochs=1, elman_units=4, lstm_units=3, horizon=2)


@pytest.fixture(scope="module")
def report():
    return forecast_series.run(SHORT, jax.random.key(0))


def test_what_needs_no_network_is_the_series_itself(report):
    series = np.asarray(harmonic_series(jax.random.key(0), 200))
    for name, back in {"mse_persistence": 1, "mse_a_period_ago": 12}.items():
        errors = series[150:] - series[150 - back : 200 - back]
        np.testing.assert_allclose(report.metrics[name], np.mean(errors**2), rtol=1e-4)
    inputs = np.stack([series[i : i + 12] for i in range(188)])
    inputs = np.concatenate([inputs, np.ones([188, 1])], 1)
    weights = np.linalg.lstsq(inputs[:138], series[12:150])[0]
    errors = inputs[138:] @ weights - series[150:]
    np.testing.assert_allclose(report.metrics["mse_linear"], np.mean(errors**2), rtol=1e-3)


def test_the_picture_has_the_test_part(report):
    line = report.figures["forecast"].axes[0].lines[0]
    series = harmonic_series(jax.random.key(0), 200)
    np.testing.assert_allclose(line.get_ydata(), series[150:], atol=1e-5)
    assert report.figures["horizon"].axes[0].lines[0].get_xdata().tolist() == [1, 2]


def test_a_window_holds_a_period():
    with pytest.raises(ValueError, match="a period of 12"):
        forecast_series.run(dataclasses.replace(SHORT, window=6), jax.random.key(0))
