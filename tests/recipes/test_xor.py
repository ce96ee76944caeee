"""The recipe against the densities that it draws from, and a short run of it."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from jdl.data.toys import circles, xor
from jdl.recipes import xor as recipe

SETTINGS = recipe.Settings(
    xor_examples=400, circle_examples=100, validation_examples=1000, epochs=200, evaluate_every=40
)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


def test_log_odds_of_xor_are_those_of_the_mixtures(key):
    inputs = np.asarray(2 * jax.random.normal(key, [20, 2]))
    near, far = (norm.pdf(inputs, centre, 0.6) for centre in (-1, 1))
    same = near[:, 0] * near[:, 1] + far[:, 0] * far[:, 1]
    other = near[:, 0] * far[:, 1] + far[:, 0] * near[:, 1]
    np.testing.assert_allclose(
        recipe.xor_log_odds(inputs), np.log(other / same), rtol=1e-3, atol=1e-4
    )


def test_log_odds_of_the_rings_are_those_of_their_radii(key):
    inputs = np.asarray(jax.random.normal(key, [20, 2]))
    radius = np.linalg.norm(inputs, axis=1)
    expected = norm.logpdf(radius, 0.8, 0.05) - norm.logpdf(radius, 1.0, 0.05)
    np.testing.assert_allclose(recipe.circle_log_odds(inputs), expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "sample, log_odds, error",
    [
        (xor, recipe.xor_log_odds, 2 * norm.sf(1 / 0.6) * norm.cdf(1 / 0.6)),
        (circles, recipe.circle_log_odds, norm.sf(2)),
    ],
)
def test_nobody_errs_less_than_the_docstring_says(sample, log_odds, error, key):
    inputs, labels = sample(key, 40_000)
    found = recipe.scores(log_odds(inputs), labels)["error"]
    assert abs(float(found) - error) < 4 * np.sqrt(error * (1 - error) / 40_000)


def test_rectified_units_learn_xor_nearly_as_well_as_can_be_and_sooner(report):
    metrics = report.metrics
    assert metrics["xor_rectified_error"] < metrics["xor_best_error"] + 0.03
    assert metrics["xor_rectified_mse"] >= metrics["xor_best_mse"] - 0.01
    assert 0 < metrics["xor_rectified_epochs"] <= 80
    assert metrics["circle_logistic_epochs"] == -1, "logistic units take thousands on the rings"
    assert "CIRCLE  logistic" in report.text and "never" in report.text


def test_the_regions_of_four_networks_and_their_curves_are_drawn(report):
    networks = {f"{name}_{units}".lower() for name, units in recipe.RATES}
    assert set(report.figures) == {*networks, "learning"}
    for axes in report.figures["learning"].axes:
        assert len(axes.lines) == 5
        assert axes.lines[0].get_xdata().tolist() == [40, 80, 120, 160, 200]


@pytest.mark.slow
def test_the_promised_numbers():
    metrics = recipe.run(recipe.Settings(), jax.random.key(1)).metrics
    for network in ("xor_logistic", "xor_rectified", "circle_logistic", "circle_rectified"):
        best = metrics[f"{network.partition('_')[0]}_best_error"]
        assert metrics[f"{network}_error"] < best + 0.015
