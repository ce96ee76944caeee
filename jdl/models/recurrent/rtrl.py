"""Real-time recurrent learning: the gradient of a recurrent network forward in time.

    S_t = d h_t / d theta = (d h_t / d h_{t-1}) S_{t-1} + (d h_t / d theta at fixed h_{t-1})
    d loss / d theta = sum_t (d l_t / d h_{t-1}) S_{t-1} + (d l_t / d theta at fixed h_{t-1})

With fixed weights it is the gradient of backpropagation through time, and is there at every step,
with nothing kept of the past but S: F P numbers of each sequence, P parameters, and F^2 P products
a step, which for Elman's network is F^4. Backpropagation keeps T states and makes F^2 products.

Source: Robinson, Fallside 1987; Williams, Zipser 1989, eqs. 2.9-2.11; 004 5.6, which names it.

Axes: B sequences, T steps, F numbers of the state, P parameters.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jdl.core import Estimator, Model, Variables


def real_time_recurrent_learning(model: Model, loss: Callable) -> Estimator:
    """The gradient of a network by its sensitivities.

    Args:
        model: with the methods "step": (carry, x [B, D]) -> (y [B, K], carry) and "initial_carry",
            `recurrent_network(readout="each")`.
        loss: (y [1, K], target [1, ...]) -> [1], of a step of a sequence.

    Returns:
        An Estimator of batches (x [B, T, D], targets [B, T, ...]). The direction is the gradient of
        the mean of the losses over steps and sequences, as `jax.grad` has it. Info: `loss`.

    Example:
        >>> import optax
        >>> from jdl.models.recurrent.rnn import recurrent_network
        >>> model = recurrent_network(3, 2, 4, readout="each")
        >>> estimator = real_time_recurrent_learning(
        ...     model, lambda y, target: jnp.mean((y - target) ** 2, -1)
        ... )
    """

    def estimate(params, buffers, batch, key):
        theta, named = ravel_pytree(params)

        def apply(theta, *inputs, **options):
            return model.apply(Variables(named(theta), buffers), *inputs, **options)[0]

        def start(theta):
            return ravel_pytree(apply(theta, 1, method="initial_carry"))[0]

        carry = jax.eval_shape(lambda: apply(theta, 1, method="initial_carry"))
        shaped = ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), carry))[1]

        def step(theta, state, x, target):
            y, after = apply(theta, shaped(state), x[None], method="step")
            return ravel_pytree(after)[0], loss(y, target[None])[0]

        def body(memory, inputs):
            state, sensitivity, total, direction = memory
            (by_theta, by_state), (slope, pull) = jax.jacrev(step, (0, 1))(theta, state, *inputs)
            after, found = step(theta, state, *inputs)
            direction = direction + slope + pull @ sensitivity
            sensitivity = by_theta + by_state @ sensitivity
            return (after, sensitivity, total + found, direction), None

        def of_a_sequence(x, targets):
            first = (start(theta), jax.jacrev(start)(theta), jnp.zeros([]), jnp.zeros_like(theta))
            (_, _, total, direction), _ = jax.lax.scan(body, first, (x, targets))
            return total / len(x), direction / len(x)

        losses, directions = jax.vmap(of_a_sequence)(*batch)
        return named(directions.mean(0)), buffers, {"loss": losses.mean()}

    return estimate
