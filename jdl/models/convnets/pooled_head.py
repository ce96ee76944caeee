"""The end of most convolutional classifiers: the mean over space, dropout, and a linear layer.

Regression is the same head: a network of `num_classes=K` has K outputs, of any scale, for the
squared error of `jdl.train.regression` (ages, angles, places of landmarks).

Axes: B images, H rows, W columns, C channels, K classes.
"""

import jax
import jax.numpy as jnp
from flax import nnx


class PooledHead(nnx.Module):
    """Maps to logits by way of their means.

    Args:
        in_features: C.
        num_classes: K; None for no linear layer, so that the outputs are the means.
        dropout_rate: probability of dropping a mean while training.
        kernel_init: of the linear layer.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.

    Example:
        >>> head = PooledHead(8, None, rngs=nnx.Rngs(0))
        >>> head(jnp.ones([2, 3, 3, 8])).shape
        (2, 8)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int | None,
        *,
        dropout_rate: float = 0.0,
        kernel_init: jax.nn.initializers.Initializer = nnx.initializers.lecun_normal(),
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.dropout = nnx.Dropout(dropout_rate)
        options = {"kernel_init": kernel_init, "dtype": dtype, "param_dtype": param_dtype}
        self.linear = (
            None
            if num_classes is None
            else nnx.Linear(in_features, num_classes, **options, rngs=rngs)
        )

    def __call__(self, maps: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Maps [B, H, W, C] -> logits [B, K], or means [B, C] if there are no classes."""
        means = self.dropout(maps.mean((1, 2)), rngs=rngs)
        return means if self.linear is None else self.linear(means)
