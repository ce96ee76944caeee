import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Model, Variables
from jdl.models.convnets.lenet import lenet5
from jdl.models.mlp import mlp
from jdl.models.transformers.gpt2 import gpt2
from jdl.train.lsuv import lsuv, unit_variance

KEY = jax.random.key(0)
INPUTS = 5 * np.random.default_rng(0).normal(size=[256, 20]).astype(np.float32) + 1
SIZES = [20] + [30] * 5 + [4]


def products(params, inputs):
    """The products of each layer of a tanh network, in NumPy."""
    found, hidden = [], inputs
    for i in range(len(params["layers"])):
        layer = params["layers"][str(i)]
        found.append(hidden @ np.asarray(layer["kernel"]))
        hidden = np.tanh(found[-1] + np.asarray(layer["bias"]))
    return found


@pytest.fixture(scope="module")
def network():
    model = mlp(SIZES, jnp.tanh)
    before = model.init(KEY)
    return model, before, jax.jit(lambda v, x, key: lsuv(model, v, x, key))(before, INPUTS, KEY)


def test_every_layer_has_unit_variance_on_the_batch(network):
    _, before, found = network
    for product in products(found.variables.params, INPUTS):
        assert abs(product.std() - 1) < 1e-4
    assert abs(products(before.params, INPUTS)[0].std() - 1) > 1


def test_the_kernels_are_orthonormal_up_to_their_scale(network):
    _, _, found = network
    assert len(found.stds) == 6
    for name, std in found.stds.items():
        kernel = np.asarray(found.variables.params["layers"][name.split(".")[1]]["kernel"])
        unit = kernel * std
        gram = unit.T @ unit if unit.shape[0] >= unit.shape[1] else unit @ unit.T
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)


def test_it_is_the_loop_of_the_paper():
    model = mlp([20, 30, 10, 4], jnp.tanh, kernel_init=jax.nn.initializers.orthogonal())
    before = model.init(KEY)
    params = jax.tree.map(np.array, before.params)
    for i in range(3):  # algorithm 1: until the variance is near 1, 10 times at most
        for _ in range(10):
            variance = products(params, INPUTS)[i].var()
            if abs(variance - 1) < 1e-6:
                break
            params["layers"][str(i)]["kernel"] /= np.sqrt(variance)
    ours = unit_variance(model, before, INPUTS).variables.params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), ours, params)


def test_a_deep_tanh_network_neither_fades_nor_saturates(network):
    model, before, found = network
    hidden = np.tanh(products(found.variables.params, INPUTS)[-2])
    assert 0.5 < hidden.std() < 0.8
    outputs, _ = model.apply(found.variables, INPUTS)
    assert abs(float(outputs.std()) - 1) < 1e-4


def test_convolutions_are_layers_too():
    model = lenet5()
    images = jnp.asarray(np.random.default_rng(1).uniform(-1, 1, [16, 32, 32, 1]), jnp.float32)
    found = jax.jit(lambda v, x: lsuv(model, v, x, KEY))(model.init(KEY), images)
    assert sorted(found.stds) == [
        f"{name}.kernel" for name in ("conv1", "conv2", "dense1", "dense2", "head")
    ]
    params = found.variables.params
    first = jax.lax.conv_general_dilated(
        images,
        params["conv1"]["kernel"],
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    assert abs(float(first.std()) - 1) < 1e-4
    assert abs(float(model.apply(found.variables, images)[0].std()) - 1) < 1e-4


def test_a_kernel_used_twice_and_what_is_not_a_kernel_stay():
    model = gpt2(vocab_size=11, context=8, hidden_dim=16, num_layers=1, num_heads=2)
    before = model.init(KEY)
    tokens = jnp.asarray(np.random.default_rng(2).integers(0, 11, [4, 8]))
    found = jax.jit(lambda v, x: lsuv(model, v, x, KEY))(before, tokens)
    assert sorted(found.stds) == [
        f"blocks.0.{name}.kernel"
        for name in ("attention.project", "attention.query_key_value", "expand", "project")
    ]
    for name in ("tokens", "positions", "norm"):  # the tied embedding is also the head
        same = jax.tree.map(
            lambda a, b: bool((a == b).all()), before.params[name], found.variables.params[name]
        )
        assert all(jax.tree.leaves(same))


def test_a_model_without_layers_is_an_error_and_a_product_of_zeros_is_not():
    shift = Model(
        lambda key: Variables(jnp.ones(3)), lambda v, x, key=None, train=False: (x + v.params, ())
    )
    with pytest.raises(ValueError, match="factor"):
        lsuv(shift, shift.init(KEY), jnp.ones(3), KEY)
    model = mlp([4, 2])
    found = lsuv(model, model.init(KEY), jnp.zeros([3, 4]), KEY)
    assert np.isfinite(found.variables.params["layers"]["0"]["kernel"]).all()
