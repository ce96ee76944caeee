"""Multi-head attention: several attentions side by side, each of its own projections.

    head_h  = attention(x W^Q_h, memory W^K_h, memory W^V_h)          [B, I, F]
    outputs = [head_1; ...; head_H] W^O                               [B, I, D]

Self-attention where the memory is x, cross-attention where it is another sequence. Source: Vaswani
et al. 2017, section 3.2.2; 004 sec. 6.2. H heads of D / H features have as many parameters as one
of D: 4 D (D + 1), whatever H.

Departs from 004, whose eq. 6.20 concatenates the heads of each pair of query and key and sums over
no keys: that form is `jdl.nn.pairwise_attention`.

Axes: B sequences, I queries, J keys, H heads, F features of a head, D features.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.attention import attention, attention_weights, causal_mask, weighted_sum
from jdl.nn.attention_cache import AttentionCache, cached, empty_cache
from jdl.nn.token_layers import Linear


class MultiHeadAttention(nnx.Module):
    """Multi-head attention, of a sequence to itself or to another.

    Args:
        features: D, of the queries' sequence and of the outputs.
        num_heads: H.
        head_dim: F; None is D / H.
        memory_features: of the sequence that gives keys and values; None is D.
        use_bias: whether the projections of queries, keys and values have biases.
        project_bias: whether the last one has; None takes `use_bias`.
        dropout_rate: probability of dropping a weight in training.
        kernel_init: of the projections; Xavier's uniform one is that of the authors' code.
        project_init: of the last one; None takes `kernel_init`.
        implementation: as `jdl.nn.attention.attention` has it.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Raises:
        ValueError: the heads do not divide the features and no head_dim is given.

    Example:
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: MultiHeadAttention(8, 2, rngs=rngs))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> x, memory = jnp.ones([3, 5, 8]), jnp.ones([3, 7, 8])
        >>> jax.eval_shape(model.apply, variables, x, memory)[0].shape
        (3, 5, 8)
    """

    def __init__(
        self,
        features: int,
        num_heads: int,
        *,
        head_dim: int | None = None,
        memory_features: int | None = None,
        use_bias: bool = True,
        project_bias: bool | None = None,
        dropout_rate: float = 0.0,
        kernel_init: Callable = nnx.initializers.xavier_uniform(),
        project_init: Callable | None = None,
        implementation: str | None = None,
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
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        inner = {"use_bias": use_bias, "kernel_init": kernel_init, **made}
        self.num_heads, self.implementation = num_heads, implementation
        self.query = Linear(features, width, **inner)
        self.key = Linear(memory_features or features, width, **inner)
        self.value = Linear(memory_features or features, width, **inner)
        self.project = Linear(
            width,
            features,
            use_bias=use_bias if project_bias is None else project_bias,
            kernel_init=project_init or kernel_init,
            **made,
        )
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(
        self,
        x: jax.Array,
        memory: jax.Array | None = None,
        *,
        turn: Callable[[jax.Array], jax.Array] | None = None,
        rngs: nnx.Rngs | None = None,
        **seen,
    ):
        """[B, I, D], and a memory [B, J, E] if it is not x -> [B, I, D].

        Args:
            x: the sequence whose tokens ask.
            memory: the sequence they see.
            turn: of queries and keys before their product, rotary positions; of self-attention.
            rngs: of dropout.
            seen: mask, bias, is_causal and return_weights of `attend`.
        """
        keys, values = self.keys_values(x if memory is None else memory)
        return self.attend(
            x, keys if turn is None else turn(keys), values, turn=turn, rngs=rngs, **seen
        )

    def keys_values(self, memory: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A sequence [B, J, E] -> its keys and values, each [B, J, H, F]."""
        return self._heads(self.key(memory)), self._heads(self.value(memory))

    def attend(
        self,
        x: jax.Array,
        keys: jax.Array,
        values: jax.Array,
        *,
        turn: Callable[[jax.Array], jax.Array] | None = None,
        bias: jax.Array | None = None,
        mask: jax.Array | None = None,
        is_causal: bool = False,
        return_weights: bool = False,
        rngs: nnx.Rngs | None = None,
    ):
        """Attention to given keys and values, of a memory or of a cache.

        Args:
            x: [B, I, D].
            keys: [B, J, H, F].
            values: [B, J, H, F].
            turn: of the queries [B, I, H, F].
            bias: [B, H, I, J] or of lengths 1, added to the scores.
            mask: [B, H, I, J] or of lengths 1, true where a query may see a key.
            is_causal: whether query i sees only the keys j <= i.
            return_weights: whether the weights come too, which are then formed.
            rngs: of dropout.

        Returns:
            [B, I, D]; with `return_weights`, a pair of them and the weights [B, H, I, J] before
            dropout.
        """
        query = self._heads(self.query(x))
        query = query if turn is None else turn(query)
        seen = {"bias": bias, "mask": mask, "is_causal": is_causal}
        drops = self.dropout.rate > 0 and not self.dropout.deterministic
        drop = functools.partial(self.dropout, rngs=rngs) if drops else None
        if return_weights:
            weights = attention_weights(query, keys, **seen)
            heads = weighted_sum(drop(weights) if drops else weights, values)
            return self._joined(heads), weights
        kind = {"drop": drop, "implementation": self.implementation}
        return self._joined(attention(query, keys, values, **seen, **kind))

    def empty_cache(self, batch_size: int, length: int) -> AttentionCache:
        """A cache of S = length positions, none of them reached."""
        width = self.key.out_features // self.num_heads
        dtype = self.key.dtype or self.key.param_dtype
        return empty_cache(batch_size, length, self.num_heads, width, dtype)

    def step(
        self,
        x: jax.Array,
        cache: AttentionCache,
        position: jax.Array,
        *,
        turn: Callable[[jax.Array], jax.Array] | None = None,
        bias: jax.Array | None = None,
        mask: jax.Array | None = None,
    ) -> tuple[jax.Array, AttentionCache]:
        """Self-attention of the tokens [B, I, D] from a position on, and the cache with them in it.

        Args:
            x: [B, I, D]; one token, or the first few at once.
            cache: of what came before.
            position: [B], integers: of the first of them, in each sequence. What lies at it and
                behind it in the cache is not seen, and is overwritten.
            turn: of queries and keys at these positions.
            bias: [B, H, I, S] or of lengths 1.
            mask: [B, H, I, S] or of lengths 1, false for what is hidden of the past too.
        """
        keys, values = self.keys_values(x)
        keys = keys if turn is None else turn(keys)
        cache = cached(cache, keys, values, position)
        past = causal_mask(x.shape[1], cache.keys.shape[1], position)
        mask = past if mask is None else past & mask
        seen = cache.keys, cache.values
        return self.attend(x, *seen, turn=turn, bias=bias, mask=mask), cache

    def _heads(self, x):
        return x.reshape(*x.shape[:-1], self.num_heads, -1)

    def _joined(self, heads):
        return self.project(heads.reshape(*heads.shape[:2], -1))
