"""Optimizers that search along their direction: L-BFGS and conjugate gradients.

    d_t = direction of the optimizer from the gradients so far
    w_t = w_{t-1} - alpha_t d_t,   alpha_t by the strong Wolfe conditions on the same batch and key

    L-BFGS               line_searched(objective, optax.lbfgs())
    conjugate gradients  line_searched(objective, polak_ribiere()) or fletcher_reeves()
    linear systems       jax.scipy.sparse.linalg.cg

Full batches suit them, and make the curvature they gather that of one function. With mini-batches
the search is still right on each, and the pairs of L-BFGS mix two batches (Byrd et al. 2016 draw
them from one).

Source: Liu and Nocedal 1989; Fletcher and Reeves 1964; Polak and Ribiere 1969; Nocedal and Wright
2006, algorithms 3.5, 5.4 and 7.5, and eq. 5.41, 5.44 and 5.45; named in 001 and 004 ch. 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Algorithm, Objective, Tree, Variables
from jdl.train.descent import DescentState


def line_searched(objective: Objective, optimizer: optax.GradientTransformation) -> Algorithm:
    """The Algorithm of an optimizer that evaluates the objective along its direction.

    Args:
        objective: the search calls it with the batch and the key of the step, so its noise is the
            same at each point that is tried.
        optimizer: an Optax transform that asks for `value`, `grad` and `value_fn`: `optax.lbfgs()`,
            `polak_ribiere()`, or any chain that ends with `optax.scale_by_zoom_linesearch`.

    Returns:
        An Algorithm. Info: that of the objective, and `loss`, at the beginning of the step.

    Example:
        >>> def square(params, buffers, batch, key):
        ...     return jnp.sum((params - 3.0) ** 2), (buffers, {})
        >>> algorithm = line_searched(square, optax.lbfgs())
        >>> state = algorithm.init(Variables(jnp.zeros(2)))
        >>> for _ in range(3):
        ...     state, _ = algorithm.step(state, None, jax.random.key(0))
        >>> state.variables.params.round(4).tolist()
        [3.0, 3.0]
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def init(variables, key=None):
        # Optax's search begins with weakly typed numbers, which would trace the step twice.
        memory = jax.tree.map(
            lambda x: jax.lax.convert_element_type(x, jnp.result_type(x)),
            optimizer.init(variables.params),
        )
        return DescentState(variables, memory)

    def step(state, batch, key):
        params, buffers = state.variables
        (loss, (moved, info)), slope = jax.value_and_grad(objective, has_aux=True)(
            params, buffers, batch, key
        )
        updates, memory = optimizer.update(
            slope,
            state.optimizer,
            params,
            value=loss,
            grad=slope,
            value_fn=lambda params: objective(params, buffers, batch, key)[0],
        )
        params = optax.apply_updates(params, updates)
        return DescentState(Variables(params, moved), memory), {"loss": loss, **info}

    return Algorithm(init, step)


class ConjugateState(NamedTuple):
    """The last gradient and the last direction, trees like the params."""

    gradient: Tree
    direction: Tree


def scale_by_polak_ribiere() -> optax.GradientTransformation:
    """Directions of Polak and Ribiere, with their beta cut at zero.

        beta_t = max(0, g_t . (g_t - g_{t-1}) / |g_{t-1}|^2)
        d_t    = g_t + beta_t d_{t-1},   d_0 = 0

    A direction that does not descend is replaced by the gradient.
    """
    return _conjugate(lambda g, old: optax.tree.vdot(g, optax.tree.sub(g, old)))


def scale_by_fletcher_reeves() -> optax.GradientTransformation:
    """Directions of Fletcher and Reeves.

        d_t = g_t + beta_t d_{t-1},   beta_t = |g_t|^2 / |g_{t-1}|^2,   d_0 = 0

    A direction that does not descend is replaced by the gradient.
    """
    return _conjugate(lambda g, old: optax.tree.vdot(g, g))


def polak_ribiere(max_trials: int = 20) -> optax.GradientTransformationExtraArgs:
    """Conjugate gradients by `scale_by_polak_ribiere`, for `line_searched`.

    Args:
        max_trials: most points that the search tries in one step.
    """
    return _searching(scale_by_polak_ribiere(), max_trials)


def fletcher_reeves(max_trials: int = 20) -> optax.GradientTransformationExtraArgs:
    """Conjugate gradients by `scale_by_fletcher_reeves`, for `line_searched`.

    Args:
        max_trials: most points that the search tries in one step.
    """
    return _searching(scale_by_fletcher_reeves(), max_trials)


def _searching(directions, max_trials):
    # Nocedal and Wright 2006, section 3.1: curvature 0.1 for conjugate gradients.
    search = optax.scale_by_zoom_linesearch(max_trials, curv_rtol=0.1, initial_guess_strategy="one")
    return optax.chain(directions, optax.scale(-1.0), search)


def _conjugate(numerator):
    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return ConjugateState(zeros, zeros)

    def update(gradient, state, params=None):
        square = optax.tree.vdot(state.gradient, state.gradient)
        ratio = numerator(gradient, state.gradient) / jnp.where(square > 0, square, 1.0)
        beta = jnp.where(square > 0, jnp.maximum(ratio, 0.0), 0.0)
        direction = jax.tree.map(lambda g, d: g + beta * d, gradient, state.direction)
        descends = optax.tree.vdot(gradient, direction) > 0
        direction = jax.tree.map(lambda d, g: jnp.where(descends, d, g), direction, gradient)
        return direction, ConjugateState(gradient, direction)

    return optax.GradientTransformation(init, update)
