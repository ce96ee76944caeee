"""The machine of digits: a short run already beats independent pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl import data
from jdl.recipes import rbm_digits

SHORT = rbm_digits.Settings(hidden=30, steps=400, dreams=5, evaluate_every=200)
KEY = 0


@pytest.fixture(scope="module")
def report():
    return rbm_digits.run(SHORT, jax.random.key(KEY))


def test_machine_finds_held_out_digits_more_probable_than_independent_pixels_do(report):
    metrics = report.metrics
    assert set(metrics) == {
        "train.pseudo_log_likelihood",
        "train.reconstruction_error",
        "test.pseudo_log_likelihood",
        "test.reconstruction_error",
        "free_energy_gap",
        "independent_pseudo_log_likelihood",
    }
    assert metrics["test.pseudo_log_likelihood"] > metrics["independent_pseudo_log_likelihood"] + 3
    assert metrics["test.reconstruction_error"] < 0.12


def test_independent_pixels_have_their_log_likelihood(report):
    # For independent pixels the pseudo-log-likelihood is the log-likelihood: Laplace's rule.
    images, labels, _ = data.digits()
    pixels = (images.reshape(len(images), -1) > 0.5).astype(np.float32)
    key = jax.random.split(jax.random.key(KEY), 5)[0]
    train, test = data.train_test_split(pixels, key, 0.2, stratify_by=labels)
    black = (train.sum(0) + 1) / (len(train) + 2)
    expected = np.log(np.where(test == 1, black, 1 - black)).sum(1).mean()
    found = report.metrics["independent_pseudo_log_likelihood"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_log_odds_follow_laplaces_rule():
    pixels = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(rbm_digits.log_odds(pixels), np.log([3 / 2, 1 / 4]), rtol=1e-6)


def test_pictures_show_digits_weights_and_curves(report):
    shown = [axes.images[0].get_array() for axes in report.figures["digits"].axes]
    assert len(shown) == 3 * rbm_digits.SHOWN
    held_out = np.stack(shown[: rbm_digits.SHOWN])
    assert set(np.unique(held_out)) == {0, 1}
    read_back = np.stack(shown[rbm_digits.SHOWN : 2 * rbm_digits.SHOWN])
    assert np.mean((held_out - read_back) ** 2) < 0.15
    assert sum(bool(axes.images) for axes in report.figures["filters"].axes) == SHORT.hidden
    lines = report.figures["learning"].axes[0].lines
    assert [line.get_xdata().tolist() for line in lines] == [[200, 400]] * 3
