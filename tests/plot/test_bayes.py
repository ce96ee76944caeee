"""What the pictures of posteriors show."""

import numpy as np
import pytest

from jdl.plot.bayes import (
    chain_diagnostics,
    energies,
    pairs,
    predictive_band,
    traces_and_ranks,
    uncertainty_split,
)


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


def test_variances_are_stacked_and_bands_are_two_sigma():
    x = np.linspace(0, 1, 5)
    mean, aleatoric, epistemic = x, np.full(5, 0.25), np.full(5, 0.75)
    figure = uncertainty_split(x, mean, aleatoric, epistemic, data=(x, x), target=x, title="split")
    above, below = figure.axes
    reached = {}
    for band in above.collections[1:]:
        y = band.get_paths()[0].vertices[:, 1]
        reached[band.get_label()] = (y.min(), y.max())
    assert reached["2 sigma, total"] == (-2.0, 3.0)  # the variances add up to 1
    np.testing.assert_allclose(reached["2 sigma, epistemic"], (-(3**0.5), 1 + 3**0.5))
    heights = [area.get_paths()[0].vertices[:, 1].max() for area in below.collections]
    assert heights == [0.25, 1.0] and above.get_title() == "split"


def test_energies_tell_the_missing_information_of_each_chain():
    energy = np.random.default_rng(0).normal(size=[2, 5000])
    energy[1] = np.cumsum(energy[1])
    (axes,) = energies(energy).axes
    first, second = map(float, axes.get_title().split("E-BFMI ")[1].split(", "))
    assert 1.9 < first < 2.1 and second < 0.01  # independent: variance of a difference is twice
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [
        "energy less its mean",
        "change from draw to draw",
    ]


def test_ranks_of_each_chain_are_counted_among_all():
    draws = np.array([np.arange(40.0), 100 + np.arange(40.0)])  # never agree
    figure = traces_and_ranks({"weight": draws, "bias": -draws}, bins=4)
    left, right, _, lower = figure.axes
    np.testing.assert_array_equal([line.get_ydata() for line in left.lines], draws)
    counts = [p.get_data().values for p in right.patches if hasattr(p, "get_data")]
    np.testing.assert_array_equal(counts, [[20, 20, 0, 0], [0, 0, 20, 20]])
    counts = [p.get_data().values for p in lower.patches if hasattr(p, "get_data")]
    np.testing.assert_array_equal(counts, [[0, 0, 20, 20], [20, 20, 0, 0]])
    assert left.get_ylabel() == "weight"


def test_pairs_mark_the_divergences():
    random = np.random.default_rng(0)
    draws = {name: random.normal(size=[2, 50]) for name in "abc"}
    diverged = draws["a"] > 1
    figure = pairs(draws, diverged)
    assert len(figure.axes) == 6
    scatter = figure.axes[1]
    assert (scatter.get_xlabel(), scatter.get_ylabel()) == ("", "b")
    quiet, marked = (np.asarray(dots.get_offsets()) for dots in scatter.collections)
    assert len(quiet) == (~diverged).sum()
    np.testing.assert_array_equal(marked, np.stack([draws["a"], draws["b"]], -1)[diverged])
    (text,) = scatter.get_legend().get_texts()
    assert text.get_text() == f"{diverged.sum()} divergences"
    with pytest.raises(ValueError, match="two or more params"):
        pairs({"a": draws["a"]})
    with pytest.raises(ValueError, match=r"\[2, 50\].*\[7\]"):
        pairs(draws, np.zeros(7))
