"""How alike vectors are: cosines of all pairs.

    cos(u, v) = u . v / (|u| |v|),   0 where one of them is 0

Axes: B and C vectors, D features, last.
"""

import jax
import jax.numpy as jnp


def unit(x: jax.Array) -> jax.Array:
    """Vectors [..., D] of length 1; 0 stays 0. Sums are in float32 at the least."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    squares = jnp.sum(wide**2, axis=-1, keepdims=True)
    return (wide * jax.lax.rsqrt(jnp.maximum(squares, 1e-24))).astype(x.dtype)


def cosine_similarities(first: jax.Array, second: jax.Array) -> jax.Array:
    """The cosine of each pair.

    Args:
        first: [B, D].
        second: [C, D].

    Returns:
        [B, C] in float32 at the least. `jax.lax.top_k` of it is a semantic search.

    Example:
        >>> texts = jnp.array([[2.0, 0.0], [0.0, 1.0]])
        >>> cosine_similarities(jnp.array([[3.0, 0.0]]), texts).tolist()
        [[1.0, 0.0]]
    """
    wide = jnp.promote_types(first.dtype, jnp.float32)
    return jnp.einsum("bd,cd->bc", unit(first), unit(second), preferred_element_type=wide)
