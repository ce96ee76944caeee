"""The recipe in small, its pieces against closed forms, and in full the numbers it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist

from jdl.bayes import density_target, log_posterior
from jdl.bayes.likelihoods import gaussian
from jdl.core import Variables
from jdl.models.column_mlp import column_mlp
from jdl.recipes import bnn_regression as recipe

SMALL = recipe.Settings(
    points=60, test_points=300, chains=2, descent_steps=300, warmup=60, draws=80, leapfrogs=40
)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SMALL, jax.random.key(0))


def test_target_has_the_books_values():
    # x + 0.3 sin(2 pi x) + 0.3 sin(4 pi x) at 0, 1/4, 1/2, 1: 0, 0.55, 0.5, 1; at 1/8 by hand.
    np.testing.assert_allclose(
        recipe.target(jnp.array([0.0, 0.25, 0.5, 1.0, 0.125])),
        [0.0, 0.55, 0.5, 1.0, 0.125 + 0.3 / np.sqrt(2) + 0.3],
        atol=1e-6,
    )


def test_noise_and_interval_are_the_books(key):
    x, y = recipe.observed(key, recipe.RIGHT, 20_000, 0.3)
    assert 0.6 <= x.min() < 0.601 and 0.999 < x.max() <= 1.0
    residual = np.asarray(y - recipe.target(x))
    assert abs(residual.mean()) < 4.5 * 0.3 / np.sqrt(20_000)
    np.testing.assert_allclose(residual.std(), 0.3, rtol=0.03)


def test_the_book_network_has_16_weights(key):
    params = column_mlp([1, 5, 1], jnp.tanh).init(key).params
    assert sum(x.size for x in jax.tree.leaves(params)) == 16
    deep = column_mlp([1, *[10] * 5, 1], jnp.tanh).init(key).params
    assert sum(x.size for x in jax.tree.leaves(deep)) == 471


def test_coverage_of_a_calibrated_band_is_two_sigma():
    # Draws about the target with spread 0.4 and noise 0.3: targets are N(f, 0.5^2) about the mean.
    generator = np.random.default_rng(0)
    x = generator.uniform(*recipe.TESTED, 4000)
    truth = np.asarray(recipe.target(jnp.asarray(x)))
    draws = truth + 0.4 * generator.normal(size=[2000, 1])
    y = truth + 0.5 * generator.normal(size=4000)
    numbers = recipe.worth(draws, x, y, 0.3)
    for name in ["data", "gap", "beyond"]:
        np.testing.assert_allclose(numbers[f"coverage_{name}"], 0.9545, atol=0.02)
        np.testing.assert_allclose(numbers[f"std_{name}"], 0.4, rtol=0.05)
        assert numbers[f"function_coverage_{name}"] == 1.0 and numbers[f"rmse_{name}"] < 0.04


def test_a_small_run_has_all_numbers_and_pictures(report):
    assert set(report.figures) == {"predictive", "chains"}
    assert all(np.isfinite(value) for value in report.metrics.values())
    assert report.metrics["draws"] == 160 and "R-hat" in report.text
    assert report.metrics["acceptance"] > 0.4


def test_a_small_run_knows_the_function_on_the_data_and_doubts_it_outside(report):
    metrics = report.metrics
    assert metrics["coverage_data"] > 0.85 and metrics["rmse_data"] < 0.25
    assert metrics["std_beyond"] > 2 * metrics["std_data"]


def test_chains_start_at_a_maximum_of_the_posterior(key):
    settings = recipe.Settings(points=1, descent_steps=800, chains=3)
    goal = density_target(
        lambda params: -jnp.sum((params["w"] - 3.0) ** 2), lambda key: {"w": jnp.zeros(2)}
    )
    found = recipe.maxima(goal, settings, key)
    np.testing.assert_allclose(found["w"], np.full([3, 2], 3.0), atol=0.01)


@pytest.mark.slow
def test_the_promised_numbers():
    metrics = recipe.run(recipe.Settings(), jax.random.key(0)).metrics
    assert metrics["r_hat"] < 1.05 and metrics["effective_draws"] > 100
    assert abs(metrics["coverage_data"] - 0.954) < 0.02
    assert metrics["function_coverage_gap"] < 0.3
    assert metrics["std_beyond"] > 3 * metrics["std_gap"] > 6 * metrics["std_data"]


def test_the_density_is_the_sum_of_squares_in_the_book(key):
    """Up to its constants: -(squared residuals / 0.09 + squared weights / 10) / 2, summed."""
    model = column_mlp([1, 5, 1], jnp.tanh)
    density = log_posterior(model, dist.Normal(0.0, 10**0.5), gaussian(0.3))
    x, y = recipe.observed(key, recipe.LEFT, 30, 0.3)
    one, two = (model.init(jax.random.key(seed)).params for seed in (1, 2))

    def energy(params):
        outputs = model.apply(Variables(params), x[None])[0][0]
        weights = sum(jnp.sum(w**2) for w in jax.tree.leaves(params))
        return 0.5 * (jnp.sum((y - outputs) ** 2) / 0.09 + weights / 10)

    batch = x[None], y[None]
    found = density(one, batch) - density(two, batch)
    np.testing.assert_allclose(found, energy(two) - energy(one), rtol=1e-4)
