"""What the pictures of the perceptron show."""

import numpy as np

from jdl.plot.perceptron import boundaries, mistakes_and_bounds

INPUTS = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, -1.0]])
LABELS = np.array([-1, 1, 1])
WEIGHTS, BIASES = np.array([[1.0, 0.0], [2.0, -1.0]]), np.array([-0.5, 3.0])


def test_lines_satisfy_their_equations_and_darken():
    axes = boundaries(INPUTS, LABELS, WEIGHTS, BIASES, INPUTS[[1, 1]]).axes[0]
    for line, weight, bias in zip(axes.lines, WEIGHTS, BIASES, strict=True):
        np.testing.assert_allclose(weight @ np.array(line.get_data()) + bias, 0.0, atol=1e-9)
    first, last = (np.mean(line.get_color()[:3]) for line in axes.lines)
    assert first > last
    assert [text.get_text() for text in axes.texts] == ["1, 2"]


def test_one_mistake_and_a_widest_separator():
    widest = (np.array([0.0, 1.0]), -1.0)
    axes = boundaries(INPUTS, LABELS, WEIGHTS[:1], BIASES[:1], INPUTS[:1], widest=widest).axes[0]
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), 1.0)
    assert axes.lines[-1].get_linestyle() == "--"


def test_mistakes_and_bounds_are_where_they_belong():
    figure = mistakes_and_bounds(np.array([0.1, 1.0]), np.array([9, 2]), np.array([200.0, 5.0]))
    bounds, mistakes = (points.get_offsets() for points in figure.axes[0].collections)
    np.testing.assert_array_equal(bounds, [[0.1, 200.0], [1.0, 5.0]])
    np.testing.assert_array_equal(mistakes, [[0.1, 9.0], [1.0, 2.0]])
