"""Losses with a margin: what is right must be right by more than a little.

    optax.hinge_loss(scores, signs)                 max(0, 1 - y z), y = -1 or 1
    optax.multiclass_hinge_loss(scores, labels)     max(0, 1 + max_{k != y} z_k - z_y)
    optax.losses.triplet_margin_loss(a, p, n, margin=m)
                                                    max(0, |a - p| - |a - n| + m)
    ranking_hinge, contrastive_loss, triplet_loss, semi_hard_triplet_loss, angular_margin   here

The first two are max-margin classification, to which 001 gives the name; 000 pairs it with ranking,
which is `ranking_hinge`. Optax adds 1e-6 under the roots of its distances.

Axes: B examples, D features of an embedding, last, K classes.
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


def semi_hard_triplet_loss(
    embeddings: jax.Array, labels: jax.Array, margin: float = 0.2
) -> jax.Array:
    """The triplet loss of a batch, each pair of a kind with the negative that teaches most.

    Of the negatives that are farther from the anchor than its positive, the nearest is taken; if
    there is none, the farthest of all. The hardest ones, nearer than the positive, would let early
    training collapse to one point.

    Source: Schroff, Kalenichenko, Philbin 2015, section 3.2 (semi-hard, all pairs of a batch).

    Args:
        embeddings: [B, D], of length 1.
        labels: [B], integers.
        margin: by how much nearer a positive should be, in squared distances.

    Returns:
        The mean over all ordered pairs of a kind, []; 0 if there is none, or no negative.
    """
    squares = jnp.sum((embeddings[:, None] - embeddings[None]) ** 2, axis=-1)
    same = labels[:, None] == labels[None]
    pairs = same & ~jnp.eye(len(labels), dtype=bool) & (~same).any(-1)[:, None]
    beyond = ~same[:, None] & (squares[:, None] > squares[:, :, None])  # [anchor, positive, other]
    nearest = jnp.where(beyond, squares[:, None], jnp.inf).min(-1)
    farthest = jnp.where(same, -jnp.inf, squares).max(-1)[:, None]
    far = jnp.where(beyond.any(-1), nearest, farthest)
    losses = jnp.where(pairs, jax.nn.relu(squares - far + margin), 0.0)
    return losses.sum() / jnp.maximum(pairs.sum(), 1)


def angular_margin(cosines: jax.Array, labels: jax.Array, margin: float = 0.5) -> jax.Array:
    """Cosines of which that of the label is of an angle that much wider (ArcFace).

        cos(theta_y + margin) for the label y, cos(theta_j) for the others

    Their softmax at a scale, 64 as published, is the loss: the margin must be overcome. Past
    theta = pi - margin, where the cosine would rise again, it goes on falling: cos(theta) -
    margin sin(margin), as in the authors' code.

    Source: Deng, Guo, Xue, Zafeiriou 2019, eq. 3.

    Args:
        cosines: [B, K], of embeddings and prototypes of length 1.
        labels: [B], integers in [0, K).
        margin: in radians.

    Returns:
        [B, K].

    Example:
        >>> angular_margin(jnp.array([[1.0, 0.5]]), jnp.array([0]), jnp.pi / 3).round(3).tolist()
        [[0.5, 0.5]]
    """
    cosines = jnp.clip(cosines, -1.0, 1.0)
    squares = 1 - cosines**2
    sines = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
    wider = cosines * jnp.cos(margin) - sines * jnp.sin(margin)
    wider = jnp.where(cosines > -jnp.cos(margin), wider, cosines - margin * jnp.sin(margin))
    return jnp.where(jax.nn.one_hot(labels, cosines.shape[-1], dtype=bool), wider, cosines)
