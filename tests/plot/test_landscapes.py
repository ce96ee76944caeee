"""What the pictures of landscapes show."""

import numpy as np
import pytest

from jdl.plot.landscapes import Paths, landscape_paths, start_maps

WINDOW = (-1.0, 1.0, -2.0, 2.0)
PATH = np.array([[0.5, 0.5], [0.25, np.nan], [0.0, 0.25]])


def bowl(points):
    return (points**2).sum(-1)


def test_paths_are_drawn_without_what_is_not_finite():
    figure = landscape_paths({"a bowl": Paths(bowl, {"rule": PATH}, (0.0, 0.0))}, WINDOW)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), PATH[[0, 2]])
    end, start, star = (points.get_offsets()[0].tolist() for points in axes.collections[-3:])
    assert (end, start, star) == ([0.0, 0.25], [0.5, 0.5], [0.0, 0.0])
    assert axes.get_title() == "a bowl" and axes.get_xlim() == (-1, 1)


def test_the_panel_that_is_left_over_is_empty():
    panels = {name: Paths(bowl, {"rule": PATH}, (0.0, 0.0)) for name in "abc"}
    visible = [axes.get_visible() for axes in landscape_paths(panels, WINDOW).axes]
    assert visible == [True, True, True, False]


def test_more_paths_than_colours_are_refused():
    crowd = Paths(bowl, dict.fromkeys("abcdefgh", PATH), (0.0, 0.0))
    with pytest.raises(ValueError, match="colours for 7 paths"):
        landscape_paths({"a bowl": crowd}, WINDOW)


def test_starts_that_diverge_are_masked():
    values = np.array([[1.0, np.nan, 10.0], [np.inf, 2.0, 5.0]])
    mesh = start_maps({"rule": values}, WINDOW).axes[0].collections[0]
    drawn = mesh.get_array().reshape(2, 3)
    np.testing.assert_array_equal(np.ma.getmaskarray(drawn), ~np.isfinite(values))
