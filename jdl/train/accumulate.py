"""Estimate on parts of a batch in turn, for batches that do not fit into memory.

    direction = mean over parts of estimator(part)

For an Estimator that is a mean over the batch it is the direction of the whole batch. Batch
statistics are those of the parts, one after another. To accumulate over steps with a batch each,
give `descent` the transform `optax.MultiSteps(optimizer, every_k_schedule=parts)`.
"""

import jax
import jax.numpy as jnp

from jdl.core import Estimator


def accumulate(estimator: Estimator, parts: int) -> Estimator:
    """The Estimator that cuts its batch into parts and averages what it finds on them.

    Args:
        estimator: a mean over the batch.
        parts: into how many; each is estimated by itself, in the memory of one.

    Returns:
        An Estimator; its info is the mean over the parts.

    Raises:
        ValueError: `parts` below 1; from the Estimator, a batch that does not divide.
    """
    if parts < 1:
        raise ValueError(f"a batch is cut into at least one part; got parts={parts}")

    def cut(x):
        if x.shape[:1] == () or x.shape[0] % parts:
            raise ValueError(
                f"a batch is cut into {parts} equal parts; got a leaf of shape {x.shape}. "
                "Choose a batch size that is a multiple"
            )
        return x.reshape(parts, x.shape[0] // parts, *x.shape[1:])

    def estimate(params, buffers, batch, key):
        def one(buffers, inputs):
            direction, buffers, info = estimator(params, buffers, *inputs)
            return buffers, (direction, info)

        pieces = jax.tree.map(cut, batch), jax.random.split(key, parts)
        first = jax.tree.map(lambda x: x[0], pieces)
        _, shapes = jax.eval_shape(one, buffers, first)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.result_type(x, float)), shapes)

        def add(carry, inputs):
            buffers, found = one(carry[0], inputs)
            total = jax.tree.map(lambda a, b: a + b / parts, carry[1], found)
            return (buffers, total), None

        (buffers, (direction, info)), _ = jax.lax.scan(add, (buffers, zeros), pieces)
        return direction, buffers, info

    return estimate
