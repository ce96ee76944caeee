"""The recipe against a perceptron in NumPy, and the numbers it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.recipes import perceptron as recipe

SETTINGS = recipe.Settings(points=30, epochs=60, margins=(0.1, 0.5), repeats=3)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


def mistakes_in_numpy(inputs, labels, epochs):
    """The number of mistakes, and the epoch of the last one from 1."""
    weights, mistakes, last = np.zeros(3), 0, 0
    for epoch in range(epochs):
        for x, y in zip(np.column_stack([inputs, np.ones(len(inputs))]), labels, strict=True):
            if (x @ weights > 0) != (y > 0):
                weights, mistakes, last = weights + y * x, mistakes + 1, epoch + 1
    return mistakes, last


def test_mistakes_are_those_of_a_perceptron_in_numpy(report):
    key = jax.random.split(jax.random.key(0), 7)[0]
    inputs, labels = recipe.separable(key, SETTINGS.margin, SETTINGS)
    expected = mistakes_in_numpy(np.asarray(inputs, float), np.asarray(labels), SETTINGS.epochs)
    assert (report.metrics["mistakes"], report.metrics["last_epoch"]) == expected


def test_mistakes_stay_below_the_bound_on_every_data_set(report):
    metrics = report.metrics
    assert 0 < metrics["mistakes"] < metrics["bound"] and metrics["largest_share_of_bound"] <= 1
    expected = (metrics["radius"] ** 2 + 1) / metrics["margin"] ** 2
    np.testing.assert_allclose(metrics["bound"], expected, rtol=1e-5)
    assert metrics["unfinished"] == 0 and metrics["margin"] >= SETTINGS.margin


def test_a_line_is_drawn_for_each_mistake(report):
    axes = report.figures["boundaries"].axes[0]
    # The dashed line of the widest margin is the one more.
    assert len(axes.lines) == report.metrics["mistakes"] + 1
    numbers = sorted(
        int(number) for text in axes.texts for number in text.get_text().split(", ") if number
    )
    assert numbers == list(range(1, report.metrics["mistakes"] + 1))


@pytest.mark.parametrize("margin", [0.1, 0.8])
def test_data_are_separated_with_the_margin_asked_for(margin):
    for seed in range(3):
        inputs, labels = recipe.separable(jax.random.key(seed), margin, SETTINGS)
        assert inputs.shape == (30, 2) and jnp.linalg.norm(inputs, axis=1).max() <= 2.85
        assert set(np.asarray(labels).tolist()) <= {-1.0, 1.0}
        assert recipe.widest_separator(inputs, labels).margin > margin


@pytest.mark.slow
def test_the_promised_numbers():
    metrics = recipe.run(recipe.Settings(), jax.random.key(0)).metrics
    assert metrics["mistakes"] == 16 and round(metrics["bound"]) == 141
    assert metrics["largest_share_of_bound"] < 0.6 and metrics["unfinished"] == 0
