"""What a network ends in and what it is trained by, for each kind of task.

Source: 000 ch. 3 and 4, 001 (guides to activations and costs), 002 and 003 (output heads), 004
eqs. 1.55-1.85.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.nn.likelihoods import poisson_nll

# 003, the rules for hidden layers, by what one has.
HIDDEN_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "default": jax.nn.relu,
    "dead units": jax.nn.leaky_relu,
    "very deep": jax.nn.elu,
    "vision": jax.nn.silu,
    "language": lambda x: jax.nn.gelu(x, approximate=False),
    "recurrent": jnp.tanh,
}


class Head(NamedTuple):
    """The end of a network.

    Attributes:
        units: outputs of the last layer, which is linear.
        activation: outputs [..., units] -> what they predict, of the same shape.
        loss: (outputs [..., units], targets) -> [...], of the outputs before the activation.
    """

    units: int
    activation: Callable[[jax.Array], jax.Array]
    loss: Callable[[jax.Array, jax.Array], jax.Array]


def output_head(task: str, size: int = 1) -> Head:
    """The units, the activation and the loss that a task asks for.

        task         units   activation   loss                                targets
        regression   size    identity     squared error, mean over the units  numbers [..., size]
        binary       1       sigmoid      binary cross-entropy                0 or 1 [...]
        multiclass   size    softmax      categorical cross-entropy           integers [...]
        multilabel   size    sigmoid      binary cross-entropies, summed      0 or 1 [..., size]
        counts       size    exponential  Poisson, summed                     counts [..., size]

    The gradient of the losses by the outputs is activation(outputs) - targets, but for a factor in
    regression.

    Args:
        task: one of the above.
        size: outputs, classes or labels.

    Raises:
        ValueError: another task; a binary task with more than one unit; or classes fewer than two,
            whose softmax is 1 whatever the logit, as in 004's example 3.10.1.

    Example:
        >>> head = output_head("multiclass", 10)
        >>> round(head.loss(jnp.zeros([1, 10]), jnp.array([3])).item(), 6)  # log 10
        2.302585
    """
    heads = {
        "regression": Head(
            size, jax.nn.identity, lambda f, y: jnp.mean(optax.squared_error(f, y), -1)
        ),
        "binary": Head(
            1, jax.nn.sigmoid, lambda z, y: optax.sigmoid_binary_cross_entropy(z[..., 0], y)
        ),
        "multiclass": Head(size, jax.nn.softmax, optax.softmax_cross_entropy_with_integer_labels),
        "multilabel": Head(
            size,
            jax.nn.sigmoid,
            lambda z, y: jnp.sum(optax.sigmoid_binary_cross_entropy(z, y), -1),
        ),
        "counts": Head(size, jnp.exp, lambda s, y: jnp.sum(poisson_nll(s, y), -1)),
    }
    if task not in heads:
        raise ValueError(f"a task is one of {sorted(heads)}; got {task!r}")
    if task == "binary" and size != 1:
        raise ValueError(f"a binary task has one unit; got {size}. For {size} take 'multiclass'")
    if task == "multiclass" and size < 2:
        raise ValueError(f"a softmax of {size} unit is always 1; for two classes take 'binary'")
    return heads[task]
