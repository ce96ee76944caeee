"""The edges of the book: its printed size, and what an edge kernel does and does not see."""

import jax
import numpy as np
import pytest

from jdl.nn.convolution_sizes import output_size
from jdl.recipes import edges


@pytest.fixture(scope="module")
def report():
    return edges.run(edges.Settings(), jax.random.key(0))


def test_the_size_is_the_printed_one_where_the_padding_is_0_or_1(report):
    found = report.metrics
    for padding, size in [(0, (147, 256)), (1, (147, 256)), (2, (148, 257))]:
        assert tuple(output_size(n, 3, 4, padding) for n in edges.BOOK_SHAPE) == size
        assert (found[f"rows_padded_by_{padding}"], found[f"columns_padded_by_{padding}"]) == size


def test_an_even_change_of_light_changes_no_edge(report):
    assert report.metrics["half_the_light"] == pytest.approx(0.5, rel=1e-5)
    assert report.metrics["change_by_added_light"] < 1e-5
    assert report.metrics["edge_over_median"] > 5


def test_a_rectangle_has_one_step_up_and_one_down_and_is_smoothed_by_the_pulse(report):
    assert report.metrics["steps_up"] == report.metrics["steps_down"] == 1
    smoothed = report.figures["line"].axes[1].lines[0].get_ydata()
    pulse = np.exp(-(np.arange(-9, 10) ** 2) / 10)
    pulse /= pulse.sum()
    rectangle = report.figures["line"].axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(smoothed, np.convolve(rectangle, pulse, "same"), atol=1e-3)


def test_the_pictures_are_a_photograph_and_its_edges(report):
    images = [axes.images for axes in report.figures["edges"].axes if axes.images]
    assert len(images) == 2
