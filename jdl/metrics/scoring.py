"""Proper scores: rules whose mean is best for those who state the true probabilities.

    Brier   sum over classes of (p - [label])^2             classes
    NLL     - log p[label]                                  classes
    CRPS    integral of (F(x) - [x >= y])^2 dx              values
          = E|X - y| - E|X - X'| / 2,   X, X' ~ F independent

Smaller is better for all. CRPS has the unit of the targets and is the absolute error where F is one
point.

Source: Brier 1950; Murphy 1973, with the two parts within the bins of Stephenson, Coelho, Jolliffe
2008, eq. 5; Gneiting and Raftery 2007, eq. 20 and 21.

Axes: N examples, C classes, S draws.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from jdl.metrics.calibration import check_classes


class BrierParts(NamedTuple):
    """What a Brier score is made of: reliability - resolution + uncertainty + within.

    Attributes:
        reliability: mean square of the gaps between probability and frequency; 0 is calibrated.
        resolution: variance of the frequencies between bins; large is informed.
        uncertainty: the score of the frequencies of the classes, known beforehand.
        within: variance of the probabilities within bins less twice their covariance with the
            outcomes; it vanishes as the bins get narrow.
    """

    reliability: jax.Array
    resolution: jax.Array
    uncertainty: jax.Array
    within: jax.Array


def brier_score(probabilities: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean squared distance of probabilities from what happened.

    Args:
        probabilities: [N, C].
        labels: true classes [N], integers.

    Returns:
        A number in [0, 2]. For two classes, twice the score that counts class 1 alone.

    Raises:
        ValueError: other shapes, or labels that are not integers.
    """
    check_classes(probabilities, labels)
    outcomes = jax.nn.one_hot(labels, probabilities.shape[-1], dtype=probabilities.dtype)
    return jnp.mean(jnp.sum((probabilities - outcomes) ** 2, -1))


def brier_decomposition(
    probabilities: jax.Array, labels: jax.Array, *, num_bins: int = 15
) -> BrierParts:
    """Splits the Brier score, class by class in bins of equal width; the parts of classes add up.

    Args:
        probabilities: [N, C].
        labels: true classes [N], integers.
        num_bins: of the probability of a class.

    Returns:
        BrierParts, whose signed sum is `brier_score`.

    Raises:
        ValueError: other shapes, or labels that are not integers.
    """
    check_classes(probabilities, labels)
    outcomes = jax.nn.one_hot(labels, probabilities.shape[-1], dtype=probabilities.dtype)

    def parts(p, o):
        bins = jnp.searchsorted(jnp.linspace(0.0, 1.0, num_bins + 1)[1:-1], p)
        count = jax.ops.segment_sum(jnp.ones_like(p), bins, num_bins)
        mean_p, mean_o = (
            jax.ops.segment_sum(x, bins, num_bins) / jnp.maximum(count, 1) for x in (p, o)
        )
        share, base = count / len(p), o.mean()
        spread = p - mean_p[bins]
        return BrierParts(
            jnp.sum(share * (mean_p - mean_o) ** 2),
            jnp.sum(share * (mean_o - base) ** 2),
            base * (1 - base),
            jnp.mean(spread**2) - 2 * jnp.mean(spread * (o - mean_o[bins])),
        )

    return jax.tree.map(jnp.sum, jax.vmap(parts, (1, 1))(probabilities, outcomes))


def negative_log_likelihood(probabilities: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean surprise at the labels. For logits, Optax's cross-entropy is the same.

    Args:
        probabilities: [N, C], such as the means over draws.
        labels: true classes [N], integers.

    Returns:
        Nats, infinite if something happened that was called impossible.

    Raises:
        ValueError: other shapes, or labels that are not integers.
    """
    check_classes(probabilities, labels)
    return -jnp.mean(jnp.log(jnp.take_along_axis(probabilities, labels[:, None], -1)))


def crps_normal(mean: jax.Array, std: jax.Array, targets: jax.Array) -> jax.Array:
    """The continuous ranked probability score of normal predictions.

        std * (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)),   z = (target - mean) / std

    Args:
        mean: [...].
        std: of the same shape, positive.
        targets: of the same shape.

    Returns:
        The score of each target, in its unit.

    Example:
        >>> round(float(crps_normal(jnp.zeros([]), jnp.ones([]), jnp.zeros([]))), 4)
        0.2337
    """
    z = (targets - mean) / std
    return std * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi))


def crps_ensemble(draws: jax.Array, targets: jax.Array, *, fair: bool = False) -> jax.Array:
    """The continuous ranked probability score of predictions that are draws.

    Args:
        draws: [S, ...], of the targets with their noise: `jdl.bayes.predictive.sample_targets`.
        targets: [...].
        fair: estimate the score of what the S draws came from, not that of the draws themselves:
            the mean over pairs of *different* draws (Ferro 2014). It needs two or more.

    Returns:
        The score of each target, in its unit.

    Raises:
        ValueError: other shapes, or one draw and `fair`.

    Example:
        >>> crps_ensemble(jnp.array([1.0, 3.0]), jnp.array(2.0)).tolist()  # 1 - 2/2 * 1/2
        0.5
    """
    count = len(draws)
    if draws.shape[1:] != targets.shape or count < 1 + fair:
        raise ValueError(
            f"draws are [S, ...] over targets [...], at least {1 + fair}; got "
            f"{list(draws.shape)} and {list(targets.shape)}"
        )
    offsets = draws - targets[None]
    # Sorted, the i-th draw is larger than i - 1 others and smaller than S - i. Offsets, lest a
    # large mean, which falls out of the sum of gaps, take their digits.
    weights = (2 * jnp.arange(1, count + 1) - count - 1).astype(offsets.dtype)
    gaps = jnp.tensordot(weights, jnp.sort(offsets, 0), 1)
    return jnp.mean(jnp.abs(offsets), 0) - gaps / (count * (count - 1 if fair else count))
