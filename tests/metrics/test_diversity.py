"""Distinct n-grams, counted by hand."""

import math

import pytest

from jdl.metrics.diversity import distinct_ngrams


def test_distinct_ngrams_are_counted_over_all_texts_but_not_across_them():
    assert distinct_ngrams(["abab", "ba"], order=2) == 2 / 4
    assert distinct_ngrams(["abab", "ba"], order=1) == 2 / 6
    assert distinct_ngrams(["abcd"], order=4) == 1.0
    assert math.isnan(distinct_ngrams(["ab", ""], order=3))
    with pytest.raises(ValueError, match="order"):
        distinct_ngrams(["ab"], order=0)
