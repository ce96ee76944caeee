"""Patterns of sparse attention against their definitions, place by place."""

import itertools

import numpy as np
import pytest

from jdl.nn.attention_patterns import banded, dense, pattern_mask, text_and_image

TEXT, ROWS, COLUMNS = 2, 4, 5


def told(kind, query, key):
    """What the paper's figure says, of rows and columns."""
    if key > query:
        return False
    if query < TEXT or key < TEXT or kind == "dense":
        return True
    (row, column), (other_row, other) = (divmod(x - TEXT, COLUMNS) for x in (query, key))
    if kind == "column":
        return column == other
    if kind == "row":  # the rest of this row, and of the row above from the same column on
        return row == other_row or (row == other_row + 1 and other >= column)
    # 3 x 3 around the query: an image whose rows are joined to one line
    line, other_line = query - TEXT, key - TEXT
    return other_line in {line + down * COLUMNS + right for down in (-1, 0) for right in (-1, 0, 1)}


@pytest.mark.parametrize("kind", ["dense", "row", "column", "convolution"])
def test_a_text_and_an_image_see_each_other_as_published(kind):
    length = TEXT + ROWS * COLUMNS
    mask = np.zeros([length, length], bool)
    for place in itertools.product(range(length), repeat=2):
        mask[place] = told(kind, *place)
    pattern = text_and_image(TEXT, COLUMNS, kind, kernel_size=3)
    np.testing.assert_array_equal(pattern_mask(pattern, length)[0, 0], mask)
    behind = pattern_mask(pattern, length, np.array([7, 0]), num_queries=3)
    np.testing.assert_array_equal(behind[:, 0], [mask[7:10], mask[:3]])


def test_a_band_is_a_band_and_bad_patterns_are_told():
    expected = np.tril(np.ones([6, 6], bool)) & ~np.tril(np.ones([6, 6], bool), -3)
    np.testing.assert_array_equal(pattern_mask(banded(3), 6)[0, 0], expected)
    np.testing.assert_array_equal(pattern_mask(dense, 4)[0, 0], np.tril(np.ones([4, 4], bool)))
    with pytest.raises(ValueError, match="one position at least"):
        banded(0)
    with pytest.raises(ValueError, match="kind is one of"):
        text_and_image(2, 4, "diagonal")
    with pytest.raises(ValueError, match="is odd; got 4"):
        text_and_image(2, 4, "convolution", kernel_size=4)
