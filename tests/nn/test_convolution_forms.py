"""The forms of a convolution agree with JAX's own, and are taken where they are meant to be."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.nn.convolution_forms import Conv, conv_general_dilated
from tests.nn.test_convolution import normal, quick

LAYOUT = ("NHWC", "HWIO", "NHWC")
LENET1 = (2, 12, 12, 1), (5, 5, 1, 6), (1, 1), "VALID"
CASES = {
    "few channels, valid": LENET1,
    "few channels, same": ((2, 6, 7, 3), (3, 4, 3, 5), (1, 1), "SAME"),
    "few channels, pairs": ((2, 6, 7, 3), (3, 2, 3, 5), (1, 1), ((2, 0), (0, 3))),
    "pointwise": ((2, 3, 4, 20), (1, 1, 20, 24), (1, 1), "SAME"),
    "strided pointwise": ((2, 7, 6, 20), (1, 1, 20, 24), (2, 3), "VALID"),
}
PLAIN = {
    "many channels": ((2, 8, 8, 17), (3, 3, 17, 4), (1, 1), "SAME"),
    "wide": ((2, 4, 40, 1), (3, 3, 1, 4), (1, 1), "SAME"),
    "strided": ((2, 8, 8, 1), (3, 3, 1, 4), (2, 2), "SAME"),
    "padded pointwise": ((2, 8, 8, 3), (1, 1, 3, 4), (2, 2), ((1, 1), (1, 1))),
}


def convolutions(function, x, kernel):
    return jax.jit(function).lower(x, kernel).as_text().count("stablehlo.convolution")


def both(strides, padding, **options):
    options = {"window_strides": strides, "padding": padding, "dimension_numbers": LAYOUT} | options
    return (
        functools.partial(function, **options)
        for function in (conv_general_dilated, jax.lax.conv_general_dilated)
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_gradients_are_those_of_jax_without_its_convolution(case):
    shape, kernel_shape, strides, padding = case
    x, kernel = normal(*shape), normal(*kernel_shape)
    ours, plain = both(strides, padding)
    assert convolutions(ours, x, kernel) == 0 and convolutions(plain, x, kernel) == 1

    def slopes(function):
        return jax.value_and_grad(lambda x, kernel: jnp.sin(function(x, kernel)).sum(), (0, 1))

    found, expected = quick(slopes(ours), x, kernel), quick(slopes(plain), x, kernel)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((4, 32, 32, 17), 1),
        ((8, 32, 32, 17), 2),
        ((6, 64, 32, 17), 2),  # 4 parts of 3072 places would do, but do not divide 6
        ((32, 32, 32, 17), 8),
        ((64, 64, 64, 17), 8),
        ((3, 128, 128, 17), 1),
    ],
)
def test_many_places_are_convolved_in_parts_of_the_batch(shape, parts):
    ours, plain = both((2, 2), [(1, 1), (1, 1)])
    kernel = normal(3, 3, shape[-1], 2)
    assert convolutions(ours, jnp.zeros(shape), kernel) == parts
    if parts == 2 and shape[0] == 8:
        x = normal(*shape)
        np.testing.assert_allclose(quick(ours, x, kernel), quick(plain, x, kernel), atol=1e-4)


@pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)
def test_other_shapes_are_jaxs_own_convolution(case):
    shape, kernel_shape, strides, padding = case
    ours, _ = both(strides, padding)
    assert convolutions(ours, jnp.zeros(shape), jnp.zeros(kernel_shape)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"rhs_dilation": (2, 2)},
        {"lhs_dilation": (2, 1)},
        {"precision": "highest"},
        {"preferred_element_type": jnp.float32},
    ],
)
def test_what_a_form_does_not_know_is_jaxs_own(options):
    shape, kernel_shape, strides, padding = LENET1
    ours, plain = both(strides, [(0, 0), (0, 0)], **options)
    x, kernel = jnp.zeros(shape), jnp.zeros(kernel_shape)
    assert convolutions(ours, x, kernel) == 1
    assert jax.eval_shape(ours, x, kernel) == jax.eval_shape(plain, x, kernel)


def test_the_layer_has_the_params_of_flax():
    layer, plain = (make(1, 6, (5, 5), rngs=nnx.Rngs(0)) for make in (Conv, nnx.Conv))
    shapes = [jax.tree.map(jnp.shape, nnx.state(module, nnx.Param)) for module in (layer, plain)]
    assert jax.tree.leaves(shapes[0]) == jax.tree.leaves(shapes[1])
    x = normal(2, 12, 12, 1)
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-5, atol=1e-5)
