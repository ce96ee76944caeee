"""Series cut into windows for forecasting, and scaled by what is known of their past.

    inputs_n  = x[n .. n + W - 1],   targets_n = x[n + W .. n + W + H - 1]      n = 0, 1, ...

    one step      H = 1
    recursive     a model of one step reads its own forecasts: H calls
    direct        a model of H outputs: one call

A scaler is fitted on the training steps alone; `split_windows` takes care that no training target
lies in the test part, while the windows of a test may reach back into the training part, as a
forecast in use does.

Source: 004 eqs. 5.25-5.27, problems 5.1 and 5.2; 000 ch. 9. Departs from 004's matrix of windows,
which has them as columns: they are rows.

Axes: T steps of the series, N windows, W steps of a window, H steps ahead, D features.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.data.splits import Split


class Windows(NamedTuple):
    """Examples of a forecast, a batch of `jdl.train.regression`.

    Attributes:
        inputs: [N, W, D].
        targets: [N, H, D].
    """

    inputs: np.ndarray
    targets: np.ndarray


class Scaler(NamedTuple):
    """An affine map of each feature: (x - shift) / scale.

    Attributes:
        shift: [D].
        scale: [D], not 0.
    """

    shift: np.ndarray
    scale: np.ndarray


def sliding_windows(series, window: int, horizon: int = 1, *, stride: int = 1) -> Windows:
    """All windows of a series, each with what comes after it.

    Args:
        series: [T] or [T, D].
        window: W.
        horizon: H.
        stride: steps from one window to the next.

    Returns:
        Windows, N = 1 + (T - W - H) // stride of them; D is 1 for a series [T].

    Raises:
        ValueError: a series of another rank, sizes below 1, or fewer than W + H steps.

    Example:
        >>> inputs, targets = sliding_windows(np.arange(5), 2)
        >>> inputs[..., 0].tolist(), targets[..., 0].tolist()
        ([[0, 1], [1, 2], [2, 3]], [[2], [3], [4]])
    """
    series = _steps(series)
    if min(window, horizon, stride) < 1:
        raise ValueError(f"expected sizes of at least 1; got {window=}, {horizon=}, {stride=}")
    if len(series) < window + horizon:
        raise ValueError(
            f"a window and its targets take {window + horizon} steps; the series has {len(series)}"
        )
    cut = np.lib.stride_tricks.sliding_window_view(series, window + horizon, axis=0)[::stride]
    cut = cut.swapaxes(1, 2).copy()
    return Windows(cut[:, :window], cut[:, window:])


def split_windows(series, train_steps: int, window: int, horizon: int = 1) -> Split:
    """Windows for training and for testing.

    Args:
        series: [T] or [T, D].
        train_steps: the training windows and their targets lie in the first so many steps.
        window: W.
        horizon: H.

    Returns:
        A Split of Windows. All targets of the test are behind the training steps, the first of
        them right behind.

    Raises:
        ValueError: a part without a window.

    Example:
        >>> train, test = split_windows(np.arange(8), 5, window=2)
        >>> train.targets.ravel().tolist(), test.targets.ravel().tolist()
        ([2, 3, 4], [5, 6, 7])
    """
    series = _steps(series)
    if not window + horizon <= train_steps <= len(series) - horizon:
        raise ValueError(
            f"windows of {window} + {horizon} steps part {len(series)} steps at "
            f"{window + horizon} to {len(series) - horizon}; got {train_steps=}"
        )
    return Split(
        sliding_windows(series[:train_steps], window, horizon),
        sliding_windows(series[train_steps - window :], window, horizon),
    )


def standard_scaler(train) -> Scaler:
    """To mean 0 and variance 1 on the training steps.

    Args:
        train: [T] or [T, D], the training part alone.

    Returns:
        A Scaler; a constant feature keeps its scale.
    """
    train = _steps(train)
    return _scaler(train.mean(0), train.std(0))


def min_max_scaler(train, low: float = 0.0, high: float = 1.0) -> Scaler:
    """To a range on the training steps. Test steps may leave it, where a tanh cannot follow.

    Args:
        train: [T] or [T, D], the training part alone.
        low: what the least becomes.
        high: what the greatest becomes.

    Returns:
        A Scaler; a constant feature keeps its scale.

    Raises:
        ValueError: an empty range.

    Example:
        >>> scaled(min_max_scaler([2.0, 6.0]), np.array([[2.0], [4.0], [8.0]])).ravel().tolist()
        [0.0, 0.5, 1.5]
    """
    if not low < high:
        raise ValueError(f"a range has low < high; got {low} and {high}")
    train = _steps(train)
    least, most = train.min(0), train.max(0)
    scaler = _scaler(least, (most - least) / (high - low))
    return scaler._replace(shift=least - low * scaler.scale)


def scaled(scaler: Scaler, x):
    """x [..., D] in the units of the model: (x - shift) / scale."""
    axes = (None,) * (x.ndim - 1)
    return (x - scaler.shift[axes]) / scaler.scale[axes]


def unscaled(scaler: Scaler, x):
    """x [..., D] back in the units of the series: x scale + shift."""
    axes = (None,) * (x.ndim - 1)
    return x * scaler.scale[axes] + scaler.shift[axes]


def recursive_forecast(
    predict: Callable[[jax.Array], jax.Array], inputs: jax.Array, horizon: int
) -> jax.Array:
    """Forecasts several steps with a model of one, which reads its own forecasts.

    Args:
        predict: windows [B, W, D] -> the next step [B, D].
        inputs: [B, W, D], the last steps that are known.
        horizon: H.

    Returns:
        [B, H, D].

    Raises:
        ValueError: a forecast of another shape than [B, D].

    Example:
        >>> difference = lambda x: 2 * x[:, -1] - x[:, -2]
        >>> recursive_forecast(difference, jnp.array([[[1.0], [3.0]]]), 3).ravel().tolist()
        [5.0, 7.0, 9.0]
    """

    def step(window, _):
        y = predict(window)
        if y.shape != window[:, 0].shape:
            raise ValueError(
                f"a forecast of windows {list(window.shape)} is {list(window[:, 0].shape)}, "
                f"to be read as the next step; got {list(y.shape)}"
            )
        y = y.astype(window.dtype)
        return jnp.concatenate([window[:, 1:], y[:, None]], 1), y

    return jax.lax.scan(step, jnp.asarray(inputs), length=horizon)[1].swapaxes(0, 1)


def _steps(series):
    series = np.asarray(series)
    if series.ndim not in (1, 2):
        raise ValueError(f"a series is [T] or [T, D]; got {list(series.shape)}")
    return series[:, None] if series.ndim == 1 else series


def _scaler(shift, scale):
    return Scaler(shift, np.where(scale == 0, 1, scale))
