"""Objectives with a penalty or with noise at the input, and weights held within a bound.

penalized      loss + penalty(params)
noisy_inputs   loss at (noise(inputs), targets)
constrained    params = project(params + update)
max_norm       w_j = w_j min(1, bound / |w_j|),   w_j the weights into unit j
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jdl.core import Key, Objective, Tree
from jdl.nn.penalties import Where, is_weight


def penalized(objective: Objective, penalty: Callable[[Tree], jax.Array]) -> Objective:
    """The Objective with a penalty of its params.

    Args:
        objective: any.
        penalty: params -> [], `lambda params: 0.5e-4 * squared_l2(params)`.

    Returns:
        An Objective. Its info has `penalty` too; its loss is the sum.

    Source: 000 ch. 6; 001; 004 eq. 2.1 and 2.3.
    """

    def with_penalty(params, buffers, batch, key):
        loss, (buffers, info) = objective(params, buffers, batch, key)
        added = penalty(params)
        return loss + added, (buffers, {**info, "penalty": added})

    return with_penalty


def noisy_inputs(objective: Objective, noise: Callable[[jax.Array, Key], jax.Array]) -> Objective:
    """The Objective whose inputs are disturbed anew at each step.

    Args:
        objective: of batches (inputs, targets).
        noise: (inputs, key) -> inputs, `lambda x, key: gaussian_noise(x, key, 0.1)`.

    Returns:
        An Objective of the same batches.

    Source: Bishop 1995, by whom small Gaussian noise is a penalty of the slope; 001; 003.
    """

    def disturbed(params, buffers, batch, key):
        inputs, targets = batch
        key_noise, key = jax.random.split(key)
        return objective(params, buffers, (noise(inputs, key_noise), targets), key)

    return disturbed


def constrained(project: Callable[[Tree], Tree]) -> optax.GradientTransformation:
    """The last of a chain of transforms: it puts the params back where they are allowed.

        params = project(params + update)

    Args:
        project: params -> params; `lambda p: jax.tree.map(lambda w: w.clip(-0.01, 0.01), p)` is
            the weight clipping of Wasserstein networks.

    Returns:
        An Optax transform, `optax.chain(optax.sgd(0.1), constrained(project))`.

    Raises:
        ValueError: from `update`, without params.
    """

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("constrained projects params + update; call update(..., params)")
        allowed = project(optax.apply_updates(params, updates))
        return jax.tree.map(jnp.subtract, allowed, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def max_norm(bound: float, where: Where = is_weight) -> optax.GradientTransformation:
    """Holds the weights into each unit within a ball.

        w_j = w_j min(1, bound / |w_j|_2)

    A unit is an entry of the last axis: a column of a kernel [inputs, outputs], a filter of a
    kernel [rows, columns, inputs, outputs]. For other layouts write `constrained(project)`.

    Args:
        bound: greatest norm; Srivastava et al. have 3 to 4.
        where: (path, leaf) -> whether it is held; vectors never are.

    Returns:
        An Optax transform, the last of a chain.

    Raises:
        ValueError: a bound of 0 or less.

    Source: Srebro and Shraibman 2005; Srivastava et al. 2014, section 5.1; 004 ch. 2, in words.
    """
    if bound <= 0:
        raise ValueError(f"the bound of a norm is above 0; got {bound}")

    def project(path, w):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if w.ndim < 2 or not where(name, w):
            return w
        squares = jnp.sum(w**2, tuple(range(w.ndim - 1)), keepdims=True)
        return w * jnp.where(squares > bound**2, bound * jax.lax.rsqrt(squares), 1)

    return constrained(lambda params: jax.tree.map_with_path(project, params))
