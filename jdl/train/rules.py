"""The rules of single neurons, each an Estimator for any model with one output.

    f = model(x), for a neuron  w'x + b

    perceptron    e = [label > 0] - [f > 0]     params = params + rate * e df/dparams
    Widrow-Hoff   e = f - target                params = params - rate * e df/dparams
    Hebb          y = activation(f)             params = params + rate * y df/dparams

Of a neuron df/dw = x and df/db = 1. With `descent` and `optax.sgd(rate)` on batches of one these
are the published rules; on larger batches they move by the mean over the batch.

Sources: Rosenblatt 1958 and 004 eq. 1.5 and 1.6 (targets -1 and 1, rate 1), 001 (targets 0 and 1
with a rate): one rule, for a sign of 0 counts as negative in both; scikit-learn's Perceptron
counts it as a mistake whatever the label. Widrow and Hoff 1960, 004 eq.
1.28 and 1.29; Adaline is this rule, and the sign of f its answer. Hebb 1949 with 001's formula.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Algorithm, Estimator, Key, Model, Tree, Variables
from jdl.train.run import run


def perceptron(model: Model) -> Estimator:
    """Rosenblatt's error-correcting rule.

    Args:
        model: inputs [B, D] -> f [B, 1]; a neuron is `mlp([D, 1])`.

    Returns:
        An Estimator of batches (inputs [B, D], labels [B]), labels in {0, 1} or {-1, 1}. Info:
        `mistakes`, how many examples of the batch were on the wrong side.

    Example:
        >>> import optax
        >>> from jdl.models.mlp import mlp
        >>> from jdl.train import descent, run
        >>> neuron = mlp([2, 1], kernel_init=jax.nn.initializers.zeros)
        >>> algorithm = descent(perceptron(neuron), optax.sgd(1.0))
        >>> state = algorithm.init(neuron.init(jax.random.key(0)))
        >>> inputs = jnp.tile(jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), (6, 1))[:, None]
        >>> labels = jnp.tile(jnp.array([0, 0, 0, 1]), 6)[:, None]  # AND, six epochs
        >>> state, info = run(algorithm, state, (inputs, labels), jax.random.key(0))
        >>> print(state.variables.params["layers"]["0"])  # as 001
        {'bias': Array([-2.], dtype=float32), 'kernel': Array([[2.],
               [1.]], dtype=float32)}
    """

    def signal(f, labels):
        error = (labels > 0).astype(f.dtype) - (f > 0).astype(f.dtype)
        return error, {"mistakes": jnp.sum(jnp.abs(error))}

    return _rule(model, signal)


def widrow_hoff(model: Model) -> Estimator:
    """The least mean squares rule, the gradient of the mean of (f - target)^2 / 2.

    Args:
        model: inputs [B, D] -> f [B, 1].

    Returns:
        An Estimator of batches (inputs [B, D], targets [B]). Info: `loss`, that mean.
    """

    def signal(f, targets):
        return targets - f, {"loss": jnp.mean((f - targets) ** 2) / 2}

    return _rule(model, signal)


def hebb(model: Model, activation: Callable = lambda f: f) -> Estimator:
    """Hebb's rule: a weight grows where its input and the output are active together.

    Weights grow without bound; a decay (`optax.add_decayed_weights`) or a norm tames them.

    Args:
        model: inputs [B, D] -> f [B, 1].
        activation: of the output.

    Returns:
        An Estimator of batches (inputs [B, D], anything [B], which is ignored). Info: `output`,
        its mean.
    """

    def signal(f, labels):
        return activation(f), {"output": jnp.mean(activation(f))}

    return _rule(model, signal)


def _rule(model, signal):
    """The Estimator whose direction is - mean over the batch of signal * df/dparams."""

    def estimate(params, buffers, batch, key):
        inputs, labels = batch

        def outputs(params):
            f, after = model.apply(Variables(params, buffers), inputs, key=key, train=True)
            if f.shape != (*labels.shape, 1):
                raise ValueError(
                    f"a rule of single neurons takes labels [B] and outputs [B, 1]; got labels "
                    f"{list(labels.shape)} and outputs {list(f.shape)}"
                )
            return f[..., 0], after

        f, pull_back, after = jax.vjp(outputs, params, has_aux=True)
        strength, info = signal(f, labels)
        (direction,) = pull_back(-strength / f.size)
        return direction, after, info

    return estimate


def until_clean(
    algorithm: Algorithm, state: Any, data: Tree, key: Key, *, max_epochs: int
) -> tuple[Any, jax.Array, jax.Array]:
    """Shows the examples one by one, in their order, until an epoch has no mistake.

    Args:
        algorithm: whose info has `mistakes`: `descent(perceptron(model), optax.sgd(rate))`.
        state: of the algorithm.
        data: inputs [N, D] and labels [N].
        key: of the steps.
        max_epochs: after which to stop in any case: data that no line separates have mistakes for
            ever.

    Returns:
        The state; the epochs made [], the clean one included; the mistakes of each [max_epochs],
        -1 for those not made.
    """
    batches = jax.tree.map(lambda x: jnp.asarray(x)[:, None], data)

    def goes_on(carry):
        _, epoch, mistakes = carry
        return (epoch == 0) | ((epoch < max_epochs) & (mistakes[epoch - 1] > 0))

    def one(carry):
        state, epoch, mistakes = carry
        state, info = run(algorithm, state, batches, jax.random.fold_in(key, epoch))
        return state, epoch + 1, mistakes.at[epoch].set(info["mistakes"].sum())

    start = state, jnp.int32(0), jnp.full([max_epochs], -1.0)
    return jax.lax.while_loop(goes_on, one, start)


def novikoff_bound(
    inputs: jax.Array, labels: jax.Array, weights: jax.Array, bias: jax.Array | float
) -> jax.Array:
    """How many mistakes the perceptron rule can make, from zero and with rate 1.

        mistakes <= (R^2 + 1) / eta^2
        R = max ||x_i||,  eta = min y_i (w'x_i + b) / sqrt(||w||^2 + b^2),  y_i = 1 or -1

    Source: Novikoff 1962; 004 theorem 1.2.1, which prints (R^2 + 1) / eta in its example: its
    proof has the square, and so has this.

    Args:
        inputs: [N, D].
        labels: [N], {0, 1} or {-1, 1}.
        weights: [D], of a hyperplane that separates; the one of widest margin gives the best bound.
        bias: [].

    Returns:
        [], infinite if the hyperplane does not separate.
    """
    signs = jnp.where(labels > 0, 1, -1)
    margins = signs * (inputs @ weights + bias) / jnp.sqrt(jnp.sum(weights**2) + bias**2)
    radius = jnp.max(jnp.linalg.norm(inputs, axis=1))
    return jnp.where(margins.min() > 0, (radius**2 + 1) / margins.min() ** 2, jnp.inf)
