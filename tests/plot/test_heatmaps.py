"""Heat lies over its image on its own scale; maps are drawn one by one."""

import numpy as np
import pytest

from jdl.plot.heatmaps import feature_maps, overlays

_random = np.random.default_rng(0)


def test_each_row_has_its_heat_over_each_image():
    images, heat = _random.random([3, 6, 4, 1]), _random.random([3, 3, 2])
    drops = heat - 0.5
    figure = overlays(images, {"cam": heat, "drop": drops}, "abc", signed=["drop"], title="All")
    panels = figure.axes
    assert [len(axes.images) for axes in panels] == [1] * 3 + [2] * 6
    assert [axes.get_title() for axes in panels[:3]] == ["a", "b", "c"]
    assert [axes.get_ylabel() for axes in panels[::3]] == ["", "cam", "drop"]
    for number in range(3):
        for row, values in ((0, None), (1, heat), (2, drops)):
            shown = panels[3 * row + number].images
            np.testing.assert_array_equal(shown[0].get_array(), images[number, ..., 0])
            if values is None:
                continue
            np.testing.assert_array_equal(shown[1].get_array(), values[number])
            peak = np.abs(values[number]).max()
            assert shown[1].get_clim() == ((-peak if row == 2 else 0), peak)
            assert shown[1].get_extent() == [-0.5, 3.5, 5.5, -0.5]


def test_maps_are_drawn_each_on_its_own_scale():
    maps = _random.normal(size=[4, 3, 5]) * np.arange(1, 6)
    maps[..., 4] = 0
    shown = [axes.images[0] for axes in feature_maps(maps, list("abcde")).axes if axes.images]
    assert len(shown) == 5
    for number, image in enumerate(shown):
        np.testing.assert_array_equal(image.get_array(), maps[..., number])
        assert image.get_clim()[0] == maps[..., number].min()


def test_shapes_that_do_not_fit_are_named():
    images = np.zeros([2, 4, 4, 1])
    with pytest.raises(ValueError, match=r"got \[2, 4, 4, 1\] and {'a': \(3, 2, 2\)}"):
        overlays(images, {"a": np.zeros([3, 2, 2])})
    with pytest.raises(ValueError, match="2 images need as many titles; got 1"):
        overlays(images, {}, ["one"])
    with pytest.raises(ValueError, match=r"got \[2, 4, 4, 1\]"):
        feature_maps(images)
    with pytest.raises(ValueError, match="4 maps need as many titles; got 1"):
        feature_maps(images[..., 0], ["one"])
