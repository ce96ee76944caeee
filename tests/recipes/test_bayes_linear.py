"""The recipe against NumPy, and what it promises of coverage and of the variance over N."""

import jax
import numpy as np
import pytest

from jdl.recipes import bayes_linear as recipe

SETTINGS = recipe.Settings(draws=2000, lines=1000, sizes=(4, 64, 256))


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


def test_draws_predict_what_the_closed_form_does(report):
    metrics = report.metrics
    assert metrics["mean_gap"] < 4.5 / 2000**0.5
    assert metrics["variance_gap"] < 4.5 * (2 / 2000) ** 0.5
    assert metrics["kolmogorov_distance"] < 1.63 / 2000**0.5  # 1 in 100 runs of the null


def test_the_band_needs_the_epistemic_part(report):
    error = (0.95 * 0.05 / 1000) ** 0.5
    assert abs(report.metrics["coverage_predictive"] - 0.95) < 4.5 * error
    assert report.metrics["coverage_noise_alone"] < 0.95 - 4.5 * error


def test_epistemic_variance_is_that_of_numpy_and_falls_as_one_over_n(report):
    key = jax.random.key(3)
    found = recipe.epistemic(key, SETTINGS)
    where = np.stack([np.ones(41), np.linspace(-1, 1, 41)], -1)
    expected = np.zeros(3)
    for one in jax.random.split(key, 20):
        _, x, _ = recipe.sampled_line(one, 256, SETTINGS)
        for i, size in enumerate(SETTINGS.sizes):
            part = np.asarray(x, float)[:size]
            covariance = np.linalg.inv(np.eye(2) / 2**2 + part.T @ part / 0.5**2)
            expected[i] += np.mean(np.sum(where @ covariance * where, 1)) / 20
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(expected[2] * 256, expected[1] * 64, rtol=0.05)
    assert report.metrics["epistemic_power_of_n"] == pytest.approx(-1, abs=0.2)


def test_report_has_its_pictures_and_a_table(report):
    assert set(report.figures) == {"predictive", "coverage", "shrinkage"}
    assert "95 % band" in report.text
