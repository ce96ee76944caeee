"""When to stop, and which evaluation was the best.

An evaluation improves on the best so far, b, if

    value < b - min_change        (value > b + min_change where larger is better)

A tie is no improvement, nor is nan. Training stops after `patience` bad evaluations in a row:

    no_better             not value < b               000 ch. 6; 004 ch. 2
    worse                 not value <= b              001, "consecutive worse checks"
    worse_by_a_deviation  not value <= b + deviation  001, "minimum plus one standard deviation"

with b less min_change. 001 does not say a deviation of what: it is that of the last evaluations.
Whatever stops a run, `fit` gives back the variables of its best evaluation (000 keeps the last).
"""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

Bad = Callable[[float, float, Sequence[float]], bool]


def no_better(value: float, best: float, earlier: Sequence[float]) -> bool:
    """Whether a value, of which less is better, does not beat the best. A tie is bad."""
    return not value < best


def worse(value: float, best: float, earlier: Sequence[float]) -> bool:
    """Whether a value, of which less is better, falls behind the best. A tie is not bad."""
    return not value <= best


def worse_by_a_deviation(window: int) -> Bad:
    """A rule by which a value is bad if it exceeds the best by a standard deviation.

    Args:
        window: of how many evaluations before it, at least 2; the deviation is that of 1/(n - 1),
            0 before there are two.

    Returns:
        (value, best, earlier) -> bool, for `EarlyStopping(..., bad=...)`.
    """
    if window < 2:
        raise ValueError(f"a deviation is of at least 2 evaluations; got window={window}")

    def bad(value, best, earlier):
        recent = earlier[-window:]
        return not value <= best + (statistics.stdev(recent) if len(recent) > 1 else 0.0)

    return bad


class EarlyStopping(NamedTuple):
    """A rule for `fit`, which then returns the variables of the best evaluation.

    Attributes:
        metric: name of an entry of the evaluation.
        patience: bad evaluations in a row after which to stop; None never stops, and only the best
            is kept.
        min_change: what an improvement must exceed, in units of the metric.
        larger_is_better: True for an accuracy, False for a loss.
        bad: what counts against the patience: `no_better`, `worse`, `worse_by_a_deviation(5)`, or a
            function of a value, the best before it less `min_change`, and all values before it;
            their signs are changed where larger is better.
    """

    metric: str
    patience: int | None = 10
    min_change: float = 0.0
    larger_is_better: bool = False
    bad: Bad = no_better


def best_evaluation(rule: EarlyStopping, values: Sequence[float]) -> int | None:
    """The index of the last improvement among the values of the metric, None if there is none.

    Args:
        rule: what counts as an improvement.
        values: of the metric, in the order of the evaluations.

    Example:
        >>> best_evaluation(EarlyStopping("loss"), [3.0, 2.0, 2.0, 4.0])
        1
    """
    sign = -1 if rule.larger_is_better else 1
    best, bound = None, float("inf")
    for index, value in enumerate(values):
        if sign * value < bound:
            best, bound = index, sign * value - rule.min_change
    return best


def out_of_patience(rule: EarlyStopping, values: Sequence[float]) -> bool:
    """Whether the last `patience` values were bad, each beside the best before it.

    Args:
        rule: what counts as bad, and the patience.
        values: of the metric, in the order of the evaluations.

    Example:
        >>> out_of_patience(EarlyStopping("loss", patience=2), [3.0, 2.0, 2.0, 4.0])
        True
        >>> out_of_patience(EarlyStopping("loss", patience=2, bad=worse), [3.0, 2.0, 2.0, 4.0])
        False
    """
    if rule.patience is None:
        return False
    signed = [-float(x) if rule.larger_is_better else float(x) for x in values]
    bound, bad = float("inf"), 0
    for index, value in enumerate(signed):
        bad = bad + 1 if rule.bad(value, bound, signed[:index]) else 0
        if value < bound:
            bound = value - rule.min_change
    return bad >= rule.patience
