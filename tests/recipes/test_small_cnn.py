"""The small network of the books: what the report says agrees with itself, and it learns tiles."""

import jax
import numpy as np
import pytest

from jdl.data import image_set
from jdl.recipes import small_cnn

SHORT = small_cnn.Settings(epochs=1, batch_size=100, shown=6)


@pytest.fixture(scope="module")
def report():
    return small_cnn.run(SHORT, jax.random.key(0))


def test_numbers_agree_with_the_picture(report):
    counts = [int(text.get_text()) for text in report.figures["confusion"].axes[0].texts]
    assert sum(counts) == report.metrics["test_images"] == 130
    row = next(line.split() for line in report.text.splitlines() if "accuracy" in line)
    assert row[1] == f"{report.metrics['test_accuracy']:.3f}"
    assert sum(bool(axes.images) for axes in report.figures["hardest"].axes) == 6
    validation = report.figures["learning"].axes[0].lines[-1]
    assert validation.get_xdata().tolist() == [1]


def test_small_images_are_enlarged_and_others_left():
    digits, _ = image_set("digits")
    assert small_cnn.enlarged(digits.images[:2]).shape == (2, 28, 28, 1)
    tiles = np.zeros([2, 32, 32, 3], np.float32)
    assert small_cnn.enlarged(tiles) is tiles


@pytest.mark.slow
def test_at_a_lower_rate_nearly_all_tiles_are_told_apart():
    settings = small_cnn.Settings(epochs=30, learning_rate=1e-3)
    assert small_cnn.run(settings, jax.random.key(0)).metrics["test_accuracy"] > 0.95
