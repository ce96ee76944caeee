"""Descend a direction with an Optax transform.

    direction = estimator(params, buffers, batch, key)
    params    = params + optimizer(direction)

The direction has the sign of the gradient of a loss: Optax subtracts it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from jdl.core import Algorithm, Estimator, Info, Objective, Variables


class DescentState(NamedTuple):
    """The variables and the optimizer's state."""

    variables: Variables
    optimizer: Any


def gradient(objective: Objective) -> Estimator:
    """The Estimator that differentiates an Objective by reverse mode.

    Args:
        objective: (params, buffers, batch, key) -> (loss, (buffers, info)).

    Returns:
        An Estimator; its info is the objective's, and `loss`.
    """

    def estimate(params, buffers, batch, key):
        (loss, (buffers, info)), direction = jax.value_and_grad(objective, has_aux=True)(
            params, buffers, batch, key
        )
        return direction, buffers, {"loss": loss, **info}

    return estimate


def descent(
    estimator: Estimator,
    optimizer: optax.GradientTransformation,
    *,
    watch: Callable[[Info], jax.Array] | None = None,
) -> Algorithm:
    """The Algorithm that follows an Estimator.

    Args:
        estimator: (params, buffers, batch, key) -> (direction, buffers, info).
        optimizer: an Optax transform, including its learning rate.
        watch: info -> what transforms that ask for a value get, positive and to fall:
            `lambda info: 1 - info["accuracy"]` for `optax.contrib.reduce_on_plateau` of the
            accuracy, as in 004 section 4.4.1. None gives them `info["loss"]`, where there is one.

    Returns:
        An Algorithm; its state holds the variables and the optimizer's state.

    Example:
        >>> import jax.numpy as jnp
        >>> def square(params, buffers, batch, key):
        ...     return jnp.sum((params - batch) ** 2), (buffers, {})
        >>> algorithm = descent(gradient(square), optax.sgd(0.5))
        >>> state = algorithm.init(Variables(jnp.zeros(2)))
        >>> state, info = algorithm.step(state, jnp.array([1.0, 2.0]), jax.random.key(0))
        >>> state.variables.params.tolist(), float(info["loss"])
        ([1.0, 2.0], 5.0)
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def init(variables, key=None):
        return DescentState(variables, optimizer.init(variables.params))

    def step(state, batch, key):
        params, buffers = state.variables
        direction, buffers, info = estimator(params, buffers, batch, key)
        value = {"value": watch(info)} if watch else _loss(info)
        updates, memory = optimizer.update(direction, state.optimizer, params, **value)
        params = optax.apply_updates(params, updates)
        return DescentState(Variables(params, buffers), memory), info

    return Algorithm(init, step)


def _loss(info):
    return {"value": info["loss"]} if "loss" in info else {}
