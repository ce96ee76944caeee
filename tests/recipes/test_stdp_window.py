"""The recipe's changes by hand."""

import jax
import numpy as np
import pytest

from jdl.recipes import stdp_window as recipe

SETTINGS = recipe.Settings(pairs=60, lags=(-20.0, -10.0, 10.0, 20.0), random_trains=50)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


def test_pre_before_post_gains_and_post_before_pre_loses_by_the_exponentials(report):
    metrics = report.metrics
    np.testing.assert_allclose(metrics["strongest"], 0.005 * np.exp(-0.5), rtol=1e-5)
    np.testing.assert_allclose(metrics["weakest"], -0.00525 * np.exp(-0.5), rtol=1e-5)


def test_pairs_a_second_apart_add_up_whatever_the_pairing(report):
    metrics = report.metrics
    np.testing.assert_allclose(metrics["largest_gain"], 60 * metrics["strongest"], rtol=1e-4)
    np.testing.assert_allclose(metrics["largest_loss"], 60 * metrics["weakest"], rtol=1e-4)
    assert metrics["pairings_differ_by"] < 1e-5


def test_unrelated_trains_weaken_a_synapse_by_the_area_of_the_window(report):
    metrics = report.metrics
    assert metrics["unrelated_expected"] == pytest.approx(10_000 / 10_000 * 20 * -0.00025, rel=0.01)
    error = abs(metrics["unrelated_mean"] - metrics["unrelated_expected"])
    assert error < 4 * metrics["unrelated_error"]


def test_the_picture_has_potentiation_where_pre_comes_first(report):
    axes = report.figures["window"].axes[0]
    gain, loss, dots = axes.lines[:3]
    assert gain.get_label().startswith("LTP") and loss.get_label().startswith("LTD")
    assert (gain.get_xdata() > 0).all() and (gain.get_ydata() > 0).all()
    assert (loss.get_xdata() < 0).all() and (loss.get_ydata() < 0).all()
    np.testing.assert_array_equal(np.sign(dots.get_ydata()), np.sign(SETTINGS.lags))
