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

import jax
import jax.numpy as jnp
from flax import nnx


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


class Embed(nnx.Embed):
    """nnx.Embed, whose `attend` has the tokens in one axis; an id below 0 is no row, but nan."""

    def __call__(self, inputs: jax.Array, out_sharding=None) -> jax.Array:
        """Ids [...] -> their rows [..., D]; nan for an id that the table lacks."""
        # An array is indexed from its end by what is below 0, and filled beyond its end.
        return super().__call__(jnp.where(inputs < 0, self.num_embeddings, inputs), out_sharding)

    def attend(self, query: jax.Array, out_sharding=None) -> jax.Array:
        """Tokens [..., D] -> their products with each row of the table, [..., V]."""
        rows = query.reshape(-1, query.shape[-1])
        return super().attend(rows, out_sharding).reshape(*query.shape[:-1], -1)


class LayerNorm(nnx.LayerNorm):
    """nnx.LayerNorm, whose tangent is made of its values where it is over the last axis.

    Example:
        >>> norm = LayerNorm(4, rngs=nnx.Rngs(0))
        >>> norm(jnp.array([[1.0, 1.0, 3.0, 3.0]])).round(3).tolist()
        [[-1.0, -1.0, 1.0, 1.0]]
    """

    def __call__(self, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
        """[..., D] -> [..., D]; statistics are in float32 at the least."""
        axes = self.reduction_axes, self.feature_axes, self.axis_name
        if mask is not None or axes != (-1, -1, None) or not self.use_fast_variance:
            return super().__call__(x, mask=mask)
        params = [None if part is None else part[...] for part in (self.scale, self.bias)]
        x, scale, bias = self.promote_dtype((x, *params), dtype=self.dtype)
        y = standardized_tokens(x.astype(jnp.promote_types(x.dtype, jnp.float32)), self.epsilon)
        row = (1,) * (x.ndim - 1) + (-1,)
        y = y if scale is None else y * scale.reshape(row)
        return (y if bias is None else y + bias.reshape(row)).astype(x.dtype)


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
