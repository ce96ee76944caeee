"""Whether probabilities mean what they say: of all statements made with 80 %, 80 % are true.

    ECE = sum over bins of n_bin / N * |accuracy of the bin - mean confidence of the bin|
    MCE = the largest of these gaps

A reliability table is a sum over examples, so those of batches add up. Errors in bins depend on the
bins, and are biased upwards where the bins are small; the proper scores of `jdl.metrics.scoring`
are not. For values instead of classes, the place of a target in its predictive distribution should
be uniform (Gneiting, Balabdaoui, Raftery 2007), so that intervals hold what they claim.

Source: Guo, Pleiss, Sun, Weinberger 2017, eq. 2 to 5 and 9; Nguyen and O'Connor 2015 for bins of
equal mass; Kuleshov, Fenner, Ermon 2018, section 3.3, for coverage.

Axes: N examples, C classes, M bins.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

LARGEST = 1e3  # temperature, and its inverse
BISECTIONS = 50


class Reliability(NamedTuple):
    """Sums over the examples of each bin of confidence.

    Attributes:
        confidence: sum of confidences, [M].
        correct: number of right predictions, [M].
        count: number of examples, [M].
        edges: of the bins, [M + 1].
    """

    confidence: jax.Array
    correct: jax.Array
    count: jax.Array
    edges: jax.Array

    @property
    def mean_confidence(self) -> jax.Array:
        """Of each bin [M], 0 in an empty one."""
        return self.confidence / jnp.maximum(self.count, 1)

    @property
    def accuracy(self) -> jax.Array:
        """Of each bin [M], 0 in an empty one."""
        return self.correct / jnp.maximum(self.count, 1)

    def merge(self, other: "Reliability") -> "Reliability":
        """The table of both sets of examples, whose bins are the same."""
        sums = (x + y for x, y in zip(self[:3], other[:3], strict=True))
        return Reliability(*sums, self.edges)


def top_label(probabilities: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How sure a classifier is, and whether it is right.

    Args:
        probabilities: [N, C].
        labels: true classes [N], integers.

    Returns:
        The largest probability [N], and whether that class is the label [N].

    Raises:
        ValueError: other shapes.
    """
    check_classes(probabilities, labels)
    return probabilities.max(-1), probabilities.argmax(-1) == labels


def equal_mass_edges(confidences: jax.Array, num_bins: int = 15) -> jax.Array:
    """Edges [num_bins + 1] of bins that hold equally many of these confidences [N]."""
    ranks = -(-jnp.arange(1, num_bins) * len(confidences) // num_bins) - 1
    inner = jnp.sort(confidences)[jnp.maximum(ranks, 0)]
    return jnp.concatenate([jnp.zeros(1), inner, jnp.ones(1)])


def reliability(
    confidences: jax.Array,
    correct: jax.Array,
    *,
    num_bins: int = 15,
    edges: jax.Array | None = None,
) -> Reliability:
    """The reliability table of predictions.

    Bin m holds the confidences in (edge m, edge m + 1]; 0 is in the first.

    Args:
        confidences: [N] in [0, 1]: of the predicted class, or the probability of class 1.
        correct: [N] 0 or 1: whether the prediction is right, or the class is 1.
        num_bins: of equal width.
        edges: [M + 1], of other bins, such as those of `equal_mass_edges`.

    Returns:
        A Reliability.

    Raises:
        ValueError: other shapes.

    Example:
        >>> table = reliability(jnp.array([0.9, 0.7, 0.8]), jnp.array([1, 0, 1]), num_bins=2)
        >>> table.count.tolist(), round(float(expected_calibration_error(table)), 3)
        ([0.0, 3.0], 0.133)
    """
    if confidences.ndim != 1 or confidences.shape != correct.shape:
        raise ValueError(
            f"confidences and correct are [N]; got {list(confidences.shape)} and "
            f"{list(correct.shape)}. Take top_label(probabilities, labels) first"
        )
    edges = jnp.linspace(0.0, 1.0, num_bins + 1) if edges is None else edges
    bins = jnp.searchsorted(edges[1:-1], confidences)
    sums = [
        jax.ops.segment_sum(x.astype(jnp.float32), bins, len(edges) - 1)
        for x in (confidences, correct, jnp.ones_like(confidences))
    ]
    return Reliability(*sums, edges)


def expected_calibration_error(table: Reliability) -> jax.Array:
    """The mean gap between accuracy and confidence, in [0, 1]."""
    gaps = jnp.abs(table.correct - table.confidence)  # already times the count of the bin
    return gaps.sum() / jnp.maximum(table.count.sum(), 1)


def maximum_calibration_error(table: Reliability) -> jax.Array:
    """The largest gap of a bin, in [0, 1]; small bins have large ones by chance."""
    return jnp.max(jnp.abs(table.accuracy - table.mean_confidence))


def temperature(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The temperature that makes a trained classifier calibrated, by the data of a validation set.

        T = argmin  - mean log softmax(logits / T)[label]

    The loss is convex in 1/T, whose derivative (mean logit under the model less the mean logit of
    the label) is bisected in log T. Divide later logits by T; the predicted classes stay.

    Args:
        logits: [N, C], of examples that the classifier was not trained on.
        labels: true classes [N], integers.

    Returns:
        T [], from 1e-3, where all examples are right with any certainty, to 1e3, where the logits
        tell less than nothing. Above 1 for a classifier that is too sure.

    Raises:
        ValueError: other shapes.

    Source: Guo et al. 2017, eq. 9.

    Example:
        >>> logits = jnp.array([[4.0, 0.0]] * 4)  # right three times of four, not 98 %
        >>> found = temperature(logits, jnp.array([0, 0, 0, 1]))
        >>> round(float(jax.nn.softmax(logits[0] / found)[0]), 4)
        0.75
    """
    check_classes(logits, labels)
    logits = logits - logits.max(-1, keepdims=True)
    chosen = jnp.take_along_axis(logits, labels[:, None], -1)[:, 0]

    def halve(_, bracket):
        cold, hot = bracket
        middle = (cold + hot) / 2
        p = jax.nn.softmax(logits * jnp.exp(-middle))
        too_sure = jnp.mean(jnp.sum(p * logits, -1) - chosen) > 0
        return jnp.where(too_sure, middle, cold), jnp.where(too_sure, hot, middle)

    limit = jnp.log(jnp.asarray(LARGEST, logits.dtype))
    cold, hot = jax.lax.fori_loop(0, BISECTIONS, halve, (-limit, limit))
    return jnp.exp((cold + hot) / 2)


def central_coverage(cdf_values: jax.Array, levels: jax.Array) -> jax.Array:
    """How many targets lie in central intervals of given levels.

    A central interval of level q holds y if its distribution function F(y) is within q / 2 of 1/2.

    Args:
        cdf_values: F(y) [N], of each target y under its own predictive distribution:
            `jax.scipy.stats.norm.cdf(y, mean, std)`, or the share of sampled targets below y.
        levels: [L] in [0, 1].

    Returns:
        Shares [L]; equal to the levels for calibrated predictions, smaller for those too sure.

    Raises:
        ValueError: other shapes.

    Example:
        >>> central_coverage(jnp.array([0.5, 0.9, 0.2, 0.99]), jnp.array([0.5, 0.9])).tolist()
        [0.25, 0.75]
    """
    if cdf_values.ndim != 1 or levels.ndim != 1:
        raise ValueError(
            "central_coverage takes one value of the distribution function an example, [N], and "
            f"levels [L]; got {list(cdf_values.shape)} and {list(levels.shape)}"
        )
    return jnp.mean(jnp.abs(2 * cdf_values[None] - 1) <= levels[:, None], -1)


def check_classes(probabilities: jax.Array, labels: jax.Array) -> None:
    """Refuses what is not probabilities or logits [N, C] with integer labels [N].

    Raises:
        ValueError: says what came instead.
    """
    if (
        probabilities.ndim != 2
        or probabilities.shape[:1] != labels.shape
        or not jnp.issubdtype(labels.dtype, jnp.integer)
    ):
        raise ValueError(
            "classes are judged by probabilities or logits [N, C] and integer labels [N]; got "
            f"{list(probabilities.shape)} and {list(labels.shape)} {labels.dtype}. For two classes "
            "give both: jnp.stack([1 - p, p], -1)"
        )
