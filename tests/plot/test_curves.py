"""Learning curves show the numbers they were given, long ones with their running median."""

import numpy as np
import pytest

from jdl.plot.curves import learning_curves


def test_panels_show_their_curves():
    steps, losses = np.arange(5), np.exp(-np.arange(5.0))
    figure = learning_curves(
        {
            "loss [nats]": {"train": (steps, losses), "test": (steps[::2], losses[::2])},
            "error": {"": (steps, losses)},
        },
        logarithmic=["error"],
    )
    left, right = figure.axes
    np.testing.assert_array_equal(left.lines[0].get_xydata(), np.c_[steps, losses])
    np.testing.assert_array_equal(left.lines[1].get_xydata(), np.c_[steps, losses][::2])
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["train", "test"]
    assert (left.get_yscale(), right.get_yscale()) == ("linear", "log")
    assert left.get_ylabel() == "loss [nats]" and right.get_legend() is None


def test_long_curves_have_their_running_median():
    steps = np.arange(1000)
    values = np.where(steps % 7 == 0, 100.0, steps)
    raw, median = learning_curves({"loss": {"train": (steps, values)}}).axes[0].lines
    np.testing.assert_array_equal(raw.get_ydata(), values)
    # A median over 25 of a rising line with rare spikes is the line, within half a window.
    x, y = median.get_xydata().T
    assert (x[0], x[-1]) == (12, 987)
    assert np.abs(y - x)[x > 100].max() < 4 and np.abs(values - steps).max() > 50


def test_curves_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"'train' needs .* got \[3\] and \[2\]"):
        learning_curves({"loss": {"train": (np.arange(3), np.arange(2))}})
    with pytest.raises(ValueError, match="at least one panel"):
        learning_curves({})
