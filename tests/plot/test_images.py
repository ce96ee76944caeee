"""Grids of images show each image once, on one scale."""

import numpy as np
import pytest

from jdl.plot.images import filters, image_grid


def _images_of(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_grid_shows_every_image_in_order_with_its_title():
    images = np.random.default_rng(0).random([5, 4, 3, 1])
    figure = image_grid(
        images, titles=list("abcde"), colours=["red", *["blue"] * 4], columns=3, title="All"
    )
    shown = _images_of(figure)
    np.testing.assert_array_equal([image.get_array() for image in shown], images[..., 0])
    assert all(image.get_clim() == (0, 1) for image in shown)
    assert [axes.get_title() for axes in figure.axes] == [*"abcde", ""]
    assert [axes.title.get_color() for axes in figure.axes[:2]] == ["red", "blue"]
    assert figure.get_suptitle() == "All"


def test_colour_images_keep_their_channels():
    images = np.random.default_rng(0).random([2, 4, 4, 3])
    np.testing.assert_array_equal(_images_of(image_grid(images))[1].get_array(), images[1])


def test_rows_are_named_at_their_first_image():
    figure = image_grid(np.zeros([6, 4, 4, 1]), columns=3, rows=["upper", "lower"])
    assert [axes.get_ylabel() for axes in figure.axes] == ["upper", "", "", "lower", "", ""]


def test_filters_share_a_scale_around_zero():
    weights = np.random.default_rng(0).normal(size=[6, 4, 4]) * np.arange(1, 7)[:, None, None]
    shown = _images_of(filters(weights))[:6]
    np.testing.assert_array_equal([image.get_array() for image in shown], weights)
    limits = {image.get_clim() for image in shown}
    assert limits == {(-np.percentile(np.abs(weights), 99.5), np.percentile(np.abs(weights), 99.5))}


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"got \[4, 4, 1\]"):
        image_grid(np.zeros([4, 4, 1]))
    with pytest.raises(ValueError, match="2 images need as many titles; got 1"):
        image_grid(np.zeros([2, 4, 4, 1]), ["one"])
    with pytest.raises(ValueError, match=r"got \[2, 4, 4, 1\]"):
        filters(np.zeros([2, 4, 4, 1]))
    with pytest.raises(ValueError, match="2 filters need as many titles; got 3"):
        filters(np.zeros([2, 4, 4]), ["one", "two", "three"])
