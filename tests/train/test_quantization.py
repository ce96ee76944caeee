"""Integers are within half a scale of the weights, and their gradient is the identity's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.train import regression
from jdl.train.quantization import (
    Quantized,
    dequantized,
    fake_quantized,
    quantization_aware,
    quantized,
    size_in_bytes,
)

_random = np.random.default_rng(0)
KERNEL = (_random.normal(size=[3, 3, 4, 6]) * [0.01, 0.1, 1, 10, 100, 0]).astype(np.float32)
PARAMS = {"conv": {"kernel": jnp.asarray(KERNEL), "bias": jnp.ones(6)}}


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_errors_are_at_most_half_a_scale_of_the_channel(bits):
    stored = quantized(PARAMS, bits=bits)["conv"]["kernel"]
    peaks = np.abs(KERNEL).max((0, 1, 2))
    largest = 2 ** (bits - 1) - 1
    np.testing.assert_allclose(stored.scale[:5], peaks[:5] / largest, rtol=1e-6)
    errors = np.abs(dequantized({"k": stored})["k"] - KERNEL).max((0, 1, 2))
    assert np.all(errors <= 0.5001 * np.asarray(stored.scale) * (peaks > 0))
    assert stored.values.dtype == jnp.int8 and np.abs(stored.values).max() == largest
    # One scale for the whole array would lose the small channels.
    assert 0.5 * peaks.max() / largest > 10 * errors[0]


def test_biases_stay_and_the_structure_comes_back():
    stored = quantized(PARAMS)
    assert isinstance(stored["conv"]["kernel"], Quantized)
    np.testing.assert_array_equal(stored["conv"]["bias"], 1)
    back = dequantized(stored)
    assert jax.tree.map(jnp.shape, back) == jax.tree.map(jnp.shape, PARAMS)
    assert back["conv"]["kernel"].dtype == jnp.float32
    again = quantized(back)["conv"]["kernel"].values
    np.testing.assert_array_equal(again, stored["conv"]["kernel"].values)


def test_eight_bits_take_a_quarter_and_the_scales():
    assert size_in_bytes(PARAMS) == 4 * (216 + 6)
    assert size_in_bytes(quantized(PARAMS)) == 216 + 4 * 6 + 4 * 6


def test_a_model_computes_with_them_under_jit(key):
    model = mlp([3, 8, 2])
    variables, x = model.init(key), jnp.asarray(_random.normal(size=[5, 3]), jnp.float32)
    stored = quantized(variables.params)
    outputs = jax.jit(lambda p: model.apply(Variables(dequantized(p)), x)[0])(stored)
    exact, _ = model.apply(variables, x)
    assert 0 < np.abs(outputs - exact).max() < 0.05


def test_rounding_in_training_is_the_one_of_storage_and_passes_the_gradient_on():
    rounded = fake_quantized(PARAMS, bits=4)
    jax.tree.map(np.testing.assert_array_equal, rounded, dequantized(quantized(PARAMS, bits=4)))
    slope = jax.grad(lambda p: jnp.sum(fake_quantized(p, bits=4)["conv"]["kernel"] * KERNEL))(
        PARAMS
    )
    np.testing.assert_allclose(slope["conv"]["kernel"], KERNEL)


def test_an_aware_objective_has_loss_and_gradient_at_the_rounded_params(key):
    model = mlp([3, 2])
    objective = regression(model)
    params = model.init(key).params
    batch = tuple(jnp.asarray(_random.normal(size=[4, n]), jnp.float32) for n in (3, 2))
    (loss, _), slope = jax.value_and_grad(quantization_aware(objective, bits=3), has_aux=True)(
        params, (), batch, key
    )
    at = dequantized(quantized(params, bits=3))
    (wanted, _), slopes = jax.value_and_grad(objective, has_aux=True)(at, (), batch, key)
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), slope, slopes)


def test_other_numbers_of_bits_are_refused():
    with pytest.raises(ValueError, match="2 to 8; got 16"):
        quantized(PARAMS, bits=16)
