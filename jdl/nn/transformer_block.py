"""The Transformer's block: attention, perhaps to another sequence, and a perceptron at each token.

    post       x = norm(x + part(x))       2017; the stream is normalised after every part
    pre        x = x + part(norm(x))       GPT-2, ViT; one more norm belongs after the last block
    sublayer   x = x + norm(part(x))       004's words in example 6.3.1, which its eq. 6.25 is not

    parts      attention(x, x);   attention(x, memory), in a decoder;   W_2 activation(W_1 x)

Source: Vaswani et al. 2017, section 3; Radford et al. 2019, section 2.3; 001; 004 sec. 6.3. Dropout
acts on what a part gives before the sum.

Departs from 004: eq. 6.26 has W_2 for the inner matrix, which is W_1; eq. 6.27 calls the variance
sigma and leaves out its root, the epsilon, the scale and the bias of the norm, all in
`nnx.LayerNorm`; a decoder takes key and value from the encoder, not key and query.

A block of D features and N hidden ones has 4 D (D + 1) + 2 D N + N + D + 4 D parameters, and
4 D (D + 1) + 2 D more with a memory.

Axes: B sequences, T tokens, S tokens of a memory, D features, N hidden features.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.multi_head_attention import AttentionCache, MultiHeadAttention
from jdl.nn.token_layers import LayerNorm, Linear

PLACEMENTS = ("post", "pre", "sublayer")


class FeedForward(nnx.Module):
    """The same perceptron at each token, W_2 activation(W_1 x + b_1) + b_2.

    Args:
        features: D.
        hidden_dim: N.
        activation: elementwise function.
        kernel_size: None is two dense layers; a number, two convolutions along the sequence, which
            with 1 are the same function (004, example 6.3.2), and with more see neighbours, those
            of the future and padding too.
        use_bias: whether there are b_1 and b_2.
        dropout_rate: probability of dropping a hidden feature in training.
        kernel_init: of the weights.
        project_init: of W_2; None takes `kernel_init`.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        features: int,
        hidden_dim: int,
        *,
        activation: Callable = jax.nn.relu,
        kernel_size: int | None = None,
        use_bias: bool = True,
        dropout_rate: float = 0.0,
        kernel_init: Callable = nnx.initializers.xavier_uniform(),
        project_init: Callable | None = None,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"use_bias": use_bias, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}

        def layer(inputs, outputs, init):
            if kernel_size is None:
                return Linear(inputs, outputs, kernel_init=init, **made)
            return nnx.Conv(inputs, outputs, (kernel_size,), kernel_init=init, **made)

        self.activation = activation
        self.expand = layer(features, hidden_dim, kernel_init)
        self.project = layer(hidden_dim, features, project_init or kernel_init)
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """[B, T, D] -> [B, T, D]."""
        return self.project(self.dropout(self.activation(self.expand(x)), rngs=rngs))


class TransformerBlock(nnx.Module):
    """A block of an encoder, of a decoder-only model, or of a decoder that sees a memory.

    Args:
        features: D.
        num_heads: of attention.
        hidden_dim: N; None is 4 D.
        head_dim: features of a head; None shares D equally.
        cross_attention: whether there is a part that sees a memory, as a decoder's has.
        memory_features: of the memory; None is D.
        norm_placement: "post", "pre" or "sublayer".
        activation: of the perceptron, elementwise.
        kernel_size: as `FeedForward` has it.
        dropout_rate: of what a part gives.
        attention_dropout_rate: of attention's weights.
        hidden_dropout_rate: of the perceptron's hidden features.
        epsilon: of the norms; PyTorch's 1e-5. BERT's is 1e-12, ViT's 1e-6.
        use_bias: whether attention's projections have biases.
        kernel_init: of all weights.
        project_init: of those that give to the stream; None takes `kernel_init`.
        implementation: as `jdl.nn.attention.attention` has it.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Raises:
        ValueError: another placement; heads that do not divide the features.

    Example:
        >>> from jdl.functional import functional
        >>> block = functional(lambda rngs: TransformerBlock(8, 2, rngs=rngs))
        >>> variables = jax.eval_shape(block.init, jax.random.key(0))
        >>> jax.eval_shape(block.apply, variables, jnp.ones([3, 5, 8]))[0].shape
        (3, 5, 8)
    """

    def __init__(
        self,
        features: int,
        num_heads: int,
        hidden_dim: int | None = None,
        *,
        head_dim: int | None = None,
        cross_attention: bool = False,
        memory_features: int | None = None,
        norm_placement: str = "post",
        activation: Callable = jax.nn.relu,
        kernel_size: int | None = None,
        dropout_rate: float = 0.1,
        attention_dropout_rate: float = 0.0,
        hidden_dropout_rate: float = 0.0,
        epsilon: float = 1e-5,
        use_bias: bool = True,
        kernel_init: Callable = nnx.initializers.xavier_uniform(),
        project_init: Callable | None = None,
        implementation: str | None = None,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if norm_placement not in PLACEMENTS:
            raise ValueError(f"norm_placement is one of {PLACEMENTS}; got {norm_placement!r}")
        made = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        drawn = {"kernel_init": kernel_init, "project_init": project_init, **made}
        attends = {
            "head_dim": head_dim,
            "use_bias": use_bias,
            "dropout_rate": attention_dropout_rate,
            "implementation": implementation,
            **drawn,
        }
        self.norm_placement = norm_placement
        self.sees_neighbours = (kernel_size or 1) > 1
        self.attention = MultiHeadAttention(features, num_heads, **attends)
        self.attention_norm = LayerNorm(features, epsilon=epsilon, **made)
        sees = {"memory_features": memory_features, **attends}
        self.cross_attention, self.cross_attention_norm = (
            (
                MultiHeadAttention(features, num_heads, **sees),
                LayerNorm(features, epsilon=epsilon, **made),
            )
            if cross_attention
            else (None, None)
        )
        self.feed_forward = FeedForward(
            features,
            hidden_dim or 4 * features,
            activation=activation,
            kernel_size=kernel_size,
            dropout_rate=hidden_dropout_rate,
            **drawn,
        )
        self.feed_forward_norm = LayerNorm(features, epsilon=epsilon, **made)
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(
        self,
        x: jax.Array,
        memory: jax.Array | None = None,
        *,
        memory_mask: jax.Array | None = None,
        is_causal: bool = False,
        return_weights: bool = False,
        rngs: nnx.Rngs | None = None,
        **seen,
    ):
        """[B, T, D], and a memory [B, S, E] of a decoder -> [B, T, D].

        Args:
            x: the stream.
            memory: of a block with cross-attention.
            memory_mask: [B, H, T, S] or of lengths 1, true where a token may see the memory.
            is_causal: whether a token sees only those before it and itself.
            return_weights: whether attention's weights come too: [B, H, T, T], and [B, H, T, S] or
                None.
            rngs: of dropout.
            seen: mask, bias and turn of `MultiHeadAttention`.
        """
        if is_causal:
            self._check_causal()
        common = {"return_weights": return_weights, "rngs": rngs}

        def itself(x):
            return _pair(self.attention(x, is_causal=is_causal, **seen, **common))

        def other(x):
            return _pair(self.cross_attention(x, memory, mask=memory_mask, **common))

        x, weights = self._added(x, itself, self.attention_norm, rngs)
        crossed = None
        if self.cross_attention is not None:
            x, crossed = self._added(x, other, self.cross_attention_norm, rngs)
        x = self._perceived(x, rngs)
        return (x, (weights, crossed)) if return_weights else x

    def step(
        self,
        x: jax.Array,
        cache: AttentionCache,
        position: jax.Array,
        memory: tuple[jax.Array, jax.Array] | None = None,
        *,
        memory_mask: jax.Array | None = None,
        **seen,
    ) -> tuple[jax.Array, AttentionCache]:
        """Tokens [B, T, D] from a position on, the past in a cache -> [B, T, D], the cache.

        Args:
            x: the stream; one token, or the first few at once.
            cache: `attention.empty_cache`, or that of the step before.
            position: [B], of the first of the tokens.
            memory: keys and values of `cross_attention.keys_values`, computed once.
            memory_mask: as the call has it.
            seen: turn, bias and mask of `MultiHeadAttention.step`.
        """
        self._check_causal()

        def itself(x):
            return self.attention.step(x, cache, position, **seen)

        def other(x):
            return self.cross_attention.attend(x, *memory, mask=memory_mask), None

        x, cache = self._added(x, itself, self.attention_norm, None)
        if self.cross_attention is not None:
            x, _ = self._added(x, other, self.cross_attention_norm, None)
        return self._perceived(x, None), cache

    def _perceived(self, x, rngs):
        def perceive(x):
            return self.feed_forward(x, rngs=rngs), None

        return self._added(x, perceive, self.feed_forward_norm, rngs)[0]

    def _added(self, x, part, norm, rngs):
        """What the part gives, added to the stream; and what else it returns."""
        given, more = part(norm(x) if self.norm_placement == "pre" else x)
        given = self.dropout(given, rngs=rngs)
        if self.norm_placement == "post":
            return norm(x + given), more
        return x + (norm(given) if self.norm_placement == "sublayer" else given), more

    def _check_causal(self):
        if self.sees_neighbours:
            raise ValueError(
                "convolutions of more than one token see the future, which causal attention hides; "
                "set kernel_size to None or 1"
            )


def _pair(found):
    return found if isinstance(found, tuple) else (found, None)
