"""The recipe in small, its pieces by hand, and in full the numbers it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.data.toys import Points
from jdl.models.mlp import mlp
from jdl.recipes import backprop_bayes as recipe

SMALL = recipe.Settings(
    xor_examples=40,
    circle_examples=40,
    validation_examples=80,
    epochs=20,
    evaluate_every=10,
    draws=5,
)


@pytest.mark.slow
def test_a_small_run_has_all_numbers_and_the_picture():
    report = recipe.run(SMALL, jax.random.key(0))
    assert set(report.figures) == {"learning"}
    assert all(np.isfinite(value) for value in report.metrics.values())
    assert "xor_bayes_by_backprop_error_validation" in report.metrics
    assert report.text.count("Bayes by backprop") == 2


def test_scores_are_those_of_the_probabilities():
    points = Points(jnp.zeros([4, 2]), jnp.array([1, 1, 0, 0]))
    predict = lambda variables, inputs: jnp.array([0.9, 0.2, 0.6, 0.1])  # noqa: E731
    scores = recipe.evaluation(predict, {"train": points})(None)
    np.testing.assert_allclose(scores["error_train"], 0.5)
    expected = -np.log([0.9, 0.2, 0.4, 0.9]).mean()
    np.testing.assert_allclose(scores["nll_train"], expected, rtol=1e-6)


def test_backprop_and_bayes_agree_where_the_weights_are_certain(key):
    """With deviations near 0 the Bayesian loss is the cross entropy and a KL."""
    model = mlp([2, 3, 1])
    plain, start, predict = recipe.learner("backprop", model, 4, SMALL, key)
    bayes, wide, averaged = recipe.learner("Bayes by backprop", model, 4, SMALL, key)
    certain = {
        "mean": start.params,
        "rho": jax.tree.map(lambda x: jnp.full_like(x, -15.0), start.params),
    }
    assert wide.params.keys() == certain.keys()
    batch = jnp.array([[1.0, 2.0], [0.5, -1.0], [0.0, 1.0], [1.0, 1.0]]), jnp.ones([4, 1])
    loss, (_, info) = jax.jit(bayes)(certain, (), batch, key)
    expected, _ = plain(start.params, (), batch, key)
    np.testing.assert_allclose(info["nll"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss - info["nll"], info["kl"] / 4, rtol=1e-5)
    np.testing.assert_allclose(
        averaged(Variables(certain), batch[0]), predict(start, batch[0]), rtol=1e-5
    )


@pytest.mark.slow
def test_the_promised_numbers():
    metrics = recipe.run(recipe.Settings(), jax.random.key(0)).metrics
    plain, bayes = "xor_backprop", "xor_bayes_by_backprop"
    assert metrics[f"{plain}_error_train"] < 0.04 < metrics[f"{bayes}_error_train"]
    assert metrics[f"{bayes}_error_validation"] < metrics[f"{plain}_error_validation"]
    assert metrics[f"{bayes}_nll_validation"] < 0.3 < 0.6 < metrics[f"{plain}_nll_validation"]
    for name in ("backprop", "bayes_by_backprop"):
        assert metrics[f"circle_{name}_error_validation"] < 0.05
