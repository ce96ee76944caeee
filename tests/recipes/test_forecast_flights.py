"""The passengers' forecasts: what needs no network is the series itself, and tanh has a limit."""

import dataclasses

import jax
import numpy as np
import pytest

from jdl.data.airline import airline_passengers
from jdl.recipes import forecast_flights

SHORT = forecast_flights.Settings(epochs=1, units=2)


@pytest.fixture(scope="module")
def report():
    return forecast_flights.run(SHORT, jax.random.key(0))


def test_what_needs_no_network_is_the_series_itself(report):
    series = airline_passengers()
    for name, back in {"the_month_before": 1, "a_year_ago": 12}.items():
        errors = series[126:] - series[126 - back : 144 - back]
        found = report.metrics[f"rmse_{name}_one"]
        np.testing.assert_allclose(found, np.sqrt(np.mean(errors**2)), rtol=1e-4)
    errors = series[126:] - np.resize(series[114:126], 18)
    expected = np.sqrt(np.mean(errors**2))
    np.testing.assert_allclose(report.metrics["rmse_a_year_ago_many"], expected, rtol=1e-4)


def test_a_tanh_output_stays_below_the_training_maximum(report):
    assert report.metrics["months_above_training"] == 6
    assert report.metrics["rmse_lstm_tanh_one"] >= report.metrics["rmse_least_of_tanh"] > 40
    forecast = report.figures["forecast"].axes[0].get_lines()[1]
    assert forecast.get_label() == "LSTM, tanh" and forecast.get_ydata().max() <= 505.01


def test_a_window_holds_a_year():
    with pytest.raises(ValueError, match="a year of 12"):
        forecast_flights.run(dataclasses.replace(SHORT, window=6), jax.random.key(0))
