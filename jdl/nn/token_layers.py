"""Flax's layers in a form whose gradients are fast for tokens on the CPU.

    Linear      x [B, T, D] as [B T, D], so that dW = x' dy is one product of matrices
    Embed       the same, for the logits of a head that is tied to the table
    LayerNorm   xhat = (x - mean) / sqrt(variance + eps), whose tangent is made of xhat itself:
                dxhat = (dx - mean(dx) - xhat mean(xhat dx)) / sqrt(variance + eps)

Arguments, params, values and gradients are Flax's, in forward mode too. XLA sums a product over two
axes, B and T, several times as slowly on a CPU as over their product: a step of GPT-2 (4 blocks,
128 features, 16 x 128 tokens, one core, jax 0.10.2) takes 0.64 of the time with one axis, and 0.98
of that with the norm's tangent. `benchmarks/sequences.py` measures the whole. On other platforms
XLA makes the same program of both forms; where T is sharded over devices, the flat form moves data,
and `nnx.Linear` is the layer to take.

Source: Ba, Kiros, Hinton 2016, eq. 4.

Axes: B sequences, T tokens, D features.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

EMBEDDING_INIT = nnx.initializers.variance_scaling(1.0, "fan_in", "normal", out_axis=0)  # Flax's


def flat_dot_general(lhs: jax.Array, rhs: jax.Array, dimension_numbers, **options) -> jax.Array:
    """`jax.lax.dot_general` of rows [..., D] and a matrix [D, F], the rows in one axis.

    Args:
        lhs: [..., D].
        rhs: [D, F].
        dimension_numbers: as JAX has them: the last axis of the rows with the first of the matrix.
        options: of `jax.lax.dot_general`.

    Returns:
        [..., F].
    """
    rows = lhs.reshape(-1, lhs.shape[-1])
    product = jax.lax.dot_general(rows, rhs, (((1,), (0,)), ((), ())), **options)
    return product.reshape(*lhs.shape[:-1], rhs.shape[-1])


Linear = functools.partial(nnx.Linear, dot_general=flat_dot_general)


class Embed(nnx.Module):
    """A table with a row for each id, nnx.Embed, and with the inverse: a head tied to it.

    Args:
        num_embeddings: V.
        features: D.
        dtype: of the rows; None takes `param_dtype`.
        param_dtype: of the table.
        embedding_init: of the table.
        rngs: of the table.
    """

    def __init__(
        self,
        num_embeddings: int,
        features: int,
        *,
        dtype=None,
        param_dtype=jnp.float32,
        embedding_init: Callable = EMBEDDING_INIT,
        rngs: nnx.Rngs,
    ):
        table = embedding_init(rngs.params(), (num_embeddings, features), param_dtype)
        self.embedding = nnx.Param(table)
        self.num_embeddings, self.features = num_embeddings, features
        self.dtype = dtype or table.dtype

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Integers [...] -> their rows [..., D]; nan for an id that the table lacks.

        Raises:
            ValueError: ids that are no integers.
        """
        if not jnp.issubdtype(ids.dtype, jnp.integer):
            raise ValueError(f"ids of an embedding are integers; got {ids.dtype}")
        # An array is indexed from its end by what is below 0, and filled beyond its end.
        ids = jnp.where(ids < 0, self.num_embeddings, ids)
        return jnp.take(self.embedding[...].astype(self.dtype), ids, axis=0)

    def attend(self, x: jax.Array) -> jax.Array:
        """Tokens [..., D] -> their products with each row of the table, [..., V]."""
        rows = x.reshape(-1, x.shape[-1]).astype(self.dtype)
        products = rows @ self.embedding[...].astype(self.dtype).T
        return products.reshape(*x.shape[:-1], -1)


class LayerNorm(nnx.Module):
    """Layer normalisation over the last axis, nnx.LayerNorm.

    Args:
        num_features: D.
        epsilon: added to the variance.
        dtype: of the results; None takes that of the tokens and params together.
        param_dtype: of the params.
        rngs: unused: scale and bias start at 1 and 0.

    Example:
        >>> norm = LayerNorm(4)
        >>> norm(jnp.array([[1.0, 1.0, 3.0, 3.0]])).round(3).tolist()
        [[-1.0, -1.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        self.scale = nnx.Param(jnp.ones(num_features, param_dtype))
        self.bias = nnx.Param(jnp.zeros(num_features, param_dtype))
        self.epsilon, self.dtype = epsilon, dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] -> [..., D]; statistics are in float32 at the least."""
        row = (1,) * (x.ndim - 1) + (-1,)
        scale, bias = (part[...].reshape(row) for part in (self.scale, self.bias))
        dtype = self.dtype or jnp.result_type(x, scale, bias)
        x = x.astype(dtype).astype(jnp.promote_types(dtype, jnp.float32))
        y = standardized_tokens(x, self.epsilon)
        return (y * scale.astype(dtype) + bias.astype(dtype)).astype(dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def standardized_tokens(x: jax.Array, epsilon: float) -> jax.Array:
    """Each row with mean 0 and variance 1, of 1/D: [..., D] -> [..., D]."""
    return _standardized(x, epsilon)[0]


@standardized_tokens.defjvp
def _(epsilon, primals, tangents):
    (x,), (dx,) = primals, tangents
    y, factor = _standardized(x, epsilon)
    means = [a.mean(-1, keepdims=True) for a in (dx, dx * y)]
    return y, factor * (dx - means[0] - y * means[1])


def _standardized(x, epsilon):
    mean = x.mean(-1, keepdims=True)
    variance = jnp.maximum((x * x).mean(-1, keepdims=True) - mean * mean, 0)
    factor = jax.lax.rsqrt(variance + epsilon)
    return (x - mean) * factor, factor
