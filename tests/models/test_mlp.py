import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.train import classification, descent, gradient

CORNERS = jnp.array([[0.0, 0], [1, 1], [0, 1], [1, 0]])


@pytest.mark.parametrize("sizes, count", [([3, 4, 4, 3], 51), ([4, 10, 3], 83)])
def test_params_equal_the_count_of_002_and_003(sizes, count, key):
    params = jax.eval_shape(mlp(sizes).init, key).params
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


def xor(kernel, bias, head):
    layers = {"0": {"kernel": jnp.array(kernel), "bias": jnp.array(bias)},
              "1": {"kernel": jnp.array(head), "bias": jnp.zeros(1)}}  # fmt: skip
    return mlp([2, 2, 1]).init(jax.random.key(0))._replace(params={"layers": layers})


@pytest.mark.parametrize("a, off, on", [(10.0, 0.00669, 0.98661), (1.0, 0.195, 0.245)])
def test_004s_logistic_network_for_xor(a, off, on):
    variables = xor([[a, a], [a, a]], [-a / 2, -3 * a / 2], [[1.0], [-1.0]])
    outputs, _ = mlp([2, 2, 1], jax.nn.sigmoid).apply(variables, CORNERS)
    np.testing.assert_allclose(outputs[:, 0], [off, off, on, on], atol=5e-4)


def test_004s_relu_network_for_xor_is_exact():
    variables = xor([[1.0, 1], [1, 1]], [0.0, -1.0], [[1.0], [-2.0]])
    assert mlp([2, 2, 1]).apply(variables, CORNERS)[0][:, 0].tolist() == [0, 0, 1, 1]


def test_with_columns_for_examples_it_is_the_transpose(key):
    """004: z = W'h + b with our kernels; 001 and 002: z = W h + b with their transposes."""
    model = mlp([3, 4, 2], jnp.tanh, bias_init=jax.nn.initializers.normal())
    variables = model.init(key)
    first, last = variables.params["layers"].values()
    columns = jax.random.normal(key, [3, 7])
    hidden = jnp.tanh(first["kernel"].T @ columns + first["bias"][:, None])
    expected = last["kernel"].T @ hidden + last["bias"][:, None]
    np.testing.assert_allclose(model.apply(variables, columns.T)[0].T, expected, atol=1e-5)


def test_scikit_learns_classifier_gives_the_same_probabilities():
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=[40, 3]), np.arange(40) % 3
    with pytest.warns(ConvergenceWarning):
        peer = MLPClassifier((5, 4), activation="tanh", max_iter=2, random_state=0)
        peer.fit(inputs, labels)
    layers = {
        str(i): {"kernel": jnp.asarray(w, jnp.float32), "bias": jnp.asarray(b, jnp.float32)}
        for i, (w, b) in enumerate(zip(peer.coefs_, peer.intercepts_, strict=True))
    }
    model = mlp([3, 5, 4, 3], jnp.tanh)
    variables = model.init(jax.random.key(0))._replace(params={"layers": layers})
    logits, _ = model.apply(variables, jnp.asarray(inputs, jnp.float32))
    np.testing.assert_allclose(jax.nn.softmax(logits), peer.predict_proba(inputs), atol=1e-5)


def test_scikit_learns_classifier_has_the_same_losses_from_the_same_weights(key):
    """Gradient descent on the whole batch, the two step by step from one start."""
    rng = np.random.default_rng(1)
    inputs, labels = rng.normal(size=[40, 3]), np.arange(40) % 3
    peer = MLPClassifier(
        (6,),
        activation="relu",
        solver="sgd",
        alpha=0.0,
        learning_rate_init=0.3,
        momentum=0.0,
        random_state=0,
    )
    peer.partial_fit(inputs, labels, classes=[0, 1, 2])
    params = {
        "layers": {
            str(i): {"kernel": jnp.asarray(w, jnp.float32), "bias": jnp.asarray(b, jnp.float32)}
            for i, (w, b) in enumerate(zip(peer.coefs_, peer.intercepts_, strict=True))
        }
    }
    model = mlp([3, 6, 3])
    algorithm = descent(gradient(classification(model)), optax.sgd(0.3))
    state, losses, expected = algorithm.init(Variables(params)), [], []
    batch = jnp.asarray(inputs, jnp.float32), jnp.asarray(labels)
    step = jax.jit(algorithm.step)
    for _ in range(25):
        state, info = step(state, batch, key)
        losses.append(float(info["loss"]))
        expected.append(peer.partial_fit(inputs, labels).loss_)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert losses[-1] < 0.95 * losses[0]
    found = state.variables.params["layers"]["0"]["kernel"]
    np.testing.assert_allclose(found, peer.coefs_[0], rtol=1e-3, atol=1e-5)
