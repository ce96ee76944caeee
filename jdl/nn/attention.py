"""Attention: values summed with weights that queries give to keys.

    weights_ij = softmax_j(score(query_i, key_j)),   output_i = sum_j weights_ij value_j

`attention` has the scaled dot product, query_i . key_j / sqrt(F): its own form of it, whose
gradient is fast on the CPU too (`benchmarks/sequences.py`), or JAX's function with a kernel that
never forms the weights. `attention_weights` gives the weights for any of the scores of
`jdl.nn.attention_scores`, or for dropping and drawing.

Self-attention without parameters (004 sec. 6.2) is `attention(x, x, x)`. Here a row of weights is a
query's; 004 has a column, so that its Z = V A is the transpose.

Departs from 004: eq. 6.11 is printed with the exponent +1/2 of F, which is -1/2 as in its text; its
example 6.2.3 multiplies the scores by a triangle of ones, which leaves the future exp(0) = 1, while
masks are applied before the softmax here, and what is hidden gets a weight of exactly 0; eq. 6.24
takes the softmax after the values are summed. A query that may see no key gets zeros, where the
softmax of nothing would be 0 / 0 and JAX's function gives the mean of all values.

Source: Vaswani et al. 2017, eq. 1; 004 sec. 6.2; Press, Smith, Lewis 2022 for biases of positions.

Axes: B sequences, I queries, J keys, H heads, F features of a head.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.nn.attention_scores import masked_softmax, scaled_dot


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    is_causal: bool = False,
    drop: Callable[[jax.Array], jax.Array] | None = None,
    implementation: str | None = None,
) -> jax.Array:
    """Scaled dot-product attention.

    Args:
        query: [B, I, H, F].
        key: [B, J, H, F].
        value: [B, J, H, F].
        bias: [B, H, I, J] or of lengths 1, added to the scores.
        mask: [B, H, I, J] or of lengths 1, true where a query may see a key.
        is_causal: whether query i sees only the keys j <= i.
        drop: what to do to the weights [B, H, I, J] before the values are summed, a dropout.
        implementation: of `jax.nn.dot_product_attention`: "cudnn", on its devices and in half
            precision, never forms the weights, so that memory grows with I + J; None forms them,
            and so does dropping.

    Returns:
        [B, I, H, F]; zeros for a query that sees no key. Sums and the softmax are in float32 for
        factors of less.

    Example:
        >>> x = jnp.ones([1, 4, 2, 3])
        >>> attention(x, x, x, mask=padding_mask(jnp.zeros([1, 4], bool))).sum().item()
        0.0
    """
    if implementation is not None and drop is None:
        return _fused(query, key, value, bias, mask, is_causal, implementation)
    query, key, value = (jnp.asarray(x).swapaxes(1, 2) for x in (query, key, value))
    sums = jnp.promote_types(query.dtype, jnp.float32)
    scores = jnp.einsum("bhif,bhjf->bhij", query, key, preferred_element_type=sums)
    scores = scores * query.shape[-1] ** -0.5
    scores = scores if bias is None else scores + bias
    mask = _seen(mask, is_causal, scores)
    if drop is None:
        return _attended(scores, mask, value).swapaxes(1, 2)
    weights = drop(masked_softmax(scores, mask).astype(value.dtype))
    return _summed(weights, value).swapaxes(1, 2)


def attention_weights(
    query: jax.Array,
    key: jax.Array,
    *,
    score: Callable[[jax.Array, jax.Array], jax.Array] = scaled_dot,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    is_causal: bool = False,
) -> jax.Array:
    """The share of each key in what a query gets.

    Args:
        query: [B, I, H, F].
        key: [B, J, H, F], or of other features if the score takes that.
        score: (query, key) -> [B, H, I, J]; `jdl.nn.attention_scores` has four.
        bias: [B, H, I, J] or of lengths 1, added to the scores.
        mask: [B, H, I, J] or of lengths 1, true where a query may see a key.
        is_causal: whether query i sees only the keys j <= i.

    Returns:
        [B, H, I, J] of the query's dtype. A row sums to 1, or is 0 if its query sees no key.

    Example:
        >>> x = jnp.zeros([1, 2, 1, 3])
        >>> attention_weights(x, x, is_causal=True)[0, 0].tolist()
        [[1.0, 0.0], [0.5, 0.5]]
    """
    scores = score(query, key)
    if bias is not None:
        scores = scores + bias
    return masked_softmax(scores, _seen(mask, is_causal, scores)).astype(query.dtype)


def weighted_sum(weights: jax.Array, value: jax.Array) -> jax.Array:
    """The values of each query: [B, H, I, J] and [B, J, H, F] -> [B, I, H, F]."""
    return jnp.einsum("bhij,bjhf->bihf", weights, value)


def causal_mask(num_queries: int, num_keys: int, first: jax.Array | int = 0) -> jax.Array:
    """Which keys are not of the future: j <= first + i.

    Args:
        num_queries: I.
        num_keys: J.
        first: position of the first query among the keys, of a sequence that goes on from a cache;
            of each sequence, [B], or of all.

    Returns:
        [B, 1, I, J] of booleans, or [1, 1, I, J].

    Example:
        >>> causal_mask(2, 3, first=1)[0, 0].tolist()
        [[True, True, False], [True, True, True]]
    """
    positions = jnp.atleast_1d(first)[:, None] + jnp.arange(num_queries)[None]
    return (jnp.arange(num_keys)[None, None] <= positions[..., None])[:, None]


def padding_mask(is_token: jax.Array) -> jax.Array:
    """Which keys are tokens and no padding, for all heads and queries.

    With `causal_mask`, both: `padding_mask(is_token) & causal_mask(I, J)`.

    Args:
        is_token: [B, J] of booleans.

    Returns:
        [B, 1, 1, J] of booleans.
    """
    return is_token[:, None, None, :]


def _seen(mask, is_causal, scores):
    """The mask, and of the past alone if that is asked for; None hides nothing."""
    if not is_causal:
        return mask
    past = causal_mask(*scores.shape[-2:])
    return past if mask is None else mask & past


@jax.custom_jvp
def _attended(scores, mask, value):
    """The values [B, H, J, F], summed with the softmax of scores [B, H, I, J]."""
    return _summed(masked_softmax(scores, mask), value)


@_attended.defjvp
def _(primals, tangents):
    """d outputs = (w ds) values - sum_j(w ds) outputs + w dvalues, for weights w.

    Going backwards, sum_j w_ij dw_ij is the product of outputs and their gradient, of F numbers
    where autodiff sums J; and what is hidden, of weight 0, has no derivative to be masked.
    """
    (scores, mask, value), (dscores, _, dvalue) = primals, tangents
    weights = masked_softmax(scores, mask)
    outputs, moved = _summed(weights, value), weights * dscores
    total = moved.sum(-1, keepdims=True).astype(value.dtype)
    return outputs, _summed(moved, value) - total * outputs + _summed(weights, dvalue)


def _summed(weights, value):
    return jnp.einsum("bhij,bhjf->bhif", weights.astype(value.dtype), value)


def _fused(query, key, value, bias, mask, is_causal, implementation):
    """JAX's own function, and zeros where it gives a query without keys the mean of all values."""
    outputs = jax.nn.dot_product_attention(
        query, key, value, bias, mask, is_causal=is_causal, implementation=implementation
    )
    if mask is None:
        return outputs
    sees = jnp.any(mask, axis=-1)
    if is_causal:
        first = jnp.argmax(mask, axis=-1)
        sees = sees & (first <= jnp.arange(query.shape[1])[None, None])
    return jnp.where(sees.swapaxes(1, 2)[..., None], outputs, 0)
