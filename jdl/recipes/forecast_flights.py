"""A small LSTM forecasts airline passengers: a month ahead, and eighteen.

Data: passengers a month, 1949 to 1960; the first 126 months for training, scaled to [0, 1] by them
alone, the last 18 for the test (004, example 5.7.1). Windows of 12 months, which the book leaves
open. Models: 004's LSTM of 4 cells and a dense layer, both with tanh; the same with a linear
output; a linear model of the window by least squares; the value of a year ago, and that before.
Adam, batches of 32, 1000 epochs. Eighteen months ahead (004, problem 5.2) a model reads its own
forecasts, from the last training window on.

Departs from 004 in the linear output beside its tanh, which says 1 at most: no more than the
training maximum of 505 thousand, that 6 of the 18 test months exceed, one of them by 117. Whatever
it learns, the root mean squared error of a tanh output is 40.5 there at least.

Result, root mean squared errors in thousands, seeds 0 and 1; 004 prints none: a month ahead the
LSTM 80.9 and 64.2 with tanh, 45.8 and 65.3 with a linear output; the linear model 19.3, a year ago
52.8, the month before 55.8. Over eighteen months the LSTM 87.9 and 76.4 with tanh, 55.4 and 109.7
without; the linear model 24.1, the last year again 74.5. Four cells on 114 windows are no match for
13 coefficients: seeds differ more than heads. Of the logarithms the linear model has 18.3 and 23.8,
the LSTM nothing. Cost: 7 s of processor time.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Key, Model
from jdl.data.airline import airline_passengers
from jdl.data.series import min_max_scaler, recursive_forecast, scaled, split_windows, unscaled
from jdl.models.recurrent import recurrent_network
from jdl.nn.lstm_cells import LSTMCell
from jdl.plot.curves import learning_curves
from jdl.recipes.forecasting import least_squares, trained
from jdl.recipes.report import Report

YEAR = 12


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    train_months: int = 126
    """The first ones, for training."""
    window: int = 12
    """Months that a model sees, a year at least."""
    units: int = 4
    """Cells of the LSTM."""
    logarithms: bool = False
    """Forecast the logarithms, whose season does not grow."""
    epochs: int = 1000
    """Passes over the training windows."""
    batch_size: int = 32
    """Windows in a step."""
    learning_rate: float = 1e-3
    """Of Adam."""


def run(settings: Settings, key: Key) -> Report:
    """Trains, forecasts, draws."""
    if settings.window < YEAR:
        raise ValueError(f"a window holds a year of {YEAR} months; got {settings.window}")
    passengers = airline_passengers()
    series = np.log(passengers) if settings.logarithms else passengers
    scaler = min_max_scaler(series[: settings.train_months])
    units = scaled(scaler, series[:, None])
    windows = split_windows(units, settings.train_months, settings.window)
    months = len(windows.test.inputs)

    model = recurrent_network(1, 1, settings.units, cell=LSTMCell)
    networks = {"LSTM, tanh": with_tanh(model), "LSTM, linear": model}
    models, losses = {"linear model": least_squares(windows.train)}, {}
    for (name, network), each in zip(networks.items(), jax.random.split(key), strict=True):
        models[name], losses[name] = trained(network, windows.train, settings, each)

    def in_thousands(x):
        x = unscaled(scaler, np.asarray(x))
        return np.exp(x) if settings.logarithms else x

    first = windows.test.inputs[:1]
    year = np.resize(first[0, -YEAR:, 0], months)
    one = {name: predict(windows.test.inputs)[:, 0] for name, predict in models.items()}
    one |= {
        "a year ago": windows.test.inputs[:, -YEAR, 0],
        "the month before": windows.test.inputs[:, -1, 0],
    }
    many = {
        name: recursive_forecast(predict, first, months)[0, :, 0]
        for name, predict in models.items()
    }
    many |= {"a year ago": year, "the month before": np.resize(first[0, -1:, 0], months)}
    truth = passengers[settings.train_months :]
    one, many = (
        {name: in_thousands(x[:, None])[:, 0] for name, x in found.items()} for found in (one, many)
    )
    errors = {name: (rms(one[name], truth), rms(many[name], truth)) for name in one}
    most = passengers[: settings.train_months].max()
    numbers = {
        "months_above_training": int((truth > most).sum()),
        "rmse_least_of_tanh": rms(np.minimum(truth, most), truth),
    }
    for name, found in errors.items():
        stem = name.lower().replace(", ", "_").replace(" ", "_")
        numbers |= {f"rmse_{stem}_one": found[0], f"rmse_{stem}_many": found[1]}
    epochs = {
        name: (np.arange(1, len(y) + 1) * settings.epochs / len(y), y) for name, y in losses.items()
    }
    mse = "mean squared error, scaled"
    return Report(
        numbers,
        {
            "forecast": forecasts(passengers, settings.train_months, one, many),
            "learning": learning_curves({mse: epochs}, logarithmic=[mse], step="epoch"),
        },
        table(errors, months),
    )


def with_tanh(model):
    """The model with tanh on its outputs."""

    def apply(variables, *inputs, **options):
        outputs, buffers = model.apply(variables, *inputs, **options)
        return jnp.tanh(outputs), buffers

    return Model(model.init, apply)


def rms(found, truth):
    """The root of the mean squared error."""
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def forecasts(passengers, train_months, one, many):
    """Draws the last years and what was forecast."""
    months = np.arange(1, len(passengers) + 1)
    panels = {}
    for title, found in (("a month ahead", one), ("all at once", many)):
        curves = {"passengers": (months[train_months - YEAR :], passengers[train_months - YEAR :])}
        names = ("LSTM, tanh", "LSTM, linear", "linear model")
        curves |= {name: (months[train_months:], found[name]) for name in names}
        panels[f"thousands, {title}"] = curves
    return learning_curves(panels, step="month, 1 is January 1949")


def table(errors, months):
    """A row for each model."""
    rows = [f"{name:18s}{one:12.1f}{many:12.1f}" for name, (one, many) in errors.items()]
    return "\n".join(
        [f"{'RMSE [thousands]':18s}{'one month':>12s}{f'{months} months':>12s}", *rows]
    )
