"""Strips of samples show each moment's samples over the same data."""

import numpy as np
import pytest

from jdl.plot.samples import sample_strip

EXTENT = (-2.0, 2.0, -1.0, 3.0)


def test_panels_show_data_samples_and_field():
    random = np.random.default_rng(0)
    samples, data, fields = (
        random.random([3, 5, 2]),
        random.random([7, 2]),
        random.random([3, 4, 4]),
    )
    figure = sample_strip(samples, data, ["a", "b", "c"], fields=fields, extent=EXTENT)
    for index, axes in enumerate(figure.axes[:3]):
        below, above = axes.collections
        np.testing.assert_array_equal(below.get_offsets(), data)
        np.testing.assert_array_equal(above.get_offsets(), samples[index])
        np.testing.assert_array_equal(axes.images[0].get_array(), fields[index])
        assert tuple(axes.images[0].get_extent()) == EXTENT
        assert (*axes.get_xlim(), *axes.get_ylim()) == EXTENT
        assert axes.get_title() == "abc"[index]


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"got \[5, 2\] and 1"):
        sample_strip(np.zeros([5, 2]), np.zeros([7, 2]), ["a"], extent=EXTENT)
