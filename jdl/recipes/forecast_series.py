"""Recurrent networks forecast a series with a period: one step ahead, and ten.

Data: 200 steps of three harmonics of the period 12 with noise of 0.1 (004 eq. 5.24), 150 of them
for training, scaled to [0, 1] by the training steps alone. Windows of 12 steps, which the book
leaves open. Models: 004's Elman network of 100 units (example 5.3.1), 000's LSTM of 50, and a
linear one by least squares; Adam, batches of 32, 500 epochs. Ten steps ahead (004, problem 5.1) a
model of one step reads its own forecasts (recursive), or has ten outputs (direct). For comparison:
the value before (persistence), and that of a period before. The noise of a step, which no forecast
can know, has a mean square of 0.01.

Result, mean squared errors of the 50 test steps, seeds 0 and 1; 004 prints none: one step ahead the
Elman network 0.019 and 0.020, the LSTM, which learns slower, 0.025 and 0.029, the linear model
0.018, a period ago 0.023, persistence 0.64. At the tenth step the Elman network 0.016 and 0.019,
the LSTM recursive 0.024 and 0.030, direct 0.020 and 0.015, the linear model 0.015: cosines follow a
linear recurrence, so there is nothing here for a network to find beyond it. Cost: 15 s of processor
time.
"""

from dataclasses import dataclass

import jax
import numpy as np

from jdl.core import Key
from jdl.data import harmonic_series
from jdl.data.series import (
    min_max_scaler,
    recursive_forecast,
    scaled,
    split_windows,
    unscaled,
)
from jdl.models.recurrent import recurrent_network
from jdl.nn.elman import ElmanCell
from jdl.nn.lstm_cells import LSTMCell
from jdl.plot.curves import learning_curves
from jdl.recipes.forecasting import least_squares, squared, trained
from jdl.recipes.report import Report

PERIOD = 12


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    length: int = 200
    """Steps of the series."""
    train_steps: int = 150
    """The first ones, for training."""
    noise: float = 0.1
    """Standard deviation of the noise."""
    window: int = 12
    """Steps that a model sees, a period at least."""
    horizon: int = 10
    """Steps ahead."""
    elman_units: int = 100
    """Of the Elman network."""
    lstm_units: int = 50
    """Of the LSTM."""
    epochs: int = 500
    """Passes over the training windows."""
    batch_size: int = 32
    """Windows in a step."""
    learning_rate: float = 1e-3
    """Of Adam."""
    data_seed: int = 0
    """Of the series; the recipe's key leaves it alone."""


def run(settings: Settings, key: Key) -> Report:
    """Makes the series, trains, forecasts, draws."""
    if settings.window < PERIOD:
        raise ValueError(f"a window holds a period of {PERIOD} steps; got {settings.window}")
    data_key = jax.random.key(settings.data_seed)
    series = np.asarray(harmonic_series(data_key, settings.length, settings.noise))
    scaler = min_max_scaler(series[: settings.train_steps])
    units = scaled(scaler, series[:, None])
    one = split_windows(units, settings.train_steps, settings.window)
    many = split_windows(units, settings.train_steps, settings.window, settings.horizon)

    keys = jax.random.split(key, 3)
    model = recurrent_network(1, 1, settings.elman_units, cell=ElmanCell)
    elman, elman_loss = trained(model, one.train, settings, keys[0])
    model = recurrent_network(1, 1, settings.lstm_units, cell=LSTMCell)
    lstm, lstm_loss = trained(model, one.train, settings, keys[1])
    model = recurrent_network(1, settings.horizon, settings.lstm_units, cell=LSTMCell)
    direct, _ = trained(model, many.train, settings, keys[2])
    models = {"Elman": elman, "LSTM": lstm, "linear": least_squares(one.train)}

    ahead = {
        name: np.asarray(recursive_forecast(predict, one.test.inputs, settings.horizon))
        for name, predict in models.items()
    }
    forecasts = {name: found[:, :1] for name, found in ahead.items()}
    forecasts["persistence"] = one.test.inputs[:, -1:]
    forecasts["a period ago"] = one.test.inputs[:, -PERIOD, None]
    errors = {
        name: float(squared(scaler, found, one.test.targets)[0])
        for name, found in forecasts.items()
    }
    known = len(many.test.targets)  # windows whose last step ahead is still in the series
    by_step = {
        f"{name}, recursive": squared(scaler, found[:known], many.test.targets)
        for name, found in ahead.items()
    }
    found = direct(many.test.inputs)[..., None]
    by_step["LSTM, direct"] = squared(scaler, found, many.test.targets)

    steps = np.arange(settings.train_steps, settings.length)
    shown = {"series": (steps, unscaled(scaler, one.test.targets)[:, 0, 0])}
    shown |= {
        name: (steps, unscaled(scaler, forecasts[name])[:, 0, 0]) for name in ("Elman", "LSTM")
    }
    horizons = np.arange(1, settings.horizon + 1)
    curves = {name: (horizons, found) for name, found in by_step.items()}
    epochs = np.arange(1, len(lstm_loss) + 1) * settings.batch_size / len(one.train.inputs)
    losses = {"Elman": (epochs, elman_loss), "LSTM": (epochs, lstm_loss)}
    mse = "mean squared error"
    return Report(
        {f"mse_{name.lower().replace(' ', '_')}": error for name, error in errors.items()}
        | {f"mse_{n.lower().replace(', ', '_')}_last": float(y[-1]) for n, y in by_step.items()},
        {
            "forecast": learning_curves({"x": shown}, step="t, test part"),
            "horizon": learning_curves({mse: curves}, step="steps ahead"),
            "learning": learning_curves({mse: losses}, logarithmic=[mse], step="epoch"),
        },
        "\n".join(f"{name:14s} one step ahead  {error:.4f}" for name, error in errors.items())
        + "".join(f"\n{name:18s} at step {len(y)}  {y[-1]:.4f}" for name, y in by_step.items()),
    )
