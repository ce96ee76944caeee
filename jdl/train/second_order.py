"""Newton's direction, and the pseudo-Newton direction of a diagonal Hessian.

    newton          (H + damping I)^-1 g
    pseudo_newton   g_i / (|H_ii| + damping)

Both are Estimators: `descent(newton(objective), optax.sgd(1.0))` is Newton's method. `newton` holds
H [P, P] of P parameters, `pseudo_newton` a diagonal [P].

Source: Becker and LeCun 1988; Bengio, Simard, Frasconi 1994, section IV; 004 ch. 5, which gives no
formula. Departs from Becker and LeCun: they propagate second derivatives backward and leave the
cross terms out, which approximates the diagonal; here it is exact, or an unbiased estimate.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from jdl.core import Estimator, Key, Objective, Tree

Diagonal = Callable[[Callable[[Tree], jax.Array], Tree, Key], Tree]


def newton(objective: Objective, damping: float = 0.0) -> Estimator:
    """Newton's direction by the whole Hessian.

    Args:
        objective: of few parameters, P: it costs P passes, P^2 numbers and a solution in P^3.
        damping: added to the diagonal; above minus the least eigenvalue the direction descends.

    Returns:
        An Estimator; its info is the objective's, and `loss`. Where H + damping I is singular the
        direction is not finite.

    Example:
        >>> from jdl.core import Variables
        >>> from jdl.train.descent import descent
        >>> def bowl(params, buffers, batch, key):
        ...     return (params[0] - params[1]) ** 2 + params[1] ** 2, (buffers, {})
        >>> algorithm = descent(newton(bowl), optax.sgd(1.0))
        >>> state = algorithm.init(Variables(jnp.array([5.0, -7.0])))
        >>> state, _ = algorithm.step(state, None, jax.random.key(0))
        >>> state.variables.params.tolist()
        [0.0, 0.0]
    """
    _check_damping(damping)

    def estimate(params, buffers, batch, key):
        flat, unflat = ravel_pytree(params)

        def loss_of(flat):
            return objective(unflat(flat), buffers, batch, key)

        (loss, (moved, info)), slope = jax.value_and_grad(loss_of, has_aux=True)(flat)
        hessian = jax.hessian(lambda flat: loss_of(flat)[0])(flat)
        direction = jnp.linalg.solve(hessian + damping * jnp.eye(flat.size), slope)
        return unflat(direction), moved, {"loss": loss, **info}

    return estimate


def hessian_diagonal(function: Callable[[Tree], jax.Array], params: Tree, key: Key) -> Tree:
    """The diagonal of a Hessian, exactly, by one product H e_i for each parameter.

    Args:
        function: params -> [].
        params: where.
        key: not used; `hutchinson` has one.

    Returns:
        A tree like the params.
    """
    flat, unflat = ravel_pytree(params)
    slope = jax.grad(lambda flat: function(unflat(flat)))

    def entry(index):
        unit = jnp.zeros_like(flat).at[index].set(1.0)
        return jax.jvp(slope, (flat,), (unit,))[1][index]

    return unflat(jax.lax.map(entry, jnp.arange(flat.size), batch_size=64))


def hutchinson(probes: int) -> Diagonal:
    """An unbiased estimate of the diagonal of a Hessian, by random signs.

        mean over probes of  z * (H z),   z_i = +-1

    Its variance at i is the sum over j != i of H_ij^2, over the number of probes.

    Args:
        probes: products H z to average.

    Returns:
        (function, params, key) -> a tree like the params, for `pseudo_newton`.

    Source: Bekas, Kokiopoulou, Saad 2007, after Hutchinson 1990.
    """
    if probes < 1:
        raise ValueError(f"probes is a number of products, at least 1; got {probes}")

    def diagonal(function, params, key):
        def probe(key):
            signs = optax.tree.random_like(key, params, jax.random.rademacher)
            signs = jax.tree.map(lambda z, w: z.astype(w.dtype), signs, params)
            _, product = jax.jvp(jax.grad(function), (params,), (signs,))
            return jax.tree.map(jnp.multiply, signs, product)

        drawn = jax.vmap(probe)(jax.random.split(key, probes))
        return jax.tree.map(lambda x: x.mean(0), drawn)

    return diagonal


def pseudo_newton(
    objective: Objective, damping: float, diagonal: Diagonal = hessian_diagonal
) -> Estimator:
    """The direction of Newton's method with the absolute diagonal of the Hessian.

        g_i / (|H_ii| + damping)

    The absolute value makes it descend where the loss bends down, away from a saddle point.

    Args:
        objective: (params, buffers, batch, key) -> (loss, (buffers, info)).
        damping: above 0; 1 / damping is the largest rate, where the curvature is 0.
        diagonal: `hessian_diagonal`, one product a parameter, or `hutchinson(probes)`.

    Returns:
        An Estimator; its info is the objective's, and `loss`.

    Raises:
        ValueError: a negative damping.
    """
    _check_damping(damping)

    def estimate(params, buffers, batch, key):
        key, key_probes = jax.random.split(key)
        (loss, (moved, info)), slope = jax.value_and_grad(objective, has_aux=True)(
            params, buffers, batch, key
        )
        curvature = diagonal(
            lambda params: objective(params, buffers, batch, key)[0], params, key_probes
        )
        direction = jax.tree.map(lambda g, h: g / (jnp.abs(h) + damping), slope, curvature)
        return direction, moved, {"loss": loss, **info}

    return estimate


def _check_damping(damping):
    if damping < 0:
        raise ValueError(f"damping is at least 0; got {damping}")
