"""Backpropagation through self-attention by hand: the gradients by its three matrices.

    Q = X W_q,  K = X W_k,  V = X W_v,   S = Q K^T / sqrt(F),   A = softmax(S),   Z = A V

    dL/dW_v = X^T A^T E                                        E = dL/dZ
    dL/dS   = A * (G - sum_j A_ij G_ij),   G = E V^T           the softmax of each row
    dL/dW_q = X^T (dL/dS) K / sqrt(F)
    dL/dW_k = X^T (dL/dS)^T Q / sqrt(F)

Source: 004 sec. 6.2, eq. 6.14 to 6.17 for W_v, and its problem 6.2 for the others; transposed,
since 004 has a token in a column. JAX finds the same by `jax.grad`; use that for work.

Axes: I tokens, D features, F features of queries and keys, O features of values.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class SelfAttentionGradients(NamedTuple):
    """Derivatives of a loss by the matrices of self-attention.

    Attributes:
        query: [D, F].
        key: [D, F].
        value: [D, O].
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array


def self_attention_gradients(
    x: jax.Array, query: jax.Array, key: jax.Array, value: jax.Array, errors: jax.Array
) -> SelfAttentionGradients:
    """The gradients by W_q, W_k and W_v of one head over one sequence, without a mask.

    Args:
        x: [I, D].
        query: [D, F], W_q.
        key: [D, F], W_k.
        value: [D, O], W_v.
        errors: [I, O], the loss's derivatives by the outputs.

    Returns:
        Of the shapes of the matrices.

    Example:
        >>> x, w, e = jnp.ones([3, 2]), jnp.ones([2, 4]), jnp.ones([3, 4])
        >>> found = self_attention_gradients(x, w, w, w, e)
        >>> found.value.tolist()[0], found.query.any().item()  # alike keys: nothing to choose
        ([3.0, 3.0, 3.0, 3.0], False)
    """
    scale = query.shape[-1] ** -0.5
    queries, keys, values = x @ query, x @ key, x @ value
    weights = jax.nn.softmax(queries @ keys.T * scale)
    by_weights = errors @ values.T
    expected = jnp.sum(weights * by_weights, axis=-1, keepdims=True)
    by_scores = weights * (by_weights - expected) * scale
    return SelfAttentionGradients(
        query=x.T @ by_scores @ keys,
        key=x.T @ by_scores.T @ queries,
        value=x.T @ weights.T @ errors,
    )
