import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from jdl.models.linear import linear, logistic
from jdl.train.objectives import classification, regression


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=[60, 3]).astype(np.float32)
    noisy = inputs @ rng.normal(size=[3, 3]) + rng.normal(size=[60, 3])
    return inputs, noisy.argmax(1)


def params(kernel, bias):
    layer = {"kernel": jnp.array(kernel, jnp.float32), "bias": jnp.array(bias, jnp.float32)}
    return {"layers": {"0": layer}}


def slope(objective, params, batch):
    gradient = jax.grad(objective, has_aux=True)(params, {}, batch, jax.random.key(0))[0]
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))


def test_the_slope_of_the_logistic_loss_is_the_error_times_the_input(data):
    inputs, labels = data[0], (data[1] > 0).astype(np.float32)
    start = params(np.random.default_rng(1).normal(size=[3, 1]), [0.3])
    gradient, _ = jax.grad(logistic(linear(3)), has_aux=True)(
        start, {}, (inputs, labels), jax.random.key(0)
    )
    f = inputs @ np.asarray(start["layers"]["0"]["kernel"])[:, 0] + 0.3
    errors = 1 / (1 + np.exp(-f)) - labels  # 004 eq. 1.68
    layer = gradient["layers"]["0"]
    np.testing.assert_allclose(layer["kernel"][:, 0], errors @ inputs / 60, atol=1e-6)
    np.testing.assert_allclose(layer["bias"][0], errors.mean(), atol=1e-6)


def test_scikit_learns_logistic_regression_is_the_minimum(data):
    inputs, labels = data[0], (data[1] > 0).astype(int)
    peer = LogisticRegression(C=np.inf, tol=1e-8).fit(np.float64(inputs), labels)
    found = params(peer.coef_.T, peer.intercept_)
    assert slope(logistic(linear(3)), found, (inputs, labels)) < 1e-5
    shrunk = LogisticRegression(C=1.0).fit(np.float64(inputs), labels)
    found = params(shrunk.coef_.T, shrunk.intercept_)
    assert slope(logistic(linear(3)), found, (inputs, labels)) > 1e-3


def test_scikit_learns_softmax_regression_is_the_minimum(data):
    peer = LogisticRegression(C=np.inf, tol=1e-8).fit(np.float64(data[0]), data[1])
    found = params(peer.coef_.T, peer.intercept_)
    assert slope(classification(linear(3, 3)), found, (data[0], data[1].astype(np.int32))) < 1e-5


def test_scikit_learns_linear_regression_is_the_minimum(data):
    inputs, targets = data[0], data[1].astype(np.float32)
    peer = LinearRegression().fit(inputs, targets)
    found = params(peer.coef_[:, None], [peer.intercept_])
    assert slope(regression(linear(3)), found, (inputs, targets[:, None])) < 1e-5


def test_the_loss_is_log_2_at_the_start_and_two_outputs_are_refused(data, key):
    model = linear(3)
    batch = data[0], (data[1] > 0).astype(np.float32)
    loss, (_, info) = logistic(model)(*model.init(key), batch, key)
    assert float(loss) == pytest.approx(np.log(2))
    assert float(info["accuracy"]) == pytest.approx(np.mean(data[1] == 0))
    with pytest.raises(ValueError, match="one output"):
        logistic(linear(3, 2))(*linear(3, 2).init(key), batch, key)
