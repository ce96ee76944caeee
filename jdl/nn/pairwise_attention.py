"""004's multi-head attention: an output for every pair of a query and a key, not summed over keys.

    dot product   h_ijs = softmax_j(W^Q_s q_i . W^K_s k_j / sqrt(F)) W^V_s v_j
    additive      h_ijs = tanh(W^Q_s q_i + W^K_s k_j + W^V_s v_j)
    outputs       z_ij  = W^C [h_ij1; ...; h_ijS]                                [B, I, J, D]

Source: 004 sec. 6.2, eq. 6.18 to 6.20. Its f may be a "dot-product score", which is one number
where h is a vector; here the score weights the value, so that the sum over j is the multi-head
attention of Vaswani et al. 2017, and the pairs are what each key adds to it. In the additive form
the value stands inside the tanh, as printed, and nothing is normalised over keys.

Departs: the concatenation ends with the S-th head, where eq. 6.20 is printed with N, the number of
tokens. Memory grows with I J D.

Axes: B sequences, I queries, J keys, S heads of F features, D features.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.attention import attention_weights
from jdl.nn.token_layers import Linear


class PairwiseAttention(nnx.Module):
    """Multi-head attention without the sum over keys.

    Args:
        features: D, of queries, keys, values and outputs.
        num_heads: S.
        head_dim: F; None is D / S.
        additive: eq. 6.19 in place of the dot product.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Raises:
        ValueError: the heads do not divide the features and no head_dim is given.

    Example:
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: PairwiseAttention(8, 2, rngs=rngs))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> x, memory = jnp.ones([3, 5, 8]), jnp.ones([3, 7, 8])
        >>> jax.eval_shape(model.apply, variables, x, memory)[0].shape
        (3, 5, 7, 8)
    """

    def __init__(
        self,
        features: int,
        num_heads: int,
        *,
        head_dim: int | None = None,
        additive: bool = False,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if head_dim is None and features % num_heads:
            raise ValueError(
                f"{num_heads} heads share {features} features equally; "
                f"got {features % num_heads} left over. Give head_dim for heads of another size"
            )
        width = num_heads * (head_dim or features // num_heads)
        made = {"use_bias": False, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.num_heads, self.additive = num_heads, additive
        self.query = Linear(features, width, **made)
        self.key = Linear(features, width, **made)
        self.value = Linear(features, width, **made)
        self.project = Linear(width, features, **made)

    def __call__(
        self, x: jax.Array, memory: jax.Array | None = None, *, mask: jax.Array | None = None
    ) -> jax.Array:
        """[B, I, D], a memory [B, J, D] or x, a mask as attention's -> [B, I, J, D]."""
        memory = x if memory is None else memory
        query, key, value = (
            layer(part).reshape(*part.shape[:2], self.num_heads, -1)
            for layer, part in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        if self.additive:
            heads = jnp.tanh(query[:, :, None] + key[:, None] + value[:, None])
            if mask is not None:
                heads = jnp.where(jnp.moveaxis(mask, 1, -1)[..., None], heads, 0)
        else:
            weights = attention_weights(query, key, mask=mask)
            heads = jnp.moveaxis(weights, 1, -1)[..., None] * value[:, None]
        return self.project(heads.reshape(*heads.shape[:3], -1))
