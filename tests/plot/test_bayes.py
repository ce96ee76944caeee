"""What the pictures of posteriors show."""

import numpy as np

from jdl.plot.bayes import chain_diagnostics, predictive_band


def test_bands_are_two_sigma_with_and_without_noise():
    x = np.linspace(0.0, 1.0, 5)
    draws = np.array([[1.0], [3.0]]) + x  # mean 2 + x, standard deviation 1
    figure = predictive_band(x, draws, 0.75, data=(x, x), target=x, title="bands")
    axes = figure.axes[0]
    reached = []
    for band in axes.collections[1:]:
        y = band.get_paths()[0].vertices[:, 1]
        reached.append((y.min(), y.max()))
    np.testing.assert_allclose(reached, [(-0.5, 5.5), (0.0, 5.0)], atol=1e-6)
    mean = next(line for line in axes.lines if line.get_label() == "posterior mean")
    np.testing.assert_allclose(mean.get_ydata(), 2 + x)
    assert axes.get_title() == "bands"


def test_diagnostics_show_every_chain():
    x = np.linspace(0, 1, 7)
    traces = np.random.default_rng(0).normal(size=[3, 20])
    figure = chain_diagnostics(x, np.full(7, 1.002), np.full(7, 50.0), traces)
    left, middle, right = figure.axes
    np.testing.assert_array_equal([line.get_ydata() for line in right.lines], traces)
    assert left.get_ylabel() == "R-hat" and middle.get_ylim()[1] > traces.size
