"""What the pictures of grids show."""

import numpy as np
import pytest
from matplotlib.quiver import Quiver

from jdl.plot.gridworld import grid_policies

LAYOUT = ("S.G", ".#P")


def test_arrows_point_where_the_grid_moves():
    policy = np.zeros([6, 4])
    policy[[0, 1, 3], [1, 2, 0]] = 1.0  # right, down, up
    axes = grid_policies(LAYOUT, {"one": policy}, {"one": np.arange(6.0)}).axes[0]
    arrows = {}
    for child in axes.get_children():
        if isinstance(child, Quiver):
            for x, y, u, v in zip(child.X, child.Y, child.U, child.V, strict=True):
                arrows[int(x), int(y)] = np.sign([u, v]).tolist()
    # The vertical axis of an image points down: going down is +1.
    assert arrows == {(0, 0): [1, 0], (1, 0): [0, 1], (0, 1): [0, -1]}
    assert axes.yaxis_inverted()


def test_walls_have_no_shade_and_ends_are_named():
    policy = np.full([6, 4], 0.25)
    axes = grid_policies(LAYOUT, {"one": policy}, {"one": np.arange(6.0)}).axes[0]
    shade = axes.images[0].get_array()
    assert shade.mask.tolist() == [[False, False, False], [False, True, False]]
    assert [text.get_text() for text in axes.texts] == ["", "goal", "pit"]


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="a grid of 2 x 3"):
        grid_policies(LAYOUT, {"one": np.zeros([4, 4])}, {"one": np.zeros(6)})
    with pytest.raises(ValueError, match="one title each"):
        grid_policies(LAYOUT, {"one": np.zeros([6, 4])}, {"two": np.zeros(6)})
