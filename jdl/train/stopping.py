"""When to stop, and which evaluation was the best.

An evaluation improves on the best so far, b, if

    value < b - min_change        (value > b + min_change where larger is better)

A tie is no improvement (000 ch. 6; 004 ch. 2), nor is nan. Training stops when `patience`
evaluations in a row have not improved.
"""

from collections.abc import Sequence
from typing import NamedTuple


class EarlyStopping(NamedTuple):
    """A rule for `fit`, which then returns the variables of the best evaluation.

    Attributes:
        metric: name of an entry of the evaluation.
        patience: evaluations without improvement after which to stop; None never stops, and only
            the best is kept.
        min_change: what an improvement must exceed, in units of the metric.
        larger_is_better: True for an accuracy, False for a loss.
    """

    metric: str
    patience: int | None = 10
    min_change: float = 0.0
    larger_is_better: bool = False


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
    """Whether the last `patience` values did not improve on the best before them.

    Args:
        rule: what counts as an improvement, and the patience.
        values: of the metric, in the order of the evaluations.

    Example:
        >>> out_of_patience(EarlyStopping("loss", patience=2), [3.0, 2.0, 2.0, 4.0])
        True
    """
    if rule.patience is None:
        return False
    best = best_evaluation(rule, values)
    return len(values) - (0 if best is None else best + 1) >= rule.patience
