"""Letters: the format of the digits, glyphs with known symmetries, labels that can be learned."""

import numpy as np
import pytest

from jdl.data.bundled import digits
from jdl.data.letters import FONTS, letters


@pytest.fixture(scope="module")
def found():
    return letters()


def upright(found, font, letter):
    """The image [8, 8] of a letter without slant; letters take turns within fonts within slants."""
    index = (len(FONTS) + FONTS.index(font)) * 10 + found.names.index(letter)
    assert found.labels[index] == found.names.index(letter)
    return found.images[index, ..., 0]


def test_format_is_that_of_the_digits(found):
    assert found.images.shape == (510, 8, 8, 1) and found.names == tuple("ABCDEFGHIJ")
    reference = digits()
    for ours, theirs in zip(found[:2], reference[:2], strict=True):
        assert ours.dtype == theirs.dtype and ours.ndim == theirs.ndim
    np.testing.assert_array_equal(found.images * 16 % 1, 0)
    np.testing.assert_array_equal(np.bincount(found.labels), np.full(10, 51))
    top_and_bottom = found.images[:, [0, 7]].max((2, 3))
    assert (top_and_bottom > 0).all()  # as high as the image


def test_statistics_are_those_of_the_digits(found):
    ours, theirs = found.images, digits().images
    assert abs(ours.mean() - theirs.mean()) < 0.02
    assert abs(ours.std() - theirs.std()) < 0.01
    for share in (lambda x: (x == 0).mean(), lambda x: (x > 0.9).mean()):
        assert abs(share(ours) - share(theirs)) < 0.01


def test_glyphs_have_their_symmetries(found):
    for font in ("DejaVuSans", "DejaVuSansMono", "DejaVuSans-Bold"):
        h = upright(found, font, "H")
        np.testing.assert_array_equal(h, h[:, ::-1])
    bar = upright(found, "DejaVuSans", "I")
    assert (bar[1:7] == bar[1]).all() and bar[1].tolist() == [0, 0, 0.25, 1, 1, 0.25, 0, 0]
    hole = upright(found, "DejaVuSans", "D")
    assert hole[3:5, 3:4].max() == 0 and hole[0, 3] > 0.5  # an inner contour is not filled


def test_images_are_the_same_on_every_call_and_differ_from_each_other(found):
    again = letters("J")
    np.testing.assert_array_equal(again.images, found.images[found.labels == 9])
    assert len(np.unique(found.images.reshape(510, -1), axis=0)) > 500


def test_labels_belong_to_images(found):
    """The nearest mean image of half of the fonts names the letters of the other half."""
    images = found.images.reshape(len(found.images), -1)
    fonts = np.arange(510) // 10 % len(FONTS)
    known = fonts % 2 == 0
    means = np.stack([images[known & (found.labels == c)].mean(0) for c in range(10)])
    distances = ((images[~known][:, None] - means) ** 2).sum(-1)
    assert (distances.argmin(1) == found.labels[~known]).mean() > 0.9


@pytest.mark.parametrize("names", ["", "AA", "A1", "\u00c4"])
def test_other_names_are_refused(names):
    with pytest.raises(ValueError, match="different Latin letters"):
        letters(names)
