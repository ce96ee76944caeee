"""How well a score ranks positives above negatives, at all thresholds at once.

    TPR(t) = share of positives with score >= t        FPR(t) = share of negatives with score >= t
    AUROC  = area under TPR over FPR = P(score of a positive > of a negative) + P(equal) / 2
    average precision = sum over thresholds of (gain in TPR) * precision

For detecting what is out of distribution, that is the positive class and its score is an
uncertainty: the entropy, the mutual information, or the negative largest probability.

Equal scores pass a threshold together, so the points within a tie repeat its last one: curves have
a fixed length and can be jitted. Without positives or without negatives a share is NaN.

Source: Fawcett 2006, algorithms 1 and 2; Hendrycks and Gimpel 2017 for the task; Liang, Li, Srikant
2018 for FPR at 95 % TPR.

Axes: N examples, sorted by falling score.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class RocCurve(NamedTuple):
    """Shares that pass a falling threshold; the first point is (0, 0) at infinity.

    Attributes:
        false_positive_rate: [N + 1], from 0 to 1.
        true_positive_rate: [N + 1], from 0 to 1, also called recall.
        thresholds: [N + 1]; what is as large is called positive.
    """

    false_positive_rate: jax.Array
    true_positive_rate: jax.Array
    thresholds: jax.Array


def roc_curve(scores: jax.Array, positive: jax.Array) -> RocCurve:
    """The receiver operating characteristic of a score.

    Args:
        scores: [N], larger where an example is rather positive.
        positive: [N], true or 1 for positives.

    Returns:
        A RocCurve.

    Raises:
        ValueError: other shapes.

    Example:
        >>> curve = roc_curve(jnp.array([0.9, 0.8, 0.3]), jnp.array([1, 0, 1]))
        >>> curve.true_positive_rate.tolist(), curve.false_positive_rate.tolist()
        ([0.0, 0.5, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0])
    """
    positives, negatives, thresholds = _passing(scores, positive)
    return RocCurve(negatives / negatives[-1], positives / positives[-1], thresholds)


def auroc(scores: jax.Array, positive: jax.Array) -> jax.Array:
    """The area under the ROC curve: 1 is perfect, 1/2 is chance.

    Args:
        scores: [N], larger where an example is rather positive.
        positive: [N], true or 1 for positives.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: other shapes.
    """
    x, y, _ = roc_curve(scores, positive)
    return jnp.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1])) / 2


def average_precision(scores: jax.Array, positive: jax.Array) -> jax.Array:
    """The area under precision over recall, in steps; chance is the share of positives.

    Args:
        scores: [N], larger where an example is rather positive.
        positive: [N], true or 1 for positives.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: other shapes.
    """
    positives, negatives, _ = _passing(scores, positive)
    precision = positives[1:] / (positives[1:] + negatives[1:])
    return jnp.sum((positives[1:] - positives[:-1]) / positives[-1] * precision)


def fpr_at_tpr(scores: jax.Array, positive: jax.Array, level: float = 0.95) -> jax.Array:
    """The share of negatives that pass when at least `level` of the positives do.

    Args:
        scores: [N], larger where an example is rather positive.
        positive: [N], true or 1 for positives.
        level: of the true positive rate.

    Returns:
        A number in [0, 1]: 0 is perfect.

    Raises:
        ValueError: other shapes.
    """
    x, y, _ = roc_curve(scores, positive)
    return x[jnp.argmax(y >= level - 1e-6)]


def _passing(scores, positive):
    """Positives and negatives that pass each threshold, and the thresholds."""
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(
            f"scores and positive are [N]; got {list(scores.shape)} and {list(positive.shape)}"
        )
    scores, positive = jnp.asarray(scores), jnp.asarray(positive)
    order = jnp.argsort(-scores, stable=True)
    falling, hits = scores[order], positive[order].astype(bool)
    last = jnp.searchsorted(-falling, -falling, side="right") - 1  # of the scores equal to it
    positives, negatives = (
        jnp.concatenate([jnp.zeros(1), jnp.cumsum(x)[last].astype(jnp.float32)])
        for x in (hits, ~hits)
    )
    return positives, negatives, jnp.concatenate([jnp.full(1, jnp.inf, falling.dtype), falling])
