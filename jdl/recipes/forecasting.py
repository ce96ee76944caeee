"""What the recipes of forecasts share: training on windows, the linear model, errors by step.

Axes: B windows, W steps of a window, H steps ahead.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.data.series import unscaled
from jdl.train import descent, fit, gradient, regression


def trained(model, windows, settings, key):
    """Trains a network of windows with Adam on the squared error.

    Args:
        model: windows [B, W, 1] -> [B, H].
        windows: Windows of one feature.
        settings: with epochs, batch_size and learning_rate.
        key: of the weights and of the order.

    Returns:
        Its forecasts, a function of windows, and the losses of the steps.
    """
    algorithm = descent(gradient(regression(model)), optax.adam(settings.learning_rate))
    key_init, key_steps = jax.random.split(key)
    batch_size = min(settings.batch_size, len(windows.inputs))
    fitted = fit(
        algorithm,
        algorithm.init(model.init(key_init)),
        (windows.inputs, windows.targets[..., 0]),
        key_steps,
        steps=settings.epochs * (len(windows.inputs) // batch_size),
        batch_size=batch_size,
    )
    variables = fitted.state.variables
    return lambda x: model.apply(variables, x)[0], fitted.history["loss"]


def least_squares(windows):
    """The linear model of one step: windows [B, W, 1] -> [B, 1]."""
    inputs = np.pad(windows.inputs[..., 0], ((0, 0), (0, 1)), constant_values=1.0)
    weights = jnp.asarray(np.linalg.lstsq(inputs, windows.targets[:, 0, 0])[0])
    return lambda x: jnp.einsum("bwd,w->bd", x, weights[:-1]) + weights[-1]


def squared(scaler, found, targets):
    """The mean squared error of each step ahead [H], in the units of the series."""
    errors = unscaled(scaler, np.asarray(found)) - unscaled(scaler, targets)
    return (errors**2).mean((0, 2))
