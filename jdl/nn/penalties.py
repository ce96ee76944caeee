"""Sums over the weights, to be added to a loss.

    squared_l2    sum of w^2
    l1            sum of |w|,  whose gradient at 0 is 0
    elastic_net   l1 strength * sum of |w| + l2 strength * sum of w^2

The strength is the caller's, and so is the half: `0.5 * strength * squared_l2(params)` has the
gradient `strength * w` of 001 and 004 (eq. 2.1); 000 has no half, and the gradient is twice that.
Only weights count unless `where` says otherwise: parameters whose name does not end with `bias` or
`scale`. `jdl.train.penalized` adds a penalty to an Objective.

Source: Hoerl and Kennard 1970; Tibshirani 1996; Zou and Hastie 2005; 001 calls L1 weight decay too,
which only L2 is, and only under plain gradient descent.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Tree

Where = Callable[[str, jax.Array], bool]


def is_weight(path: str, leaf: jax.Array) -> bool:
    """Whether a parameter is a weight, by its name.

    Args:
        path: names joined by dots, `layers.0.kernel`.
        leaf: the parameter.
    """
    return not path.endswith(("bias", "scale"))


def squared_l2(params: Tree, where: Where = is_weight) -> jax.Array:
    """The sum of squares.

    Args:
        params: of a model.
        where: (path, leaf) -> whether it counts.

    Returns:
        [], in float32 at least.

    Raises:
        ValueError: nothing counts.

    Example:
        >>> float(squared_l2({"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([9.0])}))
        5.0
    """
    return sum(jnp.sum(x**2) for x in _chosen(params, where))


def l1(params: Tree, where: Where = is_weight) -> jax.Array:
    """The sum of absolute values.

    Args:
        params: of a model.
        where: (path, leaf) -> whether it counts.

    Returns:
        [], in float32 at least.

    Raises:
        ValueError: nothing counts.
    """
    # The slope of jnp.abs at 0 is 1 in JAX; that of the product is the sign, 0 at 0.
    return sum(jnp.sum(x * jax.lax.stop_gradient(jnp.sign(x))) for x in _chosen(params, where))


def elastic_net(
    params: Tree, l1_strength: float, l2_strength: float, where: Where = is_weight
) -> jax.Array:
    """Both, without a half.

    Args:
        params: of a model.
        l1_strength: of the sum of absolute values.
        l2_strength: of the sum of squares.
        where: (path, leaf) -> whether it counts.

    Returns:
        [].

    Raises:
        ValueError: nothing counts.
    """
    return l1_strength * l1(params, where) + l2_strength * squared_l2(params, where)


def _chosen(params, where):
    paths = {
        jax.tree_util.keystr(path, simple=True, separator="."): x
        for path, x in jax.tree.leaves_with_path(params)
    }
    chosen = [x for path, x in paths.items() if where(path, x)]
    if not chosen:
        raise ValueError(f"a penalty of no parameter: `where` refused all of {sorted(paths)}")
    return [x.astype(jnp.promote_types(x.dtype, jnp.float32)) for x in chosen]
