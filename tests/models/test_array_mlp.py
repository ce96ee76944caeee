import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.array_mlp import array_mlp, flattened
from jdl.models.mlp import mlp

MODEL = array_mlp([(3, 2), (4, 5), (2,)], jnp.tanh)


@pytest.fixture(scope="module")
def variables():
    variables = MODEL.init(jax.random.key(0))
    bias = jax.random.normal(jax.random.key(1), [4, 5])
    variables.params["layers"]["0"]["bias"] = bias
    return variables


@pytest.fixture(scope="module")
def inputs():
    return jax.random.normal(jax.random.key(2), [7, 3, 2])


def test_a_layer_is_the_double_sum_of_004(variables, inputs):
    first, last = variables.params["layers"].values()
    hidden = np.zeros([7, 4, 5])
    for i in range(4):
        for j in range(5):
            terms = inputs * first["kernel"][None, :, :, i, j]
            hidden[:, i, j] = np.tanh(terms.sum((1, 2)) + first["bias"][i, j])
    expected = np.einsum("bmn,mni->bi", hidden, last["kernel"]) + np.asarray(last["bias"])[None]
    np.testing.assert_allclose(MODEL.apply(variables, inputs)[0], expected, atol=1e-5)


def test_it_equals_flatten_dense_reshape(variables, inputs):
    outputs, _ = MODEL.apply(variables, inputs)
    flat = variables._replace(params=flattened(variables.params))
    expected, _ = mlp([6, 20, 2], jnp.tanh).apply(flat, inputs.reshape(7, 6))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_the_kernels_spread_is_that_of_the_flat_layer(key):
    kernel = array_mlp([(20, 20), (20, 20)]).init(key).params["layers"]["0"]["kernel"]
    assert float(kernel.std()) == pytest.approx(1 / 20, rel=0.02)


def test_inputs_of_another_shape_are_refused(variables):
    with pytest.raises(ValueError, match="3, 2"):
        MODEL.apply(variables, jnp.ones([7, 2, 3]))
