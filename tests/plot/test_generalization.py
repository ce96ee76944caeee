"""What the pictures of errors and lines show."""

import numpy as np

from jdl.plot.generalization import ErrorPanel, Errors, error_curves, lines_of_samples


def test_an_error_of_zero_is_left_out_of_a_logarithmic_scale_only():
    errors = Errors([2, 4], np.array([0.0, 0.1]), np.array([0.5, 0.2]))
    panels = {scale: ErrorPanel({"a": errors}, 0.15, scale) for scale in ("log", "linear")}
    logarithmic, linear = error_curves(panels).axes
    np.testing.assert_array_equal(logarithmic.lines[1].get_ydata(), [np.nan, 0.1])
    np.testing.assert_array_equal(linear.lines[1].get_ydata(), [0.0, 0.1])
    for axes in (logarithmic, linear):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.5, 0.2])
        assert set(axes.lines[2].get_ydata()) == {0.15}


def test_lines_satisfy_their_equations():
    lines = np.array([[1.0, 0.0, -0.5], [2.0, -1.0, 3.0]])
    best = np.array([-1.0, 1.0, 0.0])
    centres = np.array([[-1.0, 1.0], [1.0, -1.0]])
    drawn = lines_of_samples({"N = 2": lines}, centres, 0.5, best).axes[0]
    for line, (*w, b) in zip(drawn.lines, [*lines, best], strict=True):
        np.testing.assert_allclose(np.array(w) @ np.array(line.get_data()) + b, 0, atol=1e-9)
    assert [patch.radius for patch in drawn.patches] == [0.5, 1.0, 1.5] * 2
