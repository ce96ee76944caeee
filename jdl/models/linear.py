"""Linear models: linear, logistic and softmax regression.

    f = W'x + b

    linear regression     prediction f                    `jdl.train.regression`
    logistic regression   P(1 | x) = sigmoid(f), one f     `logistic` here
    softmax regression    P(k | x) = softmax(f)_k         `jdl.train.classification`

Each is a convex problem, so the weights start at zero. Logistic regression is one sigmoid neuron
(001, 002). Sources: 004 eqs. 1.63 to 1.68.
"""

from collections.abc import Callable

import chex
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Model, Objective, Variables
from jdl.models.mlp import mlp


def linear(
    num_features: int,
    num_outputs: int = 1,
    *,
    kernel_init: Callable = nnx.initializers.zeros_init(),
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A linear model, which starts at zero unless told otherwise.

    Args:
        num_features: of the input.
        num_outputs: of the output: 1 for logistic, the number of classes for softmax regression.
        kernel_init: (key, shape, dtype) -> initial weights.
        dtype: of the computation; None takes that of the params and the inputs together.
        param_dtype: of the params.

    Returns:
        A Model: inputs [..., num_features] -> f [..., num_outputs].

    Example:
        >>> import jax
        >>> model = linear(3)
        >>> f, _ = model.apply(model.init(jax.random.key(0)), jnp.ones([2, 3]))
        >>> f.tolist()
        [[0.0], [0.0]]
    """
    return mlp(
        [num_features, num_outputs],
        kernel_init=kernel_init,
        dtype=dtype,
        param_dtype=param_dtype,
    )


def logistic(model: Model) -> Objective:
    """The negative log-likelihood of binary labels, a mean over the batch.

        loss = mean of log(1 + e^((1 - 2 y) f)),   d loss / d f_i = (sigmoid(f_i) - y_i) / B

    004 eqs. 1.64 and 1.68, which sum over the batch.

    Args:
        model: inputs [B, ...] -> f [B, 1].

    Returns:
        An Objective of batches (inputs [B, ...], labels [B] in {0, 1}). Info: `accuracy`, of the
        same pass, with f = 0 counted as 0.

    Raises:
        ValueError: from the objective, outputs that are not [B, 1].
    """

    def objective(params, buffers, batch, key):
        inputs, labels = batch
        f, buffers = model.apply(Variables(params, buffers), inputs, key=key, train=True)
        chex.assert_shape(
            f,
            (*jnp.shape(labels), 1),
            exception_type=ValueError,
            custom_message="logistic regression has one output, and labels [B] in {0, 1}",
        )
        f = f[..., 0].astype(jnp.float32)
        losses = optax.sigmoid_binary_cross_entropy(f, jnp.asarray(labels, f.dtype))
        return jnp.mean(losses), (buffers, {"accuracy": jnp.mean((f > 0) == (labels > 0))})

    return objective
