"""The recipe against NumPy, and the numbers it promises."""

import jax
import numpy as np
import pytest

from jdl.recipes import beale as recipe

SETTINGS = recipe.Settings(starts=8)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SETTINGS, jax.random.key(0))


def slope(w, last):
    """004's gradient, of section 9.3, in NumPy."""
    x, y = w
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y**2, last - x + x * y**3
    return np.array(
        [
            2 * a * (y - 1) + 2 * b * (y**2 - 1) + 2 * c * (y**3 - 1),
            2 * a * x + 4 * b * x * y + 6 * c * x * y**2,
        ]
    )


def adam_in_numpy(steps, last):
    w, mean, square = np.zeros(2), np.zeros(2), np.zeros(2)
    for step in range(1, steps + 1):
        g = slope(w, last)
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
        w = w - 0.3 * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return w


def descent_in_numpy(steps, last):
    w = np.zeros(2)
    for _ in range(steps):
        w = w - 0.1 * slope(w, last)
    return w


def test_the_books_two_rules_end_where_they_do_in_numpy(report):
    # The values are derived independently in spec/practical-004-ch1-2-4.md.
    metrics = report.metrics
    assert metrics["gradient_descent_on_beale_of_004"] == pytest.approx(0.173, abs=1e-3)
    assert metrics["Adam_on_beale_of_004"] == pytest.approx(0.02372, abs=1e-5)
    assert "(2.268, 0.407)" in report.text and "(2.448, 0.361)" in report.text
    np.testing.assert_allclose(descent_in_numpy(100, 2.2625), [2.268, 0.407], atol=1e-3)
    np.testing.assert_allclose(adam_in_numpy(100, 2.2625), [2.448, 0.361], atol=1e-3)
    assert "({:.3f}, {:.3f})".format(*adam_in_numpy(100, 2.625)) in report.text


def test_descent_at_the_books_rate_diverges_on_the_right_function(report):
    assert not np.isfinite(report.metrics["gradient_descent_on_beale"])
    assert report.metrics["slower_descent_on_beale"] < 0.2
    assert report.metrics["diverged_gradient_descent"] > 0.5
    assert report.metrics["diverged_Adam"] == 0


def test_the_books_minimum_is_none(report):
    assert report.metrics["loss_at_the_books_minimum"] == pytest.approx(103.69, abs=0.01)
    assert all(
        value > 0.0237
        for name, value in report.metrics.items()
        if name.endswith("beale_of_004") and np.isfinite(value)
    )


def test_every_rule_is_drawn_for_both_constants(report):
    panels = report.figures["paths"].axes
    assert [len(axes.lines) for axes in panels] == [4, 6, 4, 6]
    assert {len(axes.lines[2].get_xdata()) for axes in panels} == {101}
