"""The graph attention network: each node attends to its neighbours.

    s_ij   = leaky_relu(a^T [W h_i; W h_j])            over the neighbours j of i, and i itself
    a_ij   = softmax_j(s_ij)
    h'_i   = activation([sum_j a_ij W h_j]_heads)      concatenated, in the last layer averaged

Source: Velickovic, Cucurull, Casanova, Romero, Lio, Bengio 2018, eq. 1 to 6 and section 3.3: two
layers, 8 heads of 8 features with ELU, then one head of as many as there are classes; leaky ReLU of
slope 0.2; dropout 0.6 of the inputs of both layers and of the weights, and, as the authors' code
has it, of the projected features. 001 has the name and the formula of the score.

On Cora (1433 features, 7 classes) 92,373 parameters: 8 (1433 * 8 + 3 * 8) + 64 * 7 + 3 * 7, a bias
for each feature behind the sum included, which is in the authors' code and not in the equations;
PyTorch Geometric's layers have as many. The skip connections of the paper's inductive network are
not here.

The adjacency is a dense mask: memory grows with N^2, for graphs of some thousand nodes. Permuted
nodes have permuted outputs.

Axes: B graphs, N nodes, D features, H heads, F features of a head, C classes.
"""

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model
from jdl.functional import functional
from jdl.nn.attention_scores import masked_softmax


def graph_attention(
    in_features: int = 1433,
    num_classes: int = 7,
    hidden_features: int = 8,
    num_heads: int = 8,
    *,
    num_last_heads: int = 1,
    num_layers: int = 2,
    dropout_rate: float = 0.6,
    negative_slope: float = 0.2,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A graph attention network, by default that for Cora.

    Args:
        in_features: D.
        num_classes: C.
        hidden_features: F of each head but the last layer's.
        num_heads: H of each layer but the last.
        num_last_heads: averaged in the last layer; 8 for Pubmed.
        num_layers: with the last.
        dropout_rate: of each layer's inputs, before and behind the projection, and of the weights.
        negative_slope: of the leaky ReLU.
        dtype: of the computation.
        param_dtype: of the params.

    Returns:
        A Model: nodes [B, N, D], adjacency [B, N, N] of booleans, true at (i, j) where i sees j ->
        logits [B, N, C]. A node sees itself always.

    Raises:
        ValueError: from `apply`, shapes that do not fit.

    Example:
        >>> model = graph_attention()
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> sum(x.size for x in jax.tree.leaves(variables.params))
        92373
    """
    rates, dtypes = (dropout_rate, negative_slope), {"dtype": dtype, "param_dtype": param_dtype}
    widths = [(hidden_features, num_heads)] * (num_layers - 1) + [(num_classes, num_last_heads)]
    return functional(lambda rngs: GraphAttention(in_features, widths, rates, dtypes, rngs=rngs))


class GraphAttention(nnx.Module):
    """The network of `graph_attention`."""

    def __init__(self, in_features, widths, rates, dtypes, *, rngs):
        self.layers = nnx.List()
        for features, heads in widths:
            averaged = len(self.layers) == len(widths) - 1
            self.layers.append(
                GraphAttentionLayer(
                    in_features, features, heads, *rates, averaged=averaged, **dtypes, rngs=rngs
                )
            )
            in_features = features * heads

    def __call__(
        self, nodes: jax.Array, adjacency: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Nodes [B, N, D], adjacency [B, N, N] -> logits [B, N, C]."""
        chex.assert_shape(adjacency, (*nodes.shape[:2], nodes.shape[1]), exception_type=ValueError)
        adjacency = adjacency | jnp.eye(nodes.shape[1], dtype=bool)[None]
        x = self.layers[0](nodes, adjacency, rngs=rngs)
        for layer in self.layers[1:]:
            x = layer(jax.nn.elu(x), adjacency, rngs=rngs)
        return x


class GraphAttentionLayer(nnx.Module):
    """Heads of attention to neighbours, concatenated or averaged, without an activation.

    Args:
        in_features: D.
        features: F.
        num_heads: H.
        dropout_rate: of the inputs, before and behind the projection, and of the weights.
        negative_slope: of the leaky ReLU.
        averaged: whether heads are averaged, to F outputs; else H F, one head after the other.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        num_heads: int,
        dropout_rate: float = 0.6,
        negative_slope: float = 0.2,
        *,
        averaged: bool = False,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        init = nnx.initializers.xavier_uniform()
        self.num_heads, self.slope, self.averaged = num_heads, negative_slope, averaged
        made = {"use_bias": False, "kernel_init": init, "dtype": dtype, "param_dtype": param_dtype}
        self.linear = nnx.Linear(in_features, num_heads * features, **made, rngs=rngs)
        # a^T [x; y] is a sum of two products, of the node that asks and of the one that is seen.
        self.query = nnx.Param(init(rngs.params(), [num_heads, features], param_dtype))
        self.key = nnx.Param(init(rngs.params(), [num_heads, features], param_dtype))
        self.bias = nnx.Param(jnp.zeros([features * (1 if averaged else num_heads)], param_dtype))
        self.dropout = nnx.Dropout(dropout_rate)

    def __call__(
        self,
        nodes: jax.Array,
        adjacency: jax.Array,
        *,
        return_weights: bool = False,
        rngs: nnx.Rngs | None = None,
    ):
        """Nodes [B, N, D], adjacency [B, N, N] -> [B, N, H F] or [B, N, F]; weights [B, H, N, N].

        A node without neighbours gets the bias alone: loops are the caller's.
        """
        x = self.linear(self.dropout(nodes, rngs=rngs))
        heads = x.reshape(*x.shape[:2], self.num_heads, -1)
        query, key = (
            jnp.einsum("bnhf,hf->bhn", heads, vector[...].astype(heads.dtype))
            for vector in (self.query, self.key)
        )
        scores = jax.nn.leaky_relu(query[..., :, None] + key[..., None, :], self.slope)
        sums = jnp.promote_types(scores.dtype, jnp.float32)
        weights = masked_softmax(scores.astype(sums), adjacency[:, None]).astype(heads.dtype)
        dropped = self.dropout(weights, rngs=rngs)
        heads = jnp.einsum("bhij,bjhf->bihf", dropped, self.dropout(heads, rngs=rngs))
        outputs = heads.mean(2) if self.averaged else heads.reshape(*heads.shape[:2], -1)
        outputs = outputs + self.bias[...].astype(outputs.dtype)[None, None]
        return (outputs, weights) if return_weights else outputs
