"""Backpropagation written out, for the multi-layer perceptron.

    examples are rows                              examples are columns
    W_l [inputs, outputs]                          W_l [outputs, inputs]
    z_l = h_{l-1} W_l + b_l                        z_l = W_l h_{l-1} + b_l
    delta_L = r dloss/dz_L                         the same
    delta_l = (delta_{l+1} W_{l+1}') phi'(z_l)     delta_l = (W_{l+1}' delta_{l+1}) phi'(z_l)
    dJ/dW_l = h_{l-1}' delta_l                     dJ/dW_l = delta_l h_{l-1}'
    dJ/db_l = sum of delta_l over the examples     the same

r is 1 / B for a loss that is a mean over the batch, 1 for a sum. dloss/dz_L is o - y for a sigmoid,
softmax or identity with the loss that matches it; not for a squared error of a sigmoid, where
004's eq. 1.92 adds o', nor, with the factor o' alone, for one of a softmax.

Sources: Rumelhart, Hinton, Williams 1986; rows with a mean: 003's listing; rows with a sum: 004
eqs. 1.93 to 1.110, whose text says "averaged"; columns: 001 and 002. 001 writes W_l for the weights
that leave layer l, and 002 stops at l = 2: it goes to l = 1.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Estimator


class Activation(NamedTuple):
    """An elementwise activation and its derivative, both functions of z."""

    value: Callable
    slope: Callable


class Output(NamedTuple):
    """An output layer with its loss, and the derivative of the loss.

    Attributes:
        loss: (z [B, K], y [B, K]) -> losses [B].
        delta: (z, y) -> d loss / dz [B, K].
    """

    loss: Callable
    delta: Callable


LOGISTIC = Activation(jax.nn.sigmoid, lambda z: jax.nn.sigmoid(z) * (1 - jax.nn.sigmoid(z)))
TANH = Activation(jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2)
RELU = Activation(jax.nn.relu, lambda z: (z > 0).astype(z.dtype))

BERNOULLI = Output(
    lambda z, y: jnp.sum(jax.nn.softplus(z) - y * z, -1), lambda z, y: jax.nn.sigmoid(z) - y
)
MULTINOULLI = Output(
    lambda z, y: jax.nn.logsumexp(z, -1) - jnp.sum(y * z, -1), lambda z, y: jax.nn.softmax(z) - y
)
HALF_SQUARED_ERROR = Output(lambda z, y: jnp.sum((z - y) ** 2, -1) / 2, lambda z, y: z - y)
SQUARED_ERROR = Output(lambda z, y: jnp.sum((z - y) ** 2, -1), lambda z, y: 2 * (z - y))


def backpropagation(activation: Activation, output: Output, *, reduction: str) -> Estimator:
    """The gradient of an `mlp` by hand, as an Estimator.

    Args:
        activation: of the hidden layers, the one that the model has: `TANH` for `jnp.tanh`.
        output: of the last layer; `HALF_SQUARED_ERROR` is 004's Gaussian, `SQUARED_ERROR`
            that of 001 and 003; targets of `MULTINOULLI` sum to 1.
        reduction: "mean" or "sum" of the loss over the batch.

    Returns:
        An Estimator of batches (inputs [B, D], targets [B, K]) for the params of
        `jdl.models.mlp.mlp` without dropout. Info: `loss`.

    Example:
        >>> import optax
        >>> from jdl.train import descent
        >>> estimator = backpropagation(LOGISTIC, BERNOULLI, reduction="mean")
        >>> algorithm = descent(estimator, optax.sgd(0.8))
    """

    def estimate(params, buffers, batch, key):
        inputs, targets = batch
        numbers = sorted(params["layers"], key=int)
        layers = [(params["layers"][n]["kernel"], params["layers"][n]["bias"]) for n in numbers]
        loss, gradients = row_gradients(
            layers, inputs, targets, activation, output, reduction=reduction
        )
        named = {
            n: {"kernel": kernel, "bias": bias}
            for n, (kernel, bias) in zip(numbers, gradients, strict=True)
        }
        return {"layers": named}, buffers, {"loss": loss}

    return estimate


def row_gradients(
    layers: Sequence[tuple[jax.Array, jax.Array]],
    inputs: jax.Array,
    targets: jax.Array,
    activation: Activation,
    output: Output,
    *,
    reduction: str,
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """Loss and gradients with examples as rows.

    Args:
        layers: of each layer the kernel [inputs, outputs] and the bias [outputs].
        inputs: [B, D].
        targets: [B, K].
        activation: of the hidden layers.
        output: of the last layer.
        reduction: "mean" or "sum" of the loss over the batch.

    Returns:
        The loss [], and of each layer the gradients of kernel and bias.
    """
    before, after = [], [inputs]
    for kernel, bias in layers:
        before.append(after[-1] @ kernel + bias[None])
        after.append(activation.value(before[-1]))
    weight = _weight(reduction, len(inputs))
    loss = weight * jnp.sum(output.loss(before[-1], targets))

    delta = weight * output.delta(before[-1], targets)
    gradients = []
    for index in reversed(range(len(layers))):
        gradients.insert(0, (after[index].T @ delta, delta.sum(0)))
        if index:
            delta = (delta @ layers[index][0].T) * activation.slope(before[index - 1])
    return loss, gradients


def column_gradients(
    layers: Sequence[tuple[jax.Array, jax.Array]],
    inputs: jax.Array,
    targets: jax.Array,
    activation: Activation,
    output: Output,
    *,
    reduction: str,
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """Loss and gradients with examples as columns.

    Args:
        layers: of each layer the weights [outputs, inputs] and the bias [outputs].
        inputs: [D, B].
        targets: [K, B].
        activation: of the hidden layers.
        output: of the last layer.
        reduction: "mean" or "sum" of the loss over the batch.

    Returns:
        The loss [], and of each layer the gradients of weights and bias.
    """
    before, after = [], [inputs]
    for weights, bias in layers:
        before.append(weights @ after[-1] + bias[:, None])
        after.append(activation.value(before[-1]))
    weight = _weight(reduction, inputs.shape[1])
    loss = weight * jnp.sum(output.loss(before[-1].T, targets.T))

    delta = weight * output.delta(before[-1].T, targets.T).T
    gradients = []
    for index in reversed(range(len(layers))):
        gradients.insert(0, (delta @ after[index].T, delta.sum(1)))
        if index:
            delta = (layers[index][0].T @ delta) * activation.slope(before[index - 1])
    return loss, gradients


def _weight(reduction, count):
    if reduction not in ("mean", "sum"):
        raise ValueError(f'reduction is "mean" or "sum" over the batch; got {reduction!r}')
    return 1 / count if reduction == "mean" else 1.0
