"""The Transformer's forecasts: what needs no network is the series itself, for each step ahead."""

import jax
import numpy as np
import pytest

from jdl.data import harmonic_series
from jdl.recipes import forecast_transformer

SHORT = forecast_transformer.Settings(
    train_steps=100, test_steps=30, window=12, horizon=3, features=4, blocks=1, units=3, epochs=1
)


@pytest.fixture(scope="module")
def report():
    return forecast_transformer.run(SHORT, jax.random.key(0))


def test_what_needs_no_network_is_the_series_itself(report):
    series = np.asarray(harmonic_series(jax.random.key(0), 130))
    first = np.arange(100, 128)  # the first of three steps ahead
    targets = np.stack([series[first + step] for step in range(3)], 1)
    period = np.stack([series[first + step - 12] for step in range(3)], 1)
    for name, found in {
        "a_period_ago": period,
        "the_value_before": series[first - 1][:, None],
    }.items():
        expected = np.mean((targets - found) ** 2)
        np.testing.assert_allclose(report.metrics[f"mse_{name}"], expected, rtol=1e-4)
    assert "mse_linear" not in report.metrics  # a model of one step


def test_the_picture_has_the_test_part(report):
    line = report.figures["forecast"].axes[0].lines[0]
    series = harmonic_series(jax.random.key(0), 130)
    np.testing.assert_allclose(line.get_ydata(), series[100:128], atol=1e-5)
