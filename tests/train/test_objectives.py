import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.models.mlp import mlp
from jdl.train import Diverged, classification, descent, fit, gradient, regression


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=[7, 4]).astype(np.float32)
    return inputs, rng.integers(0, 3, 7).astype(np.int32)


def test_classification_is_the_mean_negative_log_probability_of_the_label(key, batch):
    model = mlp([4, 3])
    variables = model.init(key)
    loss, (_, info) = classification(model)(*variables, batch, key)
    logits = np.asarray(batch[0] @ variables.params["layers"]["0"]["kernel"], np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -np.log(probabilities[np.arange(7), batch[1]]).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(info["accuracy"], np.mean(logits.argmax(1) == batch[1]))


def test_regression_is_the_mean_squared_error(key, batch):
    model = mlp([4, 2])
    variables = model.init(key)
    targets = np.ones([7, 2], np.float32)
    loss, _ = regression(model)(*variables, (batch[0], targets), key)
    predictions = batch[0] @ variables.params["layers"]["0"]["kernel"]
    np.testing.assert_allclose(loss, np.mean((predictions - 1) ** 2), rtol=1e-6)


def test_the_pass_is_one_of_training_and_its_buffers_come_back(key, batch):
    model = functional(lambda rngs: nnx.BatchNorm(4, momentum=0.0, rngs=rngs))
    _, (buffers, _) = regression(model)(*model.init(key), (batch[0], batch[0]), key)
    np.testing.assert_allclose(buffers["mean"], batch[0].mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_label_out_of_range_is_no_silent_zero(key, batch, wrong):
    model = mlp([4, 3])
    labels = batch[1].copy()
    labels[2] = wrong
    algorithm = descent(gradient(classification(model)), optax.sgd(0.1))
    with pytest.raises(Diverged, match="loss is nan"):
        fit(algorithm, algorithm.init(model.init(key)), (batch[0], labels), key, steps=2)


@pytest.mark.parametrize("labels", [jnp.zeros(7), jnp.zeros([7, 3], jnp.int32), jnp.zeros(6, int)])
def test_labels_of_another_kind_are_named(key, batch, labels):
    model = mlp([4, 3])
    with pytest.raises(ValueError, match=r"labels are integers \[7\] for logits \[7, 3\]; got"):
        classification(model)(*model.init(key), (batch[0], labels), key)


def test_targets_of_another_shape_do_not_broadcast(key, batch):
    model = mlp([4, 1])
    with pytest.raises(ValueError, match="targets have the shape of the predictions"):
        regression(model)(*model.init(key), (batch[0], jnp.zeros(7)), key)


def test_the_gradient_of_classification_is_probability_minus_label(key, batch):
    model = mlp([4, 3])
    params, buffers = model.init(key)
    slope = jax.grad(lambda p: classification(model)(p, buffers, batch, key)[0])(params)
    logits = batch[0] @ params["layers"]["0"]["kernel"]
    errors = jax.nn.softmax(logits) - jax.nn.one_hot(batch[1], 3)
    expected = batch[0].T @ errors / 7
    np.testing.assert_allclose(slope["layers"]["0"]["kernel"], expected, rtol=1e-4, atol=1e-6)
