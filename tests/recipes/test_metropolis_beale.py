"""The recipe against the numbers of the book, and those that it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.recipes import metropolis_beale as recipe

SETTINGS = recipe.Settings()


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


def of(report, name, steps=recipe.CHECKPOINTS):
    return [report.metrics[recipe.measure(name, "loss", step)] for step in steps]


def test_descent_has_the_losses_derived_from_the_books_gradient(report):
    # Golden values of spec/practical-004-ch7-9.md, derived independently.
    assert report.metrics["loss_at_the_start"] == pytest.approx(155.2014, abs=1e-4)
    found = of(report, "gradient descent", [10, 20, 80])
    np.testing.assert_allclose(found, [15.3376, 10.4828, 3.5771], atol=1e-3)
    assert report.metrics["gradient_descent_first_below_10"] == 22


def test_the_random_walk_has_the_medians_derived_for_it(report):
    # Medians of 2000 chains have standard errors of 0.20, 0.05, 0.05 and 0.07, by 20000 of them.
    error = np.abs(of(report, "random walk") - np.array([8.8, 2.4, 1.3, 1.02]))
    assert np.all(error < 4.5 * np.array([0.20, 0.05, 0.05, 0.07]))
    assert report.metrics["random_walk_lowest_80"] == pytest.approx(0.063, rel=0.2)


def test_ten_times_lower_is_right_of_the_lowest_loss_alone(report):
    descended, metrics = of(report, "gradient descent"), report.metrics
    assert metrics["random_walk_lowest_80"] < descended[-1] / 10
    assert metrics["random_walk_loss_80"] > descended[-1] / 10
    assert all(np.array(of(report, "random walk")) < descended)  # the book: slower


def test_the_hessian_as_covariance_reaches_ten_three_times_sooner_than_descent(report):
    first = {
        name: report.metrics[recipe.measure(name, "first_below_10")]
        for name in ("gradient descent", *recipe.walks(SETTINGS))
    }
    for name in ("Hessian", "Hessian, as printed"):
        assert 3 < first["gradient descent"] / first[name] < 6
    assert first["Hessian"] < first["random walk"] < first["gradient descent"]
    assert np.isinf(first["inverse Hessian"])
    assert 20 < first["wide inverse Hessian"] < 35


def test_the_proposal_with_the_hessian_for_covariance_has_its_density():
    propose, log_proposal = recipe.hessian_as_covariance(0.1, 0.1)
    start = jnp.array([1.2, 2.0])
    moves = jax.vmap(lambda key: propose(start, key) - start)(
        jax.random.split(jax.random.key(0), 20000)
    )
    values, vectors = np.linalg.eigh(np.array([[118.0, 540.9], [540.9, 798.84]]))
    assert values[0] < 0  # the spec's Hessian at the start: no covariance
    covariance = 0.01 * (vectors * np.abs(values)) @ vectors.T
    np.testing.assert_allclose(np.cov(moves.T), covariance, rtol=0.05)

    def normal(move):
        return -0.5 * move @ np.linalg.inv(covariance) @ move

    near, far = np.array([0.1, 0.3]), np.array([-0.8, 1.5])
    found = log_proposal(start + jnp.asarray(near), start) - log_proposal(
        start + jnp.asarray(far), start
    )
    assert float(found) == pytest.approx(normal(near) - normal(far), rel=1e-3)


def test_the_figures_show_four_walks_and_six_curves(report):
    assert [len(axes.lines) for axes in report.figures["paths"].axes] == [4] * 4
    assert [len(axes.lines) for axes in report.figures["losses"].axes] == [6, 6]
    assert "never" in report.text and "the book: about 3" in report.text
