"""Nadaraya-Watson regression: attention to the training data, from 1964.

    y(x) = sum_i a_i(x) y_i,   a_i(x) = K((x - x_i) / h) / sum_k K((x - x_k) / h)

    gaussian       K(u) = exp(-|u|^2 / 2)
    epanechnikov   K(u) = max(0, 1 - |u|^2)
    triangular     K(u) = max(0, 1 - |u|)

The query is x, the keys are the x_i, the values the y_i. The width h trades bias for variance: with
h -> 0 the nearest neighbour answers, with h -> infinity the mean of all. A Gaussian's weights are
the softmax of -|x - x_i|^2 / (2 h^2), which here keeps them from dividing 0 by 0 however far x is;
the other two are 0 beyond h, and where no key is near the mean of all values answers.

The width may be learned: `leave_one_out` is the error at each training point from the others, since
with itself the best width is 0.

Departs from 004: eq. 6.1 is printed without 1 / n; example 6.2.1 has exp(+|x - x_i| / h), which
grows with the distance. It names the other kernels without formulas; constants cancel in the
weights.

Source: Nadaraya 1964; Watson 1964; Epanechnikov 1969; 004 sec. 6.2, eq. 6.2 and 6.3.

Axes: N training points, Q queries, D features of x, O of y.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from jdl.core import Objective
from jdl.nn.attention_scores import masked_softmax

# Of squared distances |u|^2 [...] in units of the width: log K(u), -inf where the kernel is 0.
KERNELS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gaussian": lambda squares: -squares / 2,
    "epanechnikov": lambda squares: _log(1 - squares),
    "triangular": lambda squares: _log(1 - _root(squares)),
}


def nadaraya_watson(
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    width: jax.Array | float = 0.5,
    *,
    kernel: str = "gaussian",
    hidden: jax.Array | None = None,
) -> jax.Array:
    """The answers to queries: means of the values, weighted by how near their keys are.

    Args:
        queries: [Q, D].
        keys: [N, D], x of the training data.
        values: [N, O], y.
        width: h, positive; 004's example has 0.5.
        kernel: "gaussian", "epanechnikov" or "triangular".
        hidden: [Q, N] of booleans, true where a query may not see a key; None hides nothing.

    Returns:
        [Q, O].

    Raises:
        ValueError: another kernel, shapes that do not fit.

    Example:
        >>> keys, values = jnp.array([[0.0], [1.0]]), jnp.array([[0.0], [3.0]])
        >>> nadaraya_watson(jnp.array([[0.0]]), keys, values, 2.0, kernel="triangular").tolist()
        [[1.0]]
    """
    chex.assert_shape(values, (len(keys), None), exception_type=ValueError)
    return kernel_weights(queries, keys, width, kernel=kernel, hidden=hidden) @ values


def kernel_weights(
    queries: jax.Array,
    keys: jax.Array,
    width: jax.Array | float = 0.5,
    *,
    kernel: str = "gaussian",
    hidden: jax.Array | None = None,
) -> jax.Array:
    """The weight of each key in the answer to each query; 004's figure 6.1 is its transpose.

    Args:
        queries: [Q, D].
        keys: [N, D].
        width: h, positive.
        kernel: "gaussian", "epanechnikov" or "triangular".
        hidden: [Q, N] of booleans, true where a query may not see a key; None hides nothing.

    Returns:
        [Q, N]. A row sums to 1, or is 0 if all is hidden.

    Raises:
        ValueError: another kernel, shapes that do not fit.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernels are {list(KERNELS)}; got {kernel!r}")
    chex.assert_shape(queries, (None, keys.shape[-1]), exception_type=ValueError)
    squares = jnp.sum(((queries[:, None] - keys[None]) / width) ** 2, axis=-1)
    scores = KERNELS[kernel](squares)
    seen = jnp.ones(scores.shape, bool) if hidden is None else ~hidden
    reached = jnp.isfinite(scores)
    near = seen & reached
    # Where no key is near, all that are seen answer alike.
    near = jnp.where(near.any(-1, keepdims=True), near, seen)
    return masked_softmax(jnp.where(reached, scores, 0), near)


def leave_one_out(kernel: str = "gaussian") -> Objective:
    """The mean squared error at each training point, from all the others: what a width costs.

    Args:
        kernel: "gaussian", "epanechnikov" or "triangular".

    Returns:
        An Objective of params {"log_width": []}, log h, so that h stays positive, and of batches
        (keys [N, D], values [N, O]): all the training data at once.

    Example:
        >>> keys = jnp.arange(4.0)[:, None]
        >>> loss, _ = leave_one_out()({"log_width": 0.0}, (), (keys, jnp.ones([4, 1])), None)
        >>> loss.item() < 1e-9  # what is constant is told by anyone
        True
    """

    def objective(params, buffers, batch, key):
        keys, values = batch
        width = jnp.exp(params["log_width"])
        itself = jnp.eye(len(keys), dtype=bool)
        answers = nadaraya_watson(keys, keys, values, width, kernel=kernel, hidden=itself)
        return jnp.mean((answers - values) ** 2), (buffers, {})

    return objective


def _root(squares):
    """The square root, whose gradient at 0 is 0."""
    away = squares > 0
    return jnp.where(away, jnp.sqrt(jnp.where(away, squares, 1)), 0)


def _log(kernel):
    """The logarithm, -inf where the kernel is 0, with finite gradients."""
    above = kernel > 0
    return jnp.where(above, jnp.log(jnp.where(above, kernel, 1)), -jnp.inf)
