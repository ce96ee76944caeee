"""Figures are their own: pyplot and the reader's settings know nothing of them."""

import io
import sys

import matplotlib
import pytest

from jdl.plot.canvas import COLOURS, canvas


def test_figure_has_its_axes_and_leaves_the_settings_alone():
    before = dict(matplotlib.rcParams)
    figure, axes = canvas(6, 3, 2, 3, title="Six", shared=True)
    assert len(axes) == 6 and axes == figure.axes
    assert figure.get_size_inches().tolist() == [6, 3]
    axes[0].set_xlim(0, 5)
    assert axes[5].get_xlim() == (0, 5)
    (line,) = axes[1].plot([0, 1])
    assert line.get_color() == COLOURS[0]
    figure.savefig(io.BytesIO(), format="png")
    assert dict(matplotlib.rcParams) == before


def test_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        canvas(6, 3)
