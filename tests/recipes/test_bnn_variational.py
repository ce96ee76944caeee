"""The recipe in small, its pieces, and in full the numbers it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.bayes.families import inverse_softplus
from jdl.models.mlp import mlp
from jdl.recipes import bnn_variational as recipe

SMALL = recipe.Settings(points=30, test_points=100, starts=2, steps=60, draws=50)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SMALL, jax.random.key(0))


@pytest.mark.slow
def test_a_small_run_has_all_numbers_and_pictures(report):
    assert set(report.figures) == {"shallow", "deep", "bounds"}
    assert all(np.isfinite(value) for value in report.metrics.values())
    assert report.metrics["deep_bound"] >= report.metrics["deep_bound_of_worst_start"]
    assert "bound of the log evidence" in report.text


def test_the_networks_are_the_books(key):
    counts = [
        sum(x.size for x in jax.tree.leaves(mlp(sizes).init(key).params))
        for sizes, _ in recipe.NETWORKS.values()
    ]
    assert counts == [16, 471]


def test_predictions_are_draws_of_the_variational_distribution(key):
    """Of a line whose weights are N(mean, std^2): mean and variance are known."""
    model = mlp([1, 1])
    mean = {"layers": {"0": {"bias": jnp.array([0.5]), "kernel": jnp.array([[2.0]])}}}
    rho = jax.tree.map(lambda x: jnp.full_like(x, inverse_softplus(0.3)), mean)
    outputs = recipe.predictions(
        model, {"mean": mean, "rho": rho}, jnp.array([[0.0], [2.0]]), 4000, key
    )
    variance = 0.09 * np.array([1.0, 5.0])
    error = np.abs(outputs.mean(0) - np.array([0.5, 4.5])) / np.sqrt(variance / 4000)
    assert np.all(error < 4.5)
    np.testing.assert_allclose(outputs.var(0), variance, rtol=0.1)


def test_the_best_start_of_a_line_has_the_evidence_as_its_bound(key):
    """Of one weight the posterior is in the family (features without a mean decouple them)."""
    x = np.tile([-1.0, 1.0], 10)
    y = 0.8 * x + 0.3 * np.random.default_rng(0).normal(size=20)
    marginal = 0.09 * np.eye(20) + 2.0 * (1 + np.outer(x, x))
    evidence = -0.5 * (
        y @ np.linalg.solve(marginal, y) + np.linalg.slogdet(2 * np.pi * marginal)[1]
    )
    settings = recipe.Settings(points=10, starts=2, steps=1500, weight_draws=4)
    batch = jnp.asarray(x, jnp.float32)[:, None], jnp.asarray(y, jnp.float32)[:, None]
    params, bounds = recipe.learned(mlp([1, 1]), dist.Normal(0.0, 2**0.5), batch, settings, key)
    assert bounds.shape == (2, 1500)
    np.testing.assert_allclose(bounds[:, -500:].mean(1), evidence, atol=0.1)
    found = ravel_pytree(params["rho"])[0]
    np.testing.assert_allclose(jax.nn.softplus(found), (20 / 0.09 + 0.5) ** -0.5, rtol=0.05)


@pytest.mark.slow
def test_the_promised_numbers():
    metrics = recipe.run(recipe.Settings(), jax.random.key(0)).metrics
    for name in recipe.NETWORKS:
        assert 0.91 < metrics[f"{name}_coverage_data"] < 0.97
        assert metrics[f"{name}_coverage_beyond"] < 0.75
        assert metrics[f"{name}_std_beyond"] < 2 * metrics[f"{name}_std_data"]
    assert metrics["shallow_bound"] > metrics["deep_bound"] + 100
