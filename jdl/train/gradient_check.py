"""Checks of gradients by finite differences, and the gradient by forward mode.

    central difference    df/dv = (f(p + h v) - f(p - h v)) / 2h,   error h^2 f''' / 6

The error of rounding is about eps |f| / h, so in single precision h near 1e-2 serves best, and
errors below 1e-3 are agreement; under `jax.enable_x64()` take h = 1e-5. A kink (ReLU) within h
shows as an error of one direction among many. Source: 001 and 003, in words.

Costs for n params: reverse mode, about three evaluations of f, whatever n; forward mode and one
finite difference per entry, n and 2 n of them. jax.test_util.check_grads checks higher orders.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jdl.core import Estimator, Key, Objective, Tree, Variables
from jdl.train.descent import gradient


def gradient_errors(
    objective: Objective,
    variables: Variables,
    batch: Tree,
    key: Key,
    *,
    estimator: Estimator | None = None,
    directions: int = 10,
    step: float = 1e-2,
) -> jax.Array:
    """Relative errors of a gradient along random directions.

        |g'v - df/dv| / max(|g'v|, |df/dv|),   v uniform on the unit sphere

    Args:
        objective: (params, buffers, batch, key) -> (loss, (buffers, info)).
        variables: where to check.
        batch: of the objective.
        key: one part draws the directions; the other goes to the objective, the same each time.
        estimator: the gradient under test; `gradient(objective)` if None.
        directions: how many.
        step: h, a distance in the space of params.

    Returns:
        [directions].

    Example:
        >>> def square(params, buffers, batch, key):
        ...     return jnp.sum(params**2), (buffers, {})
        >>> errors = gradient_errors(square, Variables(jnp.ones(3)), None, jax.random.key(0))
        >>> bool(errors.max() < 1e-4)
        True
    """
    own, key = jax.random.split(key)
    flat, unravel = ravel_pytree(variables.params)
    direction, _, _ = (estimator or gradient(objective))(*variables, batch, key)
    slopes = ravel_pytree(direction)[0]

    def loss(flat):
        return objective(unravel(flat), variables.buffers, batch, key)[0]

    def error(draw):
        v = draw / jnp.linalg.norm(draw)
        analytic, numeric = slopes @ v, (loss(flat + step * v) - loss(flat - step * v)) / (2 * step)
        size = jnp.maximum(jnp.abs(analytic), jnp.abs(numeric))
        return jnp.abs(analytic - numeric) / jnp.maximum(size, jnp.finfo(flat.dtype).tiny)

    return jax.lax.map(error, jax.random.normal(own, [directions, flat.size], flat.dtype))


def numerical_gradient(
    function: Callable[[Tree], jax.Array], params: Tree, step: float = 1e-2
) -> Tree:
    """The gradient by a central difference for each entry, 2 n evaluations.

    Args:
        function: params -> [].
        params: where.
        step: h.

    Returns:
        A tree like params.
    """

    def slope(function, flat, unit):
        return (function(flat + step * unit) - function(flat - step * unit)) / (2 * step)

    return _by_entry(slope, function, params)


def forward_mode_gradient(function: Callable[[Tree], jax.Array], params: Tree) -> Tree:
    """The gradient by forward mode, one Jacobian-vector product for each entry.

    Exact like `jax.grad`, at n times the cost of the function. It keeps no intermediate values.

    Args:
        function: params -> [].
        params: where.

    Returns:
        A tree like params.
    """

    def slope(function, flat, unit):
        return jax.jvp(function, (flat,), (unit,))[1]

    return _by_entry(slope, function, params)


def _by_entry(slope, function, params):
    """The tree of slopes along the axes, one after the other."""
    flat, unravel = ravel_pytree(params)

    def along(index):
        unit = jnp.zeros_like(flat).at[index].set(1)
        return slope(lambda flat: function(unravel(flat)), flat, unit)

    return unravel(jax.lax.map(along, jnp.arange(flat.size)))
