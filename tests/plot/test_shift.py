"""What the pictures of shifts show."""

import numpy as np

from jdl.plot.shift import probabilities_over_shift, scores_over_shift


def test_every_score_has_a_curve_of_every_method_and_one_legend():
    curves = {"net": np.array([0.1, 0.2]), "ensemble": np.array([0.3, 0.4])}
    figure = scores_over_shift([0, 90], {"NLL": curves, "ECE": curves}, shift="angle")
    assert [axes.get_title() for axes in figure.axes] == ["NLL", "ECE"]
    np.testing.assert_array_equal(figure.axes[1].lines[1].get_xydata(), [[0, 0.3], [90, 0.4]])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["net", "ensemble"]


def test_only_classes_that_matter_are_drawn_and_the_truth_is_black():
    probabilities = np.array([[[0.9, 0.1, 0.0], [0.1, 0.1, 0.8]]])  # one example, two positions
    figure = probabilities_over_shift(
        [0, 90], np.zeros([1, 2, 4, 4, 1]), {"net": probabilities}, "abc", [2], shift="angle"
    )
    strip, panel = figure.axes
    assert strip.images[0].get_array().shape == (4, 8)
    assert [text.get_text() for text in panel.texts] == ["a", "c"]
    assert [line.get_color() == "#000000" for line in panel.lines] == [False, True]
    assert strip.get_xlim() == panel.get_xlim() == (-45, 135)
