"""The end of AlexNet and VGG: two wide hidden layers, which have most of the parameters.

    maps [B, H, W, C]
      -> means of G x G regions [B, G, G, C]     nothing where H = W = G
      -> flatten -> D -> rectifier -> dropout -> D -> rectifier -> dropout -> classes

Axes: B images, H rows, W columns, C channels, D hidden units, K classes.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.nn.pooling import adaptive_avg_pool


class DenseHead(nnx.Module):
    """Maps to logits by way of two hidden layers.

    Args:
        in_features: C.
        grid: G; with images of the published size the means change nothing.
        num_classes: K; None for no layers, so that the outputs are the means over space.
        hidden_dim: D.
        dropout_rate: of the hidden units.
        drop_inputs: drop the inputs of both hidden layers in place of their outputs.
        kernel_init: of the three layers.
        bias_init: of the hidden layers.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Example:
        >>> from jdl.functional import functional
        >>> model = functional(lambda rngs: DenseHead(8, 2, 3, hidden_dim=5, rngs=rngs))
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.apply, variables, jnp.ones([1, 7, 4, 8]))[0].shape
        (1, 3)
    """

    def __init__(
        self,
        in_features: int,
        grid: int,
        num_classes: int | None,
        *,
        hidden_dim: int = 4096,
        dropout_rate: float = 0.5,
        drop_inputs: bool = False,
        kernel_init: jax.nn.initializers.Initializer = nnx.initializers.normal(0.01),
        bias_init: jax.nn.initializers.Initializer = nnx.initializers.zeros_init(),
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        made = {"kernel_init": kernel_init, "dtype": dtype, "param_dtype": param_dtype}
        hidden = {"bias_init": bias_init, **made, "rngs": rngs}
        self.grid, self.drop_inputs = grid, drop_inputs
        self.dropout = nnx.Dropout(dropout_rate)
        self.has_classes = num_classes is not None
        if self.has_classes:
            self.dense1 = nnx.Linear(grid**2 * in_features, hidden_dim, **hidden)
            self.dense2 = nnx.Linear(hidden_dim, hidden_dim, **hidden)
            self.head = nnx.Linear(hidden_dim, num_classes, **made, rngs=rngs)

    def __call__(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, H, W, C] -> logits [B, K], or means [B, C] if there are no classes."""
        if not self.has_classes:
            return maps.mean((1, 2))
        x = adaptive_avg_pool(maps, self.grid)
        x = x.reshape(x.shape[0], -1)
        for dense in (self.dense1, self.dense2):
            if self.drop_inputs:
                x = jax.nn.relu(dense(self.dropout(x, rngs=rngs)))
            else:
                x = self.dropout(jax.nn.relu(dense(x)), rngs=rngs)
        return self.head(x)
