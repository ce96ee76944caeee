"""Gradient checkpointing: forward values are computed again in the backward pass, not kept.

    kept by a chain of T steps    all of them: T     segments of k steps: T / k + k

The least is 2 sqrt(T), at k = sqrt(T), for one more forward pass; gradients are the same. Source:
Chen, Xu, Zhang, Guestrin 2016, section 4; 003 in words. The transform is jax.checkpoint; what to
keep all the same is its policy, `jax.checkpoint_policies.dots_saveable` for one.
"""

from collections.abc import Callable
from typing import Any

import jax

from jdl.core import Model, Tree


def rematerialized(model: Model, policy: Callable | None = None) -> Model:
    """The same model, of which the backward pass keeps the inputs alone.

    It pays for a part of a network, a block among many: the backward pass of a whole network needs
    all its values at once again.

    Args:
        model: any.
        policy: of jax.checkpoint: which values to keep; None keeps none.

    Returns:
        A Model with the same variables, outputs and gradients.
    """

    def apply(variables, *inputs, key=None, train=False, **options):
        def computed(variables, inputs, key):
            return model.apply(variables, *inputs, key=key, train=train, **options)

        return jax.checkpoint(computed, policy=policy)(variables, inputs, key)

    return Model(model.init, apply)


def segmented_scan(
    body: Callable[[Any, Tree], tuple[Any, Tree]], carry: Any, inputs: Tree, *, segment: int
) -> tuple[Any, Tree]:
    """jax.lax.scan that keeps a carry for each segment, and one segment's values at a time.

    Args:
        body: (carry, input) -> (carry, output).
        carry: to start with.
        inputs: tree of arrays [T, ...].
        segment: steps in a segment, a divisor of T near its square root.

    Returns:
        The last carry, and the outputs [T, ...].

    Raises:
        ValueError: segments do not divide the steps.
    """
    steps = jax.tree.leaves(inputs)[0].shape[0]
    if steps % segment:
        raise ValueError(f"{steps} steps are not divided by segments of {segment}")

    def scanned(carry, inputs):
        return jax.lax.scan(body, carry, inputs)

    parts = jax.tree.map(lambda x: x.reshape(-1, segment, *x.shape[1:]), inputs)
    # A scan keeps XLA from merging the second computation with the first.
    carry, outputs = jax.lax.scan(jax.checkpoint(scanned, prevent_cse=False), carry, parts)
    return carry, jax.tree.map(lambda y: y.reshape(steps, *y.shape[2:]), outputs)
