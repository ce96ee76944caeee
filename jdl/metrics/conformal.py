"""Conformal prediction: intervals and sets that hold the target as often as they claim.

    quantile = the ceil((n + 1) level)-th smallest score of n calibration examples
    set      = all candidate targets whose score is at most the quantile

If the calibration examples and the new one are exchangeable, the set holds the new target with a
probability between `level` and `level + 1/(n + 1)` (the upper bound without ties), whatever the
model. It is a mean over inputs, not a promise for each. A score says how odd a target is:

    values    |y - mean| / scale                         `residual_scores`
              max(lower - y, y - upper)                  `quantile_scores`
    classes   1 - p[class]                               `lac_scores`
              mass of the likelier classes + u p[class]  `aps_scores`, RAPS with a penalty

Scores of classes are of all classes [N, C], so the sets are `scores <= quantile` and calibration
takes the column of the label. Calibrate on examples the model was not trained on.

Source: Papadopoulos et al. 2002; Lei et al. 2018, theorem 2.2; Romano, Patterson, Candes 2019;
Sadinle, Lei, Wasserman 2019; Romano, Sesia, Candes 2020; Angelopoulos et al. 2021.

Axes: n calibration examples, N examples, C classes.
"""

import math

import jax
import jax.numpy as jnp

from jdl.core import Key


def conformal_quantile(scores: jax.Array, level: float = 0.9) -> jax.Array:
    """The largest score that a set of a given coverage lets in.

    Args:
        scores: of the true targets of calibration examples, [n].
        level: probability that a set holds its target, in (0, 1).

    Returns:
        The ceil((n + 1) level)-th smallest score.

    Raises:
        ValueError: fewer than level / (1 - level) examples, too few for any finite quantile.

    Example:
        >>> conformal_quantile(jnp.arange(1.0, 20.0), 0.9).tolist()  # the 18th of 19
        18.0
    """
    if scores.ndim != 1 or not 0 < level < 1:
        raise ValueError(
            f"scores are [n] and a level is in (0, 1); got {list(scores.shape)} and level={level}"
        )
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    if rank > len(scores):
        needed = math.ceil(level / (1 - level) - 1e-9)
        raise ValueError(
            f"a level of {level} needs at least {needed} calibration examples; got "
            f"{len(scores)}. Give more, or lower the level"
        )
    return jnp.sort(scores)[rank - 1]


def class_quantiles(
    scores: jax.Array, labels: jax.Array, num_classes: int, level: float = 0.9
) -> jax.Array:
    """A quantile for each class, so that the sets hold the label of every class that often.

    Args:
        scores: of the true labels of calibration examples, [n].
        labels: [n], integers.
        num_classes: C.
        level: probability that a set holds the label, given the label.

    Returns:
        [C]; infinite for a class with too few examples, which is then in every set. The sets are
        `scores <= quantiles[None]`.

    Raises:
        ValueError: other shapes, or a level outside of (0, 1).

    Source: Vovk, Lindsay, Nouretdinov, Gammerman 2003, Mondrian confidence machines.
    """
    if scores.ndim != 1 or scores.shape != labels.shape or not 0 < level < 1:
        raise ValueError(
            "scores and labels are [n] and a level is in (0, 1); got "
            f"{list(scores.shape)}, {list(labels.shape)} and level={level}"
        )
    ours = labels[None] == jnp.arange(num_classes)[:, None]
    ranks = jnp.ceil((ours.sum(1) + 1) * level - 1e-5).astype(int)
    ordered = jnp.sort(jnp.where(ours, scores[None], jnp.inf), 1)
    ordered = jnp.concatenate([ordered, jnp.full([num_classes, 1], jnp.inf)], 1)
    return jnp.take_along_axis(ordered, ranks[:, None] - 1, 1)[:, 0]


def residual_scores(
    mean: jax.Array, targets: jax.Array, scale: jax.Array | float = 1.0
) -> jax.Array:
    """The distance of targets [n] from predictions [n], in units of a predicted scale."""
    return jnp.abs(targets - mean) / scale


def residual_interval(
    mean: jax.Array, quantile: jax.Array, scale: jax.Array | float = 1.0
) -> tuple[jax.Array, jax.Array]:
    """The targets whose `residual_scores` are at most a quantile.

    Args:
        mean: predictions [N].
        quantile: of the calibration scores.
        scale: [N], the same function of the inputs as in the scores, such as a predictive
            standard deviation; 1 gives all intervals one width.

    Returns:
        Lower and upper ends [N].

    Example:
        >>> quantile = conformal_quantile(residual_scores(jnp.zeros(9), jnp.arange(9.0)), 0.8)
        >>> low, high = residual_interval(jnp.array([10.0]), quantile)
        >>> low.tolist(), high.tolist()
        ([3.0], [17.0])
    """
    return mean - quantile * scale, mean + quantile * scale


def quantile_scores(lower: jax.Array, upper: jax.Array, targets: jax.Array) -> jax.Array:
    """How far targets [n] lie outside of predicted intervals [n]; negative inside."""
    return jnp.maximum(lower - targets, targets - upper)


def quantile_interval(
    lower: jax.Array, upper: jax.Array, quantile: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Predicted intervals, widened (or narrowed: the quantile may be negative) until they hold.

    Args:
        lower: ends of predicted intervals [N], such as those of `predictive_interval`.
        upper: [N].
        quantile: of the `quantile_scores` of calibration examples.

    Returns:
        Lower and upper ends [N]; the lower is above the upper where nothing is left.

    Source: Romano, Patterson, Candes 2019, conformalised quantile regression.
    """
    return lower - quantile, upper + quantile


def lac_scores(probabilities: jax.Array) -> jax.Array:
    """1 - p of each class [N, C]: the smallest sets on average, and empty ones where all is odd.

    Example:
        >>> p = jnp.array([[0.7, 0.2, 0.1]])
        >>> (lac_scores(p) <= 0.85).tolist()
        [[True, True, False]]
    """
    return 1 - probabilities


def aps_scores(
    probabilities: jax.Array,
    key: Key | None = None,
    *,
    penalty: float = 0.0,
    free: int = 0,
) -> jax.Array:
    """The mass of the classes at least as likely, for sets that adapt to hard inputs.

        score of a class = mass of the likelier classes + u p[class]
                           + penalty * max(0, rank of the class - free),   u ~ uniform(0, 1)

    Args:
        probabilities: [N, C].
        key: of u, one for an example; another for the calibration and the new examples. Without
            it u = 1: no chance in the sets, which are then larger than they need be.
        penalty: of classes far down, as in RAPS: 0.01 to 0.1 makes smaller sets.
        free: classes without a penalty, about as many as contain the label.

    Returns:
        Scores [N, C].

    Raises:
        ValueError: another rank.

    Source: Romano, Sesia, Candes 2020, eq. 5 to 7; Angelopoulos et al. 2021, eq. 4.

    Example:
        >>> aps_scores(jnp.array([[0.2, 0.5, 0.3]])).round(3).tolist()
        [[1.0, 0.5, 0.800000011920929]]
    """
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities are [N, C]; got {list(probabilities.shape)}")
    order = jnp.argsort(-probabilities, -1, stable=True)
    ranks = jnp.argsort(order, -1)  # of each class, 0 for the likeliest
    falling = jnp.take_along_axis(probabilities, order, -1)
    mass = jnp.take_along_axis(jnp.cumsum(falling, -1), ranks, -1)
    count = len(probabilities)
    u = jnp.ones([count]) if key is None else jax.random.uniform(key, [count])
    extra = penalty * jnp.maximum(0, ranks + 1 - free)
    return mass - (1 - u[:, None]) * probabilities + extra
