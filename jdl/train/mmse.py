"""The single neuron of least mean squared error, with any differentiable activation.

    o = activation(w'x + b),   e = o - y
    w = w - rate * e activation'(w'x + b) x,   b = b - rate * e activation'(w'x + b)

With the identity it is the rule of Widrow and Hoff. Unlike the perceptron's rule it settles on
classes that overlap too, but a saturated neuron stalls: where o is near the wrong end of its range
activation' is near 0, and so is the step, although e is as large as it can be.
"""

from collections.abc import Callable

import jax.numpy as jnp

from jdl.core import Estimator, Model, Variables
from jdl.train.descent import gradient


def mmse(model: Model, activation: Callable) -> Estimator:
    """The gradient of the mean over the batch of e^2 / 2.

    Batches of one are 004's per-sample form, eqs. 1.26 and 1.27; its batch form, eqs. 1.24 and
    1.25, sums over the batch, so its rate is this one's divided by B. The factor 2 of the
    derivative, which 004 leaves out of the rate, is not in e^2 / 2.

    Args:
        model: inputs [B, D] -> z [B, 1]; a neuron is `mlp([D, 1])`.
        activation: elementwise: `jnp.tanh` with targets -1 and 1, `jax.nn.sigmoid` with 0 and 1,
            `jax.nn.identity`.

    Returns:
        An Estimator of batches (inputs [B, D], targets [B]). Info: `loss`, that mean.

    Raises:
        ValueError: from the estimator, outputs that are not [B, 1].
    """

    def objective(params, buffers, batch, key):
        inputs, targets = batch
        z, buffers = model.apply(Variables(params, buffers), inputs, key=key, train=True)
        if z.shape != (*targets.shape, 1):
            raise ValueError(
                f"a single neuron takes targets [B] and has outputs [B, 1]; got targets "
                f"{list(targets.shape)} and outputs {list(z.shape)}"
            )
        errors = activation(z[..., 0]) - targets
        return jnp.mean(errors**2) / 2, (buffers, {})

    return gradient(objective)
