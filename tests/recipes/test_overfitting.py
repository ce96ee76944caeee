"""The recipe against NumPy's least squares and against counting, and the numbers it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.recipes import overfitting as recipe

SMALL = recipe.Settings(
    repeats=2000,
    examples=(2, 3, 10, 100),
    lines=5,
    dimensions=(5,),
    many_examples=(2, 6, 12, 60),
    many_repeats=200,
)
CENTRES = jnp.array(recipe.CENTRES)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SMALL, jax.random.key(0))


@pytest.mark.parametrize("size", [2, 3, 9])
def test_the_classifier_is_numpys_of_the_examples_seen(key, size):
    inputs, targets = recipe.sample(key, CENTRES, 0.5, 12, balanced=True)
    matrix = np.column_stack([np.asarray(inputs)[:size], np.ones(size)])
    expected = np.linalg.lstsq(matrix, np.asarray(targets)[:size])[0]
    found = recipe.least_squares(inputs, targets, jnp.int32(size))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_the_exact_error_is_what_counting_finds(key):
    line = jnp.array([-1.0, 0.4, 0.3])
    inputs, targets = recipe.sample(key, CENTRES, 0.7, 200_000, balanced=False)
    counted = jnp.mean(jnp.sign(recipe.extended(inputs) @ line) != targets)
    exact = recipe.exact_error(line, CENTRES, 0.7)
    np.testing.assert_allclose(exact, counted, atol=4 * (0.1 / 200_000) ** 0.5)
    np.testing.assert_allclose(recipe.exact_error(-line, CENTRES, 0.7), 1 - exact, rtol=1e-5)


def test_classes_come_in_turn_or_are_drawn(key):
    _, in_turn = recipe.sample(key, CENTRES, 0.5, 6, balanced=True)
    _, drawn = recipe.sample(key, CENTRES, 0.5, 10_000, balanced=False)
    assert in_turn.tolist() == [1, -1, 1, -1, 1, -1] and abs(float(drawn.mean())) < 0.05


def test_errors_at_both_ends_are_those_of_the_book_where_it_is_right(report):
    metrics = report.metrics
    assert metrics["training_error_drawn_2"] == 0 and metrics["test_error_drawn_2"] > 0.1
    assert metrics["test_error_in_turn_2"] < 0.02
    for kind in ("in_turn", "drawn"):
        training, test = (metrics[f"{part}_error_{kind}_100"] for part in ("training", "test"))
        assert training < metrics["least_error"] < test < 1.3 * metrics["least_error"]
    np.testing.assert_allclose(metrics["least_error"], 0.002339, atol=1e-6)  # Q(2 sqrt 2)


def test_the_worst_number_of_examples_is_one_more_than_the_dimensions(report):
    assert report.metrics["worst_size_D_5"] == 6
    assert report.metrics["test_error_D_5"] > report.metrics["least_error_2_1"]


def test_pictures_show_all_curves(report):
    assert [len(axes.lines) for axes in report.figures["errors"].axes] == [5, 3]
    assert [len(axes.lines) for axes in report.figures["lines"].axes] == [6, 6, 6]
