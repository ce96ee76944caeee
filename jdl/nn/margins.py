"""Losses with a margin: what is right must be right by more than a little.

    optax.hinge_loss(scores, signs)                 max(0, 1 - y z), y = -1 or 1
    optax.multiclass_hinge_loss(scores, labels)     max(0, 1 + max_{k != y} z_k - z_y)
    optax.losses.triplet_margin_loss(a, p, n, margin=m)
                                                    max(0, |a - p| - |a - n| + m)
    ranking_hinge, contrastive_loss, triplet_loss   here

The first two are max-margin classification, to which 001 gives the name; 000 pairs it with ranking,
which is `ranking_hinge`. Optax adds 1e-6 under the roots of its distances.

Axes: D features of an embedding, last.
"""

import jax
import jax.numpy as jnp


def ranking_hinge(higher: jax.Array, lower: jax.Array, margin: float = 1.0) -> jax.Array:
    """Wants one score above another.

        max(0, margin - (higher - lower))

    Source: Herbrich, Graepel, Obermayer 2000; 000 ch. 4 names it.

    Args:
        higher: scores of what should be ranked higher.
        lower: scores of what should be ranked lower, of the same shape.
        margin: by how much.

    Returns:
        Of the same shape.
    """
    return jax.nn.relu(margin - (higher - lower))


def contrastive_loss(
    first: jax.Array, second: jax.Array, is_same: jax.Array, margin: float = 1.0
) -> jax.Array:
    """Draws embeddings of a kind together, others apart up to a margin.

        d^2 of a pair of one kind, max(0, margin - d)^2 of another;   d = |first - second|

    Source: Hadsell, Chopra, LeCun 2006, eq. 4, which has a factor 1/2 and marks by Y = 1 the pairs
    that differ: `contrastive_loss(a, b, Y == 0, m) / 2`. 001 names it. Two embeddings that are
    equal and should not be have no direction to part: derivative 0.

    Args:
        first: [..., D].
        second: [..., D].
        is_same: booleans [...].
        margin: distance beyond which pairs of different kind are left alone.

    Returns:
        [...].

    Raises:
        ValueError: `is_same` is not boolean: which of 0 and 1 means the same is not agreed on.
    """
    if is_same.dtype != bool:
        raise ValueError(f"is_same is boolean; got {is_same.dtype}. Pass labels == 1, or == 0")
    squares = jnp.sum((first - second) ** 2, axis=-1)
    apart = squares > 0
    distances = jnp.where(apart, jnp.sqrt(jnp.where(apart, squares, 1.0)), 0.0)
    return jnp.where(is_same, squares, jax.nn.relu(margin - distances) ** 2)


def triplet_loss(
    anchors: jax.Array, positives: jax.Array, negatives: jax.Array, margin: float = 0.2
) -> jax.Array:
    """Wants an embedding nearer to one of its kind than to another, in squared distances.

        max(0, |a - p|^2 - |a - n|^2 + margin)

    Source: Schroff, Kalenichenko, Philbin 2015 (FaceNet), eq. 3, of embeddings of length 1; 001
    names it. The form with distances is Optax's.

    Args:
        anchors: a [..., D].
        positives: p, of the anchors' kind, [..., D].
        negatives: n, of another kind, [..., D].
        margin: by how much nearer.

    Returns:
        [...].
    """
    near = jnp.sum((anchors - positives) ** 2, axis=-1)
    far = jnp.sum((anchors - negatives) ** 2, axis=-1)
    return jax.nn.relu(near - far + margin)
