"""Positions: the table's figures, and a scheme that has positions solves what none cannot."""

import jax
import numpy as np
import pytest

from jdl.recipes import positions

SHORT = positions.Settings(
    length=5, test_length=7, test_sequences=4, hidden_dim=4, num_layers=1, num_heads=2, steps=1
)


@pytest.fixture(scope="module")
def report():
    return positions.run(SHORT, jax.random.key(0))


def test_pictures_have_the_book_s_table_and_products_of_distances(report):
    image = report.figures["table"].axes[0].images[0].get_array()
    assert image.shape == (100, 512)
    rates = 10_000.0 ** (-np.arange(0, 512, 2) / 512)
    for distance, name in ((0, "of_itself"), (1, "at_distance_1"), (50, "at_distance_50")):
        expected = np.cos(distance * rates).sum()
        np.testing.assert_allclose(report.metrics[f"product_{name}"], expected, rtol=1e-4)


def test_every_scheme_is_measured_at_the_places_that_have_an_answer(report):
    lines = report.figures["accuracy"].axes[0].lines[: len(positions.SCHEMES)]
    for scheme, line in zip(positions.SCHEMES, lines, strict=True):
        assert line.get_xdata().tolist() == [3, 4, 5, 6]
        right = line.get_ydata()
        np.testing.assert_allclose(report.metrics[f"{scheme}_within"], right[:2].mean())
        np.testing.assert_allclose(report.metrics[f"{scheme}_beyond"], right[2:].mean())


@pytest.mark.slow
def test_order_is_lost_without_positions_and_rotary_ones_reach_beyond():
    found = positions.run(positions.Settings(), jax.random.key(0)).metrics
    assert found["none_within"] < 0.5
    assert min(found[f"{x}_within"] for x in ("sinusoidal", "learned", "rotary")) > 0.99
    assert found["rotary_beyond"] > 0.9 > 0.3 > found["learned_beyond"]
