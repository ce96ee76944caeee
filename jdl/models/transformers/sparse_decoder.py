"""The blocks of a decoder-only Transformer whose layers see the past in patterns.

    x = x + attention_l(norm(x)),  a position sees what pattern_l lets it see           [B, T, D]
    x = x + W_2 gelu(W_1 norm(x))                                         -> norm, after the last

It is the body of GPT-3 and of DALL-E, which differ in what they embed and in what they predict. As
in GPT-2, what a part adds to the stream starts with weights scaled by 1 / sqrt(2 L).

Source: Radford et al. 2019, section 2.3; Child, Gray, Radford, Sutskever 2019.

Axes: B sequences, T tokens, S places of a carry, D features.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.attention_cache import Past, placed
from jdl.nn.attention_patterns import Pattern, pattern_mask
from jdl.nn.initializers import residual_normal
from jdl.nn.token_layers import LayerNorm
from jdl.nn.transformer_block import TransformerBlock
from jdl.stacks import layers, run_stack

TANH_GELU = functools.partial(jax.nn.gelu, approximate=True)


class SparseDecoder(nnx.Module):
    """Pre-norm blocks, each with a pattern, and a norm.

    Args:
        features: D.
        num_heads: of attention; they share the features equally.
        patterns: of each block, of `jdl.nn.attention_patterns`.
        dropout_rate: of attention's weights and of what a part adds.
        scan_layers: as `jdl.stacks.run_stack` has it, at "body.blocks" of a model.
        remat: as `run_stack` has it.
        dtypes: dtype of the computation and param_dtype.
        rngs: of the params.

    Raises:
        ValueError: heads that do not divide the features.

    Example:
        >>> from jdl.functional import functional
        >>> from jdl.nn.attention_patterns import banded, dense
        >>> made = {"dropout_rate": 0.0, "dtypes": {}}
        >>> sees = (dense, banded(2))
        >>> body = functional(lambda rngs: SparseDecoder(8, 2, sees, **made, rngs=rngs))
        >>> variables = jax.eval_shape(body.init, jax.random.key(0))
        >>> jax.eval_shape(body.apply, variables, jnp.ones([3, 5, 8]))[0].shape
        (3, 5, 8)
    """

    def __init__(
        self,
        features: int,
        num_heads: int,
        patterns: Sequence[Pattern],
        *,
        dropout_rate: float,
        scan_layers: bool = False,
        remat: bool | Callable = False,
        dtypes: dict[str, Any],
        rngs: nnx.Rngs,
    ):
        self.patterns = tuple(patterns)
        self.stack = {"scan_layers": scan_layers, "remat": remat}
        made = {**dtypes, "rngs": rngs}
        self.blocks = nnx.List(
            TransformerBlock(
                features,
                num_heads,
                norm_placement="pre",
                activation=TANH_GELU,
                dropout_rate=dropout_rate,
                attention_dropout_rate=dropout_rate,
                kernel_init=nnx.initializers.normal(0.02),
                project_init=residual_normal(2 * len(self.patterns)),
                **made,
            )
            for _ in self.patterns
        )
        self.norm = LayerNorm(features, epsilon=1e-5, **made)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """[B, T, D] from the first position on -> [B, T, D]."""
        kinds = list(dict.fromkeys(self.patterns))
        masks = jnp.stack([pattern_mask(kind, x.shape[1]) for kind in kinds])
        number = jnp.array([kinds.index(pattern) for pattern in self.patterns])

        def call(block, x, rngs, number):
            return block(x, mask=masks[number], rngs=rngs)

        return self.norm(run_stack(self.blocks, x, call, per_layer=number, rngs=rngs, **self.stack))

    def start(self, batch_size: int, length: int) -> Past:
        """The carry of S = length places, before the first token."""
        blocks = layers(self.blocks)
        caches = tuple(b.attention.empty_cache(batch_size, length) for b in blocks)
        return Past(caches, jnp.zeros([batch_size], jnp.int32))

    def extend(self, x: jax.Array, carry: Past) -> tuple[jax.Array, Past]:
        """[B, T, D] behind the carry -> [B, T, D], the carry; nan where there is no place."""
        places = carry.caches[0].head_keys.shape[2]
        mask, caches = self._masks(places, carry.position, x.shape[1]), []
        blocks = layers(self.blocks)
        for block, pattern, cache in zip(blocks, self.patterns, carry.caches, strict=True):
            x, cache = block.step(x, cache, carry.position, mask=mask(pattern))
            caches.append(cache)
        after = Past(tuple(caches), carry.position + x.shape[1])
        return placed(self.norm(x), carry), after

    def _masks(self, *sizes):
        """Pattern -> its mask, made once however many layers share it."""
        return functools.cache(lambda pattern: pattern_mask(pattern, *sizes))
