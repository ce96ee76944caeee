"""The scores of the classes that are to be explained."""

import jax
import jax.numpy as jnp


def classes_or_best(logits: jax.Array, classes: jax.Array | None) -> jax.Array:
    """The classes asked for, or those with the largest logits.

    Args:
        logits: [B, K].
        classes: integers [B], one for all [], or None.

    Returns:
        Integers [B].

    Raises:
        ValueError: classes of another shape or dtype.
    """
    if classes is None:
        return logits.argmax(-1)
    classes = jnp.asarray(classes)
    if not jnp.issubdtype(classes.dtype, jnp.integer) or classes.shape not in (
        (),
        logits.shape[:1],
    ):
        raise ValueError(
            f"classes are integers [{len(logits)}], or one for all images; "
            f"got {classes.dtype}{list(classes.shape)}"
        )
    return jnp.broadcast_to(classes, logits.shape[:1])


def scores_of(scores: jax.Array, classes: jax.Array) -> jax.Array:
    """The score of each example's own class.

    Args:
        scores: [B, K].
        classes: integers [B].

    Returns:
        [B].
    """
    return jnp.take_along_axis(scores, classes[:, None], axis=-1)[:, 0]
