"""How well a key fits a query: the scores of attention, and attention layers of one head of them.

    dot          q . k                               Luong, Pham, Manning 2015, "dot"
    scaled dot   q . k / sqrt(F)                     Vaswani et al. 2017, eq. 1
    bilinear     q^T M k                             Luong, Pham, Manning 2015, "general"
    additive     v^T tanh(W q + U k)                 Bahdanau, Cho, Bengio 2015, appendix A.1.2

Each is a function of queries [B, I, H, F] and keys [B, J, H, F] to scores [B, H, I, J], summed in
float32 for factors of less, and in `jdl.nn.attention.attention_weights`. A product of F independent
features of variance 1 has the variance F; the scale gives it 1. One matrix on the concatenation of
query and key, as 004 writes the additive score (eq. 6.6), is [W U].

`AdditiveAttention` and `BilinearAttention` have the params: the context of a decoder's state.

Axes: B sequences, I queries, J keys, H heads, F features of a head.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.token_layers import Linear


def dot(query: jax.Array, key: jax.Array) -> jax.Array:
    """Products of queries and keys, [B, H, I, J]."""
    return jnp.einsum("bihf,bjhf->bhij", query, key, preferred_element_type=_sums(query))


def scaled_dot(query: jax.Array, key: jax.Array) -> jax.Array:
    """Products over the square root of the number of features, [B, H, I, J]."""
    return dot(query, key) * query.shape[-1] ** -0.5


def bilinear(query: jax.Array, key: jax.Array, matrix: jax.Array) -> jax.Array:
    """Products through a matrix, of queries and keys whose features may differ in number.

    Args:
        query: [B, I, H, F].
        key: [B, J, H, G].
        matrix: [F, G], M.

    Returns:
        [B, H, I, J].

    Example:
        >>> q, k = jnp.ones([1, 2, 1, 3]), jnp.ones([1, 5, 1, 4])
        >>> bilinear(q, k, jnp.ones([3, 4]))[0, 0, 0].tolist()
        [12.0, 12.0, 12.0, 12.0, 12.0]
    """
    return dot(query @ matrix, key)


def additive(query: jax.Array, key: jax.Array, vector: jax.Array) -> jax.Array:
    """The sum of a hidden layer's units that both go into.

    Args:
        query: [B, I, H, F], already W q.
        key: [B, J, H, F], already U k: it is the same for all queries and worth computing once.
        vector: [F], v.

    Returns:
        [B, H, I, J].
    """
    hidden = jnp.tanh(query[:, :, None] + key[:, None])
    return jnp.einsum("bijhf,f->bhij", hidden, vector, preferred_element_type=_sums(query))


def masked_softmax(scores: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The softmax over the last axis, of what is not hidden.

    Args:
        scores: [..., J].
        mask: of the same rank, true where a score counts; None counts all.

    Returns:
        [..., J]: 0 where hidden, also if everything is.

    Example:
        >>> masked_softmax(jnp.zeros([2, 2]), jnp.array([[True, True], [False, False]])).tolist()
        [[0.5, 0.5], [0.0, 0.0]]
    """
    if mask is None:
        return jax.nn.softmax(scores)
    least = jnp.finfo(scores.dtype).min
    return jnp.where(mask, jax.nn.softmax(jnp.where(mask, scores, least)), 0)


class AdditiveAttention(nnx.Module):
    """Bahdanau's attention: weights = softmax_j(v^T tanh(W q_i + U k_j)), context = weights k.

    The published form has no biases. Parameters: (query_features + key_features + 1) hidden_dim.

    Args:
        query_features: of a decoder's state.
        key_features: of an encoder's state.
        hidden_dim: units of the layer that aligns them.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Example:
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: AdditiveAttention(3, 4, 5, rngs=rngs))
        >>> states, encoded = jnp.zeros([2, 1, 3]), jnp.ones([2, 7, 4])
        >>> context, weights = model.apply(model.init(jax.random.key(0)), states, encoded)[0]
        >>> context.shape, weights.shape
        ((2, 1, 4), (2, 1, 7))
    """

    def __init__(
        self,
        query_features: int,
        key_features: int,
        hidden_dim: int,
        *,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"use_bias": False, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.query = Linear(query_features, hidden_dim, **made)
        self.key = Linear(key_features, hidden_dim, **made)
        self.score = Linear(hidden_dim, 1, **made)

    def __call__(
        self, query: jax.Array, key: jax.Array, mask: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """States [B, I, D], encoded [B, J, E], tokens [B, J] or all -> [B, I, E], [B, I, J]."""
        scores = self.score(jnp.tanh(self.query(query)[:, :, None] + self.key(key)[:, None]))
        return _context(scores[..., 0], key, mask)


class BilinearAttention(nnx.Module):
    """Luong's "general" attention: weights = softmax_j(q_i^T M k_j), context = weights k.

    Parameters: query_features * key_features.

    Args:
        query_features: of a decoder's state.
        key_features: of an encoder's state.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        query_features: int,
        key_features: int,
        *,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.query = Linear(query_features, key_features, use_bias=False, **made)

    def __call__(
        self, query: jax.Array, key: jax.Array, mask: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """States [B, I, D], encoded [B, J, E], tokens [B, J] or all -> [B, I, E], [B, I, J]."""
        query = self.query(query)
        return _context(jnp.einsum("bie,bje->bij", query, key.astype(query.dtype)), key, mask)


def _context(scores, key, mask):
    hidden = None if mask is None else mask[:, None, :]
    weights = masked_softmax(scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), hidden)
    weights = weights.astype(scores.dtype)
    return jnp.einsum("bij,bje->bie", weights, key).astype(scores.dtype), weights


def _sums(query):
    return jnp.promote_types(query.dtype, jnp.float32)
