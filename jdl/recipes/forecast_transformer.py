"""A Transformer forecasts a series with a period, beside recurrent networks and a linear model.

Data: three harmonics of the period 12 with noise of 0.1 (004 eq. 5.24), 2500 steps for training and
500 for the test; 004, example 6.3.2, has ten and five times as many. Scaled to [0, 1] by the
training steps; windows of 24, which the book leaves open. Model: four pre-norm blocks of two heads,
with convolutions for the perceptron, and an LSTM with a unit for each step ahead
(`jdl.models.transformers.time_series`). Beside it an Elman network, an LSTM with a dense head, a
linear model by least squares, the value before and that of a period before. Adam, batches of 64, 10
epochs; the book's figure has 100. The noise of a step has a mean square of 0.01.

Result, mean squared errors of the 500 test steps, seeds 0 and 1; 004 prints none: the Transformer
0.0126 and 0.0155, the Elman network 0.0164 and 0.0169, the LSTM, which has not learned all it can
after 380 mini-batches, 0.089 and 0.101; the linear model 0.0132, a period ago 0.0213, the value
before 0.64. The cosines follow a linear recurrence, so that there is little for a Transformer to
find beyond it. Cost: 24 s of processor time.
"""

from dataclasses import dataclass

import jax
import numpy as np

from jdl.core import Key
from jdl.data import harmonic_series
from jdl.data.series import min_max_scaler, scaled, split_windows, unscaled
from jdl.models.recurrent import recurrent_network
from jdl.models.transformers.time_series import time_series_transformer
from jdl.nn.elman import ElmanCell
from jdl.nn.lstm_cells import LSTMCell
from jdl.plot.curves import learning_curves
from jdl.recipes.forecasting import least_squares, squared, trained
from jdl.recipes.report import Report

PERIOD = 12


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    train_steps: int = 2500
    """Of the series, for training; 25,000 in the book."""
    test_steps: int = 500
    """Behind them; 2,500 in the book."""
    noise: float = 0.1
    """Standard deviation of the noise."""
    window: int = 24
    """Steps that a model sees, a period at least."""
    horizon: int = 1
    """Steps that the networks forecast at once."""
    features: int = 32
    """Of the Transformer."""
    blocks: int = 4
    """Of two heads."""
    units: int = 50
    """Of the recurrent networks."""
    epochs: int = 10
    """Passes over the training windows; 100 in the book."""
    batch_size: int = 64
    """Windows in a step."""
    learning_rate: float = 1e-3
    """Of Adam."""
    data_seed: int = 0
    """Of the series; the recipe's key leaves it alone."""


def run(settings: Settings, key: Key) -> Report:
    """Makes the series, trains, forecasts, draws."""
    if settings.window < PERIOD:
        raise ValueError(f"a window holds a period of {PERIOD} steps; got {settings.window}")
    length = settings.train_steps + settings.test_steps
    series = harmonic_series(jax.random.key(settings.data_seed), length, settings.noise)
    scaler = min_max_scaler(series[: settings.train_steps])
    units = scaled(scaler, np.asarray(series)[:, None])
    train, test = split_windows(units, settings.train_steps, settings.window, settings.horizon)

    horizon, sizes = settings.horizon, (settings.features, settings.blocks, 2)
    networks = {
        "Transformer": time_series_transformer(1, horizon, *sizes),
        "Elman": recurrent_network(1, horizon, settings.units, cell=ElmanCell),
        "LSTM": recurrent_network(1, horizon, settings.units, cell=LSTMCell),
    }
    forecasts, losses = {}, {}
    for (name, network), each in zip(networks.items(), jax.random.split(key, 3), strict=True):
        predict, losses[name] = trained(network, train, settings, each)
        forecasts[name] = np.asarray(jax.jit(predict)(test.inputs))
    if horizon == 1:
        forecasts["linear"] = np.asarray(least_squares(train)(test.inputs))
    back = np.arange(horizon) % PERIOD - PERIOD
    forecasts["a period ago"] = test.inputs[:, back, 0]
    forecasts["the value before"] = test.inputs[:, [-1] * horizon, 0]

    errors = {
        name: squared(scaler, found[..., None], test.targets) for name, found in forecasts.items()
    }
    shown = np.arange(min(48, len(test.targets)))
    first = {"series": test.targets[:, 0, 0]} | {
        name: forecasts[name][:, 0] for name in ("Transformer", "LSTM")
    }
    curves = {
        name: (settings.train_steps + shown, unscaled(scaler, x[shown, None])[:, 0])
        for name, x in first.items()
    }
    epochs = {
        name: (np.arange(1, 1 + len(y)) * settings.epochs / len(y), y) for name, y in losses.items()
    }
    mse = "mean squared error, scaled"
    figures = {
        "forecast": learning_curves({"x, one step ahead": curves}, step="t, test part"),
        "learning": learning_curves({mse: epochs}, logarithmic=[mse], step="epoch"),
    }
    numbers = {f"mse_{n.lower().replace(' ', '_')}": float(x.mean()) for n, x in errors.items()}
    return Report(numbers, figures, table(errors))


def table(errors):
    """A row for each model: the mean over the steps ahead, and the last of them."""
    rows = [f"{name:18s}{x.mean():10.4f}{x[-1]:12.4f}" for name, x in errors.items()]
    return "\n".join([f"{'squared error':18s}{'mean':>10s}{'last step':>12s}", *rows])
