"""Digits: a short run reports what it should, and the full one reads them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.recipes import digits

SHORT = digits.Settings(steps=6, batch_size=32, evaluate_every=2, test_fraction=0.3, shown=10)


@pytest.fixture(scope="module")
def report():
    return digits.run(SHORT, jax.random.key(0))


def test_numbers_agree_with_the_table_and_the_pictures(report):
    metrics = report.metrics
    assert metrics["test_images"] == round(0.3 * 1797)
    assert metrics["best_step"] in (2, 4, 6)
    right = 1 - metrics["test_errors"] / metrics["test_images"]
    np.testing.assert_allclose(metrics["test_accuracy"], right)
    row = next(line.split() for line in report.text.splitlines() if "accuracy" in line)
    assert row == ["accuracy", f"{right:.3f}", str(metrics["test_images"])]
    heatmap = report.figures["confusion"].axes[0]
    counts = [int(text.get_text()) for text in heatmap.texts]
    diagonal = [int(t.get_text()) for t in heatmap.texts if len({*t.get_position()}) == 1]
    assert sum(counts) == metrics["test_images"]
    assert sum(counts) - sum(diagonal) == metrics["test_errors"]


def test_pictures_are_there(report):
    assert set(report.figures) == {"confusion", "hardest", "learning", "filters"}
    assert sum(bool(axes.images) for axes in report.figures["hardest"].axes) == 10
    training, validation = report.figures["learning"].axes[0].lines
    assert training.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert validation.get_xdata().tolist() == [2, 4, 6]


def test_run_is_a_function_of_settings_and_key(report):
    again, other = (digits.run(SHORT, jax.random.key(seed)) for seed in (0, 1))
    assert again.metrics == report.metrics and other.metrics != report.metrics


def test_augmentation_by_nothing_shows_the_enlarged_images(key):
    images = jax.random.uniform(key, [4, 8, 8, 1])

    def objective(params, buffers, batch, key):
        return jnp.abs(batch[0] - digits.enlarged(images)).max(), (buffers, {})

    batch = images, jnp.zeros(4, jnp.int32)
    assert digits.augmented(objective, 0.0, 0.0)(None, None, batch, key)[0] < 1e-5
    assert digits.augmented(objective, 0.1, 0.1)(None, None, batch, key)[0] > 0.1


@pytest.mark.slow
def test_full_run_reads_at_least_985_in_1000():
    assert digits.run(digits.Settings(), jax.random.key(0)).metrics["test_accuracy"] >= 0.985
