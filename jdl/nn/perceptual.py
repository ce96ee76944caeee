"""The perceptual loss: distance in the features of a network, not in pixels.

    loss(x, y) = sum_l weight_l * mean over the entries of layer l of (phi_l(x) - phi_l(y))^2

Source: Johnson, Alahi, Fei-Fei 2016, eq. 2; Ledig and others 2017 (SRGAN), eq. 5, with one layer of
VGG-19. 000 and 004 ch. 8 describe it in words. Any Model whose outputs are features serves.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Model, Tree, Variables


def perceptual_loss(
    features: Model, variables: Variables, weights: Tree | None = None
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The perceptual loss in the features of a network that stays as it is.

    Args:
        features: images [B, ...] -> an array [B, ...] or a tree of them, one a layer.
        variables: of that network, trained for something else.
        weights: a number for each layer, a tree like the features; None for 1.

    Returns:
        (images [B, ...], targets [B, ...]) -> [B].

    Raises:
        ValueError: at the call, weights of another structure than the features.

    Example:
        >>> from jdl.functional import functional
        >>> from flax import nnx
        >>> network = functional(lambda rngs: nnx.Linear(4, 3, rngs=rngs))
        >>> loss = perceptual_loss(network, network.init(jax.random.key(0)))
        >>> loss(jnp.ones([2, 4]), jnp.ones([2, 4])).tolist()
        [0.0, 0.0]
    """

    def loss(images, targets):
        ours, theirs = (features.apply(variables, x)[0] for x in (images, targets))
        scales = jax.tree.map(lambda x: 1.0, ours) if weights is None else weights

        def distance(weight, a, b):
            return weight * jnp.mean((a - b) ** 2, axis=tuple(range(1, a.ndim)))

        return sum(jax.tree.leaves(jax.tree.map(distance, scales, ours, theirs)))

    return loss
