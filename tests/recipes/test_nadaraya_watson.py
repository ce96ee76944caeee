"""Kernels over a noisy sine: the errors are those of the formula, and widths go to their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.recipes import nadaraya_watson

WIDTHS = (1e-4, 0.5, 1e4)


@pytest.fixture(scope="module")
def report():
    settings = nadaraya_watson.Settings(widths=WIDTHS, candidates=3, grid=5)
    return nadaraya_watson.run(settings, jax.random.key(0))


def drawn():
    """The points of the recipe with key 0."""
    keys = jax.random.split(jax.random.key(0))
    x = jnp.sort(jax.random.uniform(keys[0], [100, 1], maxval=10.0), axis=0)
    return np.asarray(x[:, 0]), np.asarray(jnp.sin(x) + jax.random.normal(keys[1], x.shape))[:, 0]


def test_errors_are_those_of_the_formula_and_of_its_limits(report):
    x, y = drawn()
    queries = np.arange(11.0)
    squares = (queries[:, None] - x[None]) ** 2
    weights = np.exp(-squares / (2 * 0.5**2))
    answers = {
        "gaussian_0.5": weights @ y / weights.sum(1),
        "gaussian_0.0001": y[squares.argmin(1)],
        "triangular_10000": np.full(11, y.mean()),
        "as_printed": np.exp(squares**0.5 / 0.5) @ y / np.exp(squares**0.5 / 0.5).sum(1),
    }
    for name, found in answers.items():
        error = np.abs(found - np.sin(queries)).mean()
        np.testing.assert_allclose(report.metrics[f"error_{name}"], error, rtol=1e-3)


def test_the_best_width_has_the_least_error_at_points_left_out(report):
    x, y = drawn()
    errors = []
    for width in (1.0, WIDTHS[-1]):  # the narrowest divides 0 by 0 in this formula
        weights = np.exp(-((x[:, None] - x[None]) ** 2) / (2 * width**2))
        np.fill_diagonal(weights, 0)
        errors.append(np.mean((weights @ y / weights.sum(1) - y) ** 2) ** 0.5)
    curve = report.figures["widths"].axes[0].lines[0].get_ydata()
    assert curve.argmin() == errors.index(min(errors)) + 1
    np.testing.assert_allclose(report.metrics["best_width_gaussian"], 1.0, rtol=1e-4)


def test_the_picture_has_a_column_of_weights_for_each_query(report):
    image = report.figures["attention"].axes[0].images[0].get_array()
    assert image.shape == (100, 11)
    np.testing.assert_allclose(image.sum(0), 1, rtol=1e-5)
