"""Whether two examples are of one kind, said by their distance: "the same" if it is at most t.

    true accepts  TA(t) = share of pairs of a kind with d <= t
    false accepts FA(t) = share of other pairs with d <= t
    equal error rate   FA(t) = 1 - TA(t), between two thresholds by a straight line

Source: Huang et al. 2007 (LFW: the threshold of a fold is chosen on the others); Schroff,
Kalenichenko, Philbin 2015, section 4 (VAL at a FAR of 0.001).

Axes: N pairs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.metrics.ranking import roc_curve


class Threshold(NamedTuple):
    """A threshold, and how well it does on the pairs that it was chosen on.

    Attributes:
        distance: [], pairs at most as far are called the same.
        accuracy: [], the fraction of right pairs.
    """

    distance: jax.Array
    accuracy: jax.Array


def best_threshold(distances: jax.Array, is_same: jax.Array) -> Threshold:
    """The threshold of the most right pairs, the smallest of them.

    Args:
        distances: [N].
        is_same: [N], true for pairs of a kind.

    Returns:
        A Threshold: one of the distances, or minus infinity to call no pair the same.

    Raises:
        ValueError: other shapes.

    Example:
        >>> best_threshold(jnp.array([0.1, 0.4, 0.9]), jnp.array([True, True, False])).distance
        Array(0.4, dtype=float32)
    """
    order = jnp.argsort(distances)
    rising, same = jnp.asarray(distances)[order], jnp.asarray(is_same)[order].astype(bool)
    last = jnp.searchsorted(rising, rising, side="right") - 1  # of the distances equal to it
    gained = jnp.cumsum(jnp.where(same, 1, -1))[last]
    right = jnp.concatenate([jnp.zeros(1, gained.dtype), gained]) + (~same).sum()
    best = right.argmax()
    distance = jnp.concatenate([jnp.full(1, -jnp.inf, rising.dtype), rising])[best]
    return Threshold(distance, right[best] / len(distances))


def verification_accuracy(
    distances: jax.Array, is_same: jax.Array, threshold: jax.Array | float
) -> jax.Array:
    """The fraction of pairs [N] that a threshold calls right."""
    return jnp.mean((distances <= threshold) == (is_same != 0))


def cross_validated_accuracy(
    distances: jax.Array, is_same: jax.Array, folds: int = 10
) -> jax.Array:
    """The accuracy on each fold at the threshold that is best on the others.

    Args:
        distances: [N]; the folds are the first N / folds pairs, the next, and so on.
        is_same: [N], true for pairs of a kind.
        folds: F, a divisor of N.

    Returns:
        [F]; LFW's number is their mean.

    Raises:
        ValueError: folds do not divide the pairs.
    """
    if len(distances) % folds or folds < 2:
        raise ValueError(f"folds are 2 or more and divide the {len(distances)} pairs; got {folds}")
    numbers = jnp.arange(folds)
    parts = [jnp.reshape(x, [folds, -1]) for x in (distances, is_same)]

    def of_fold(number):
        others = [x[jnp.nonzero(numbers != number, size=folds - 1)[0]].ravel() for x in parts]
        chosen = best_threshold(*others).distance
        return verification_accuracy(*(x[number] for x in parts), chosen)

    return jax.vmap(of_fold)(numbers)


def equal_error_rate(distances: jax.Array, is_same: jax.Array) -> jax.Array:
    """The error at which as many false pairs are accepted as true ones refused.

    Args:
        distances: [N].
        is_same: [N], true for pairs of a kind; both kinds occur.

    Returns:
        A number in [0, 1]; 1/2 is chance.
    """
    false, true, _ = roc_curve(-jnp.asarray(distances), jnp.asarray(is_same))
    excess = false - (1 - true)  # rises from -1 to 1
    after = jnp.argmax(excess >= 0)
    part = -excess[after - 1] / (excess[after] - excess[after - 1])
    return false[after - 1] + part * (false[after] - false[after - 1])


def true_accept_rate(
    distances: jax.Array, is_same: jax.Array, false_accepts: float = 1e-3
) -> jax.Array:
    """The largest share of true pairs accepted with at most that share of false ones.

    Args:
        distances: [N].
        is_same: [N], true for pairs of a kind.
        false_accepts: share of the other pairs; 0.001 as FaceNet has it.

    Returns:
        A number in [0, 1].
    """
    false, true, _ = roc_curve(-jnp.asarray(distances), jnp.asarray(is_same))
    return jnp.where(false <= false_accepts, true, 0).max()
