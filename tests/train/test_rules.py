import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.models.mlp import mlp
from jdl.train import descent, gradient, run
from jdl.train.rules import hebb, novikoff_bound, perceptron, until_clean, widrow_hoff

NEURON = mlp([2, 1], kernel_init=jax.nn.initializers.zeros)
BOOLEAN = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def epochs(model, estimator, inputs, labels, count, rate=1.0):
    """The params and the mistakes of each epoch [count], one example at a time in their order."""
    algorithm = descent(estimator, optax.sgd(rate))
    state = algorithm.init(model.init(jax.random.key(0)))
    batches = jax.tree.map(lambda x: jnp.concatenate([x] * count)[:, None], (inputs, labels))
    state, info = jax.jit(lambda *args: run(algorithm, *args))(state, batches, jax.random.key(0))
    layer = state.variables.params["layers"]["0"]
    return layer["kernel"][:, 0], layer["bias"][0], info


def test_and_is_learned_in_the_six_epochs_and_with_the_weights_of_001():
    labels = jnp.array([0, 0, 0, 1])
    weights, bias, info = epochs(NEURON, perceptron(NEURON), BOOLEAN, labels, 6)
    assert (weights.tolist(), float(bias)) == ([2.0, 1.0], -2.0)
    mistakes = info["mistakes"].reshape(6, 4).sum(1)
    assert mistakes[-1] == 0
    assert (mistakes[:-1] > 0).all()


def test_not_is_learned_in_the_three_epochs_and_with_the_weights_of_001():
    model = mlp([1, 1], kernel_init=jax.nn.initializers.zeros)
    inputs, labels = jnp.array([[0.0], [1.0]]), jnp.array([1, 0])
    weights, bias, info = epochs(model, perceptron(model), inputs, labels, 3)
    assert (weights.tolist(), float(bias)) == ([-1.0], 1.0)
    assert info["mistakes"].reshape(3, 2).sum(1)[-1] == 0


def test_xor_makes_2_then_3_then_4_mistakes_for_ever_as_in_001():
    labels = jnp.array([0, 1, 1, 0])
    _, _, info = epochs(NEURON, perceptron(NEURON), BOOLEAN, labels, 50)
    assert info["mistakes"].reshape(50, 4).sum(1).tolist() == [2, 3] + [4] * 48


@pytest.mark.parametrize(
    ("labels", "epochs_made"), [([0, 0, 0, 1], 6), ([0, 1, 1, 0], 20), ([0, 0, 0, 0], 1)]
)
def test_a_run_ends_with_its_first_clean_epoch(labels, epochs_made, key):
    """AND after six epochs, as in 001; XOR never; a constant, which zero weights give, at once."""
    algorithm = descent(perceptron(NEURON), optax.sgd(1.0))
    start = algorithm.init(NEURON.init(key))
    data = BOOLEAN, jnp.array(labels)
    _, made, mistakes = until_clean(algorithm, start, data, key, max_epochs=20)
    assert made == epochs_made
    assert (mistakes[:made] >= 0).all() and (mistakes[made:] == -1).all()
    assert (mistakes[made - 1] == 0) == (epochs_made < 20)


@pytest.fixture(scope="module")
def separable():
    """Points with a margin of 0.2 about a hyperplane with a bias."""
    rng = np.random.default_rng(0)
    weights, bias = np.array([0.8, -0.5]), np.sqrt(1 - 0.8**2 - 0.5**2)
    points = rng.uniform(-2, 2, [200, 2])
    margins = points @ weights + bias
    points = points[np.abs(margins) > 0.2].astype(np.float32)
    labels = np.where(points @ weights + bias > 0, 1, -1)
    return points, labels, weights.astype(np.float32), np.float32(bias)


def test_labels_0_and_1_or_minus_1_and_1_are_the_same_rule(separable):
    points, labels, *_ = separable
    one = epochs(NEURON, perceptron(NEURON), points, labels, 3)
    other = epochs(NEURON, perceptron(NEURON), points, (labels + 1) // 2, 3)
    np.testing.assert_array_equal(one[0], other[0])


def test_the_rule_is_that_of_scikit_learn(separable):
    linear_model = pytest.importorskip("sklearn.linear_model")
    points, labels, *_ = separable
    weights, bias, _ = epochs(NEURON, perceptron(NEURON), points, labels, 4)
    peer = linear_model.Perceptron(shuffle=False, max_iter=4, tol=None).fit(points, labels)
    np.testing.assert_allclose(weights, peer.coef_[0], rtol=1e-5)
    np.testing.assert_allclose(bias, peer.intercept_[0], rtol=1e-5)


def test_zero_counts_as_negative_and_only_for_scikit_learn_as_a_mistake():
    linear_model = pytest.importorskip("sklearn.linear_model")
    inputs, labels = np.array([[1.0, 2.0], [3.0, 1.0]], np.float32), np.array([-1, 1])
    weights, bias, info = epochs(NEURON, perceptron(NEURON), inputs, labels, 1)
    assert info["mistakes"].tolist() == [0.0, 1.0]
    assert (weights.tolist(), float(bias)) == ([3.0, 1.0], 1.0)
    peer = linear_model.Perceptron(shuffle=False, max_iter=1, tol=None).fit(inputs, labels)
    assert (peer.coef_[0].tolist(), float(peer.intercept_[0])) == ([2.0, -1.0], 0.0)


def test_mistakes_stay_below_the_bound_of_novikoff(separable):
    points, labels, weights, bias = separable
    bound = novikoff_bound(points, labels, weights, bias)
    *_, info = epochs(NEURON, perceptron(NEURON), points, labels, 100)
    assert info["mistakes"][-len(points) :].sum() == 0
    assert 0 < info["mistakes"].sum() <= bound


def test_the_bound_is_that_of_its_formula_and_has_no_scale(separable):
    points, labels, weights, bias = separable
    radius = np.linalg.norm(points, axis=1).max()
    margin = (labels * (points @ weights + bias)).min()  # weights and bias are normalised
    expected = (radius**2 + 1) / margin**2
    np.testing.assert_allclose(novikoff_bound(points, labels, weights, bias), expected, rtol=1e-5)
    scaled = novikoff_bound(points, labels, 7 * weights, 7 * bias)
    np.testing.assert_allclose(scaled, expected, rtol=1e-5)


def test_the_bound_is_met_where_every_step_is_needed():
    """One example, and the separator (x, 1): (R^2 + 1) / eta^2 is exactly 1."""
    inputs, labels = jnp.array([[3.0, 4.0]]), jnp.array([1])
    *_, info = epochs(NEURON, perceptron(NEURON), inputs, labels, 5)
    bound = novikoff_bound(inputs, labels, jnp.array([3.0, 4.0]), 1.0)
    assert info["mistakes"].sum() == 1
    np.testing.assert_allclose(bound, 1.0, rtol=1e-6)


def test_the_bound_of_a_hyperplane_that_does_not_separate_is_infinite():
    labels = jnp.array([0, 1, 1, 0])
    assert novikoff_bound(BOOLEAN, labels, jnp.ones(2), -1.5) == jnp.inf


def test_widrow_hoff_is_the_gradient_of_half_the_squared_error(key):
    model = mlp([3, 1])
    params, buffers = model.init(key)
    rng = np.random.default_rng(1)
    batch = rng.normal(size=[5, 3]).astype(np.float32), rng.normal(size=5).astype(np.float32)

    def objective(params, buffers, batch, key):
        kernel, bias = params["layers"]["0"]["kernel"], params["layers"]["0"]["bias"]
        outputs = batch[0] @ kernel[:, 0] + bias[0]
        return jnp.mean((outputs - batch[1]) ** 2) / 2, (buffers, {})

    direction, _, info = widrow_hoff(model)(params, buffers, batch, key)
    expected, _, expected_info = gradient(objective)(params, buffers, batch, key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), direction, expected)
    np.testing.assert_allclose(info["loss"], expected_info["loss"], rtol=1e-6)


def test_one_step_of_widrow_hoff_by_hand():
    inputs, targets = jnp.array([[1.0, 2.0]]), jnp.array([1.0])
    weights, bias, _ = epochs(NEURON, widrow_hoff(NEURON), inputs, targets, 1, rate=0.1)
    np.testing.assert_allclose(weights, [0.1, 0.2], rtol=1e-6)
    np.testing.assert_allclose(bias, 0.1, rtol=1e-6)


def test_hebb_adds_rate_times_input_times_output():
    ones = jax.nn.initializers.ones
    model = mlp([2, 1], kernel_init=ones)
    inputs = jnp.array([[1.0, -3.0]])
    weights, bias, _ = epochs(model, hebb(model, jnp.tanh), inputs, jnp.zeros(1), 1, rate=0.5)
    output = np.tanh(1.0 - 3.0)
    np.testing.assert_allclose(weights, [1 + 0.5 * output, 1 - 3 * 0.5 * output], rtol=1e-6)
    np.testing.assert_allclose(bias, 0.5 * output, rtol=1e-6)


def test_linear_hebb_turns_towards_the_first_principal_axis():
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=[500, 2]).astype(np.float32) @ np.array([[2, 1], [0, 0.3]], np.float32)
    model = mlp([2, 1], kernel_init=jax.nn.initializers.ones)
    weights, _, _ = epochs(model, hebb(model), inputs, jnp.zeros(500), 4, rate=0.002)
    axis = np.linalg.eigh(np.cov(inputs.T))[1][:, -1]
    cosine = abs(axis @ weights) / np.linalg.norm(weights)
    assert cosine > 0.99


@pytest.mark.parametrize("rule", [perceptron, widrow_hoff, hebb])
def test_two_outputs_are_no_single_neuron(rule, key):
    model = mlp([2, 2])
    with pytest.raises(ValueError, match=r"labels \[B\] and outputs \[B, 1\]; got"):
        rule(model)(*model.init(key), (BOOLEAN, jnp.zeros(4)), key)
