import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.train import descent
from jdl.train.backpropagation import (
    BERNOULLI,
    HALF_SQUARED_ERROR,
    LOGISTIC,
    MULTINOULLI,
    RELU,
    SQUARED_ERROR,
    TANH,
    backpropagation,
    column_gradients,
    row_gradients,
)

KINDS = {
    "logistic": (LOGISTIC, BERNOULLI),
    "tanh": (TANH, HALF_SQUARED_ERROR),
    "relu": (RELU, MULTINOULLI),
}


def close(a, b, **options):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **options), a, b)


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    """Activation, output, layers of scale 1, inputs and targets."""
    activation, output = KINDS[request.param]
    keys = iter(jax.random.split(jax.random.key(0), 8))
    layers = [
        (jax.random.normal(next(keys), shape), jax.random.normal(next(keys), shape[1:]))
        for shape in [(3, 4), (4, 5), (5, 2)]
    ]
    targets = jax.nn.one_hot(jnp.array([0, 1, 1, 0, 1, 0]), 2)
    return activation, output, layers, jax.random.normal(next(keys), [6, 3]), targets


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_rows_equal_autodiff(case, reduction):
    activation, output, layers, inputs, targets = case

    def loss(layers):
        h = inputs
        for kernel, bias in layers[:-1]:
            h = activation.value(h @ kernel + bias[None])
        losses = output.loss(h @ layers[-1][0] + layers[-1][1][None], targets)
        return getattr(jnp, reduction)(losses)

    ours = row_gradients(layers, inputs, targets, activation, output, reduction=reduction)
    close(ours, jax.value_and_grad(loss)(layers), atol=1e-6 * (6 if reduction == "sum" else 1))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_columns_are_the_transpose_of_rows(case, reduction):
    activation, output, layers, inputs, targets = case
    rows = row_gradients(layers, inputs, targets, activation, output, reduction=reduction)
    turned = [(kernel.T, bias) for kernel, bias in layers]
    loss, columns = column_gradients(
        turned, inputs.T, targets.T, activation, output, reduction=reduction
    )
    close(rows, (loss, [(weights.T, bias) for weights, bias in columns]), atol=1e-5)


@pytest.mark.parametrize(
    "output, answer",
    [
        (BERNOULLI, jax.nn.sigmoid),
        (MULTINOULLI, jax.nn.softmax),
        (HALF_SQUARED_ERROR, jax.nn.identity),
    ],
)
def test_the_delta_of_an_output_with_its_own_loss_is_o_minus_y(output, answer):
    z, y = jnp.array([0.3, -1.2, 2.0]), jnp.array([0.0, 1.0, 0.0])
    close(output.delta(z, y), answer(z) - y, atol=1e-6)
    close(output.delta(z, y), jax.grad(output.loss)(z, y), atol=1e-6)
    squared = jax.grad(lambda z: jnp.sum((jax.nn.sigmoid(z) - y) ** 2) / 2)(z)
    assert jnp.abs(squared - (jax.nn.sigmoid(z) - y)).max() > 0.1


def test_the_worked_numbers_of_003():
    layers = [(jnp.array([[0.5]]), jnp.zeros(1)), (jnp.array([[1.0]]), jnp.zeros(1))]
    loss, gradients = row_gradients(
        layers, jnp.array([[2.0]]), jnp.array([[1.0]]), LOGISTIC, SQUARED_ERROR, reduction="mean"
    )
    assert float(loss) == pytest.approx(0.07232949, rel=1e-6)
    (first, first_bias), (second, second_bias) = jax.tree.map(lambda g: float(g.sum()), gradients)
    # 003 prints -0.211: it truncates sigma'(1) to 0.196.
    assert (first, first_bias) == pytest.approx((-0.21150837, -0.10575419), rel=1e-6)
    assert (second, second_bias) == pytest.approx((-0.39322387, -0.53788284), rel=1e-6)
    assert 1 - 0.01 * second == pytest.approx(1.00393224)
    assert 0.5 - 0.01 * first == pytest.approx(0.50211508)


def test_the_worked_step_of_004_example_1_5_3():
    """ReLU, logistic output, rate 1; delta_1 is made with the weights before the step."""
    kernel = jnp.array([[1.0, 1, -1], [1, 1, -1]])
    layers = {"0": {"kernel": kernel, "bias": jnp.zeros(3)},
              "1": {"kernel": jnp.array([[1.0], [-1], [-2]]), "bias": jnp.zeros(1)}}  # fmt: skip
    algorithm = descent(backpropagation(RELU, BERNOULLI, reduction="sum"), optax.sgd(1.0))
    state = algorithm.init(Variables({"layers": layers}, {}))
    batch = jnp.array([[1.0, 1.0]]), jnp.array([[1.0]])
    state, info = algorithm.step(state, batch, jax.random.key(0))
    assert float(info["loss"]) == pytest.approx(np.log(2))
    after = state.variables.params["layers"]
    close(after["1"]["kernel"][:, 0], jnp.array([2.0, 0, -2]), atol=1e-6)
    close(after["1"]["bias"], jnp.array([0.5]), atol=1e-6)
    close(after["0"]["kernel"], jnp.array([[1.5, 0.5, -1]] * 2), atol=1e-6)
    close(after["0"]["bias"], jnp.array([0.5, -0.5, 0]), atol=1e-6)
    logits, _ = mlp([2, 3, 1]).apply(state.variables, batch[0])
    assert float(logits[0, 0]) == pytest.approx(7.5)
    # 004 prints o = 0.9999.
    assert float(jax.nn.sigmoid(logits[0, 0])) == pytest.approx(0.9994472, abs=1e-7)


def test_from_zero_weights_the_last_layer_alone_moves(key):
    model = mlp([3, 4, 2], jax.nn.sigmoid, kernel_init=jax.nn.initializers.zeros)
    batch = jax.random.normal(key, [5, 3]), jax.nn.one_hot(jnp.array([0, 1, 1, 1, 1]), 2)
    direction, _, _ = backpropagation(LOGISTIC, MULTINOULLI, reduction="mean")(
        *model.init(key), batch, key
    )
    first, last = direction["layers"].values()
    assert not first["kernel"].any() and not first["bias"].any()
    assert last["kernel"].all() and last["bias"].all()


def test_another_reduction_is_refused():
    with pytest.raises(ValueError, match='"mean" or "sum"'):
        row_gradients([], jnp.ones([2, 3]), None, TANH, SQUARED_ERROR, reduction="half")
