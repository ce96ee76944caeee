"""What the pictures of calibration show."""

import jax.numpy as jnp
import numpy as np

from jdl.metrics.calibration import reliability
from jdl.plot.calibration import (
    coverage_curves,
    entropy_histograms,
    reliability_diagram,
    roc_curves,
)


def test_bars_are_accuracies_and_gaps_reach_the_confidence():
    confidences = jnp.array([0.1, 0.3, 0.9, 0.9])
    table = reliability(confidences, jnp.array([0, 1, 1, 1]), num_bins=2)
    figure = reliability_diagram({"net": table, "ensemble": table}, "digits")
    above, _, below, _ = figure.axes
    accuracies, gaps = (list(bars) for bars in above.containers)
    assert [bar.get_height() for bar in accuracies] == [0.5, 1.0]
    reached = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in gaps]
    np.testing.assert_allclose(reached, [(0.5, 0.2), (1.0, 0.9)], atol=1e-6)
    assert above.get_title() == "net: ECE 20.0%" and figure.get_suptitle() == "digits"
    assert [bar.get_height() for bar in below.patches] == [0.5, 0.5]


def test_bins_without_examples_have_no_gap():
    table = reliability(jnp.array([0.9]), jnp.array([1]), num_bins=3)
    above, _ = reliability_diagram({"net": table}).axes
    assert len(above.containers[1]) == 1


def test_curves_of_detectors_have_their_areas():
    positive = np.array([1, 1, 0, 0])
    scores = {"perfect": np.array([4.0, 3.0, 2.0, 1.0]), "constant": np.zeros(4)}
    (axes,) = roc_curves(scores, positive).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["perfect: AUROC 1.000, FPR95 0.00", "constant: AUROC 0.500, FPR95 1.00"]
    np.testing.assert_array_equal(axes.lines[0].get_xydata()[:3], [[0, 0], [0, 0.5], [0, 1]])


def test_coverage_is_over_levels_with_the_band_of_chance():
    levels = np.array([0.0, 0.5, 1.0])
    (axes,) = coverage_curves(levels, {"net": levels**2}, examples=100).axes
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), levels**2)
    y = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert {0.4, 0.6} <= set(np.round(y, 6))  # 0.5 +- 2 sqrt(0.25 / 100)


def test_histograms_are_shares_of_each_data_set():
    sets = {"digits": np.zeros(10), "letters": np.array([1.0, 9.0])}
    (axes,) = entropy_histograms({"entropy": sets}, largest=2.0).axes
    shares = [[bar.get_height() for bar in bars] for bars in axes.containers]
    np.testing.assert_allclose(np.sum(shares, 1), [1, 1])
    np.testing.assert_allclose((shares[0][0], shares[1][-1]), (1.0, 0.5))  # 9 counts as the end
    assert axes.get_xlim() == (0, 2) and axes.get_title() == "entropy"
