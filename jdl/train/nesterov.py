"""Nesterov's momentum with its gradient at the point ahead.

    g_t = direction at w_{t-1} + gamma v_{t-1}
    v_t = gamma v_{t-1} - mu_t g_t
    w_t = w_{t-1} + v_t,    v_0 = 0

`optax.sgd(mu, gamma, nesterov=True)` follows the same path in other variables: its params are the
points ahead, w + gamma v, as long as mu is constant.

Source: Nesterov 1983, in the form of Sutskever et al. 2013, eq. 3 and 4; 002. 004 eq. 2.12 prints
w_{k-1} + v_{k-1} for the point ahead, which is w_k, and so plain momentum.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Algorithm, Estimator, Tree, Variables


class NesterovState(NamedTuple):
    """The variables, the velocity (a tree like the params), and the steps made []."""

    variables: Variables
    velocity: Tree
    steps: jax.Array


def nesterov(
    estimator: Estimator, learning_rate: optax.ScalarOrSchedule, momentum: float = 0.9
) -> Algorithm:
    """The Algorithm that follows an Estimator with look-ahead momentum.

    Args:
        estimator: (params, buffers, batch, key) -> (direction, buffers, info); it is asked at the
            point ahead, and its loss is the one there.
        learning_rate: mu, or a schedule of it by the steps made, from 0.
        momentum: gamma in [0, 1).

    Returns:
        An Algorithm.

    Raises:
        ValueError: momentum outside [0, 1).

    Example:
        >>> from jdl.train.descent import gradient
        >>> def square(params, buffers, batch, key):
        ...     return 0.5 * params**2, (buffers, {})
        >>> algorithm = nesterov(gradient(square), 0.5, 0.5)
        >>> state = algorithm.init(Variables(jnp.array(4.0)))
        >>> for _ in range(2):  # v = -2, w = 2; then g = 2 - 1 = 1, v = -1 - 0.5, w = 0.5
        ...     state, _ = algorithm.step(state, None, jax.random.key(0))
        >>> float(state.variables.params)
        0.5
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum lies in [0, 1); got {momentum}")

    def init(variables, key=None):
        velocity = jax.tree.map(jnp.zeros_like, variables.params)
        return NesterovState(variables, velocity, jnp.int32(0))

    def step(state, batch, key):
        (params, buffers), velocity, steps = state
        rate = learning_rate(steps) if callable(learning_rate) else learning_rate
        ahead = jax.tree.map(lambda w, v: w + momentum * v, params, velocity)
        direction, buffers, info = estimator(ahead, buffers, batch, key)
        velocity = jax.tree.map(
            lambda v, g: (momentum * v - rate * g).astype(v.dtype), velocity, direction
        )
        params = optax.apply_updates(params, velocity)
        return NesterovState(Variables(params, buffers), velocity, steps + 1), info

    return Algorithm(init, step)
