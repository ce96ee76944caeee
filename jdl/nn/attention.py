"""Scaled dot-product attention.

    weights_ij = softmax_j(query_i . key_j / sqrt(F)),   output_i = sum_j weights_ij value_j

Source: Vaswani et al. 2017, eq. 1; 004 sec. 6.2.

Axes: B sequences, I queries, J keys, H heads, F features of a head.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    mask: jax.Array | None = None,
    is_causal: bool = False,
    drop: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
    """Scaled dot-product attention: `jax.nn.dot_product_attention`, and with dropped weights.

    Args:
        query: [B, I, H, F].
        key: [B, J, H, F].
        value: [B, J, H, F].
        mask: [B, H, I, J] or of lengths 1, true where a query may see a key; each query sees one
            key at least.
        is_causal: whether query i sees only the keys j <= i.
        drop: what to do to the weights [B, H, I, J] before the values are summed, a dropout; JAX's
            own function, which never forms the weights where the device has a better way, cannot.

    Returns:
        [B, I, H, F]. Sums and the softmax are in float32 for factors of less.
    """
    if drop is None:
        return jax.nn.dot_product_attention(query, key, value, mask=mask, is_causal=is_causal)
    sums = jnp.promote_types(query.dtype, jnp.float32)
    scores = jnp.einsum("bihf,bjhf->bhij", query, key, preferred_element_type=sums)
    scores = scores * query.shape[-1] ** -0.5
    if is_causal:
        past = jnp.tril(jnp.ones(scores.shape[-2:], bool))[None, None]
        mask = past if mask is None else mask & past
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
    weights = drop(jax.nn.softmax(scores).astype(query.dtype))
    return jnp.einsum("bhij,bjhf->bihf", weights, value)
