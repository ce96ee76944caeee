import math

import pytest

from jdl.train.stopping import (
    EarlyStopping,
    best_evaluation,
    out_of_patience,
    worse,
    worse_by_a_deviation,
)

SIADATI = [1.0, 0.9, 0.8, 0.8, 0.81, 0.82, 0.83, 0.84, 0.5]  # worked in spec/siadati-000.md


def first_stop(rule, values):
    return next(i for i in range(len(values)) if out_of_patience(rule, values[: i + 1]))


def test_the_worked_trace_of_000_stops_at_index_7_with_the_first_of_two_equal_bests():
    rule = EarlyStopping("loss", patience=5)
    assert first_stop(rule, SIADATI) == 7
    assert best_evaluation(rule, SIADATI[:8]) == 2


def test_were_a_tie_an_improvement_the_trace_would_not_stop_there():
    assert not out_of_patience(EarlyStopping("loss", patience=6), SIADATI[:8])


def test_larger_is_better_mirrors_the_rule():
    rule = EarlyStopping("accuracy", patience=5, larger_is_better=True)
    mirrored = [-x for x in SIADATI]
    assert (first_stop(rule, mirrored), best_evaluation(rule, mirrored[:8])) == (7, 2)


@pytest.mark.parametrize(("min_change", "best"), [(0.0, 3), (0.1, 2), (0.3, 1), (2.0, 0)])
def test_an_improvement_exceeds_min_change(min_change, best):
    values = [3.0, 2.0, 1.75, 1.7]
    assert best_evaluation(EarlyStopping("loss", min_change=min_change), values) == best


def test_nan_is_no_improvement():
    rule = EarlyStopping("loss", patience=2)
    assert best_evaluation(rule, [math.nan, 1.0, math.nan]) == 1
    assert best_evaluation(rule, [math.nan, math.nan]) is None
    assert out_of_patience(rule, [math.nan, math.nan])


def test_without_patience_nothing_stops():
    assert not out_of_patience(EarlyStopping("loss", patience=None), [1.0] * 1000)


def test_a_tie_starts_the_count_anew_where_only_worse_checks_count():
    rule = EarlyStopping("loss", patience=5, bad=worse)
    longer = [*SIADATI[:8], 0.9, 0.5]
    assert first_stop(rule, longer) == 8  # the fifth of 0.81, 0.82, 0.83, 0.84, 0.9
    assert best_evaluation(rule, longer[:9]) == 2  # the first of the two


def test_the_minimum_plus_a_deviation_stops_at_the_first_value_above_it():
    values = [1.0, 0.8, 0.6, 0.7, 0.65, 0.76, 0.5]  # least 0.6
    # Before 0.7 the last three are 1, 0.8, 0.6, of deviation 0.2; before 0.65 0.8, 0.6, 0.7, 0.1;
    # before 0.76 0.6, 0.7, 0.65, 0.05: 0.76 exceeds 0.65.
    rule = EarlyStopping("loss", patience=1, bad=worse_by_a_deviation(3))
    assert first_stop(rule, values) == 5
    assert first_stop(EarlyStopping("loss", patience=1), values) == 3
    mirrored = rule._replace(larger_is_better=True)
    assert first_stop(mirrored, [-x for x in values]) == 5


def test_nan_is_bad_by_every_rule():
    for bad in (worse, worse_by_a_deviation(2)):
        assert out_of_patience(EarlyStopping("loss", patience=1, bad=bad), [1.0, 2.0, math.nan])
        assert out_of_patience(EarlyStopping("loss", patience=1, bad=bad), [math.nan])


def test_a_deviation_needs_two_evaluations():
    with pytest.raises(ValueError, match="window=1"):
        worse_by_a_deviation(1)
