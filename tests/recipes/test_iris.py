"""The recipe against the book's listing in NumPy, and the numbers it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.mlp import mlp
from jdl.recipes import iris as recipe
from jdl.train.ensemble import members

SMALL = recipe.Settings(networks=3, steps=300)


@pytest.fixture(scope="module")
def report():
    return recipe.run(SMALL, jax.random.key(0))


def trained_in_numpy(start, inputs, labels, steps, rate):
    """First and last loss, and the weights, of 003's listing with its errors mended."""
    w1, b1, w2, b2 = (np.asarray(x, float) for x in start)
    x, y, losses = np.asarray(inputs, float), np.eye(3)[labels], []
    for _ in range(steps):
        z = x @ w1 + b1
        h = np.maximum(z, 0)
        scores = np.exp((o := h @ w2 + b2) - o.max(1, keepdims=True))
        p = scores / scores.sum(1, keepdims=True)
        losses.append(-np.log(p[y == 1]).mean())
        d2 = (p - y) / len(x)
        d1 = d2 @ w2.T * (z > 0)
        w2, b2 = w2 - rate * h.T @ d2, b2 - rate * d2.sum(0)
        w1, b1 = w1 - rate * x.T @ d1, b1 - rate * d1.sum(0)
    return losses[0], losses[-1], (w1, b1, w2, b2)


def test_losses_and_accuracies_are_those_of_numpy(report):
    train, test, _ = recipe.flowers(SMALL.split_seed)
    model = members(mlp([4, 10, 3], kernel_init=jax.nn.initializers.he_normal()), 3)
    layers = model.init(jax.random.key(0)).params["layers"]
    first, last, right = [], [], []
    for number in range(3):
        start = [layers[n][part][number] for n in "01" for part in ("kernel", "bias")]
        before, after, (w1, b1, w2, b2) = trained_in_numpy(
            start, train.inputs, np.asarray(train.labels), SMALL.steps, SMALL.learning_rate
        )
        said = (np.maximum(np.asarray(test.inputs) @ w1 + b1, 0) @ w2 + b2).argmax(1)
        first, last = [*first, before], [*last, after]
        right.append(np.mean(said == np.asarray(test.labels)))
    metrics = report.metrics
    for name, values in [("first_loss", first), ("last_loss", last), ("test_accuracy", right)]:
        np.testing.assert_allclose(metrics[f"{name}_least"], min(values), rtol=1e-4)
        np.testing.assert_allclose(metrics[f"{name}_most"], max(values), rtol=1e-4)


def test_by_hand_and_by_autodiff_are_the_same_run(report):
    assert report.metrics["difference_of_losses"] < 1e-5
    assert 0 <= report.metrics["difference_of_weights"] < 1e-4
    different = recipe.run(recipe.Settings(networks=1, steps=5), jax.random.key(1)).metrics
    assert different["first_loss_least"] != report.metrics["first_loss_least"]


def test_the_split_is_the_books():
    train, test, names = recipe.flowers(42)
    assert names == ("setosa", "versicolor", "virginica")
    assert jnp.bincount(train.labels).tolist() == [40] * 3
    assert jnp.bincount(test.labels).tolist() == [10] * 3
    np.testing.assert_allclose(train.inputs.mean(0), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(train.inputs.std(0), np.ones(4), rtol=1e-5)
    assert np.abs(np.asarray(test.inputs.mean(0))).max() > 1e-3


def test_pictures_count_every_test_flower_of_every_network(report):
    counts = [int(text.get_text()) for text in report.figures["confusion"].axes[0].texts]
    assert sum(counts) == 3 * 30
    assert set(report.figures) == {"confusion", "regions", "learning"}


@pytest.mark.slow
def test_the_promised_numbers():
    metrics = recipe.run(recipe.Settings(), jax.random.key(0)).metrics
    assert 0.04 < metrics["last_loss_least"] < metrics["last_loss_most"] < 0.053
    assert 0.94 < metrics["test_accuracy"] < 0.98 and metrics["training_accuracy_least"] > 0.974
