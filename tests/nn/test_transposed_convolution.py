"""Transposed convolution: the adjoint of a convolution, Flax's values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.nn.convolution import correlate
from jdl.nn.convolution_matrices import convolution_matrix
from jdl.nn.convolution_sizes import padded, transposed_size
from jdl.nn.transposed_convolution import ConvTranspose, adjoint, conv_transpose, torch_padding
from tests.nn.test_convolution import EXACT, normal, quick

CASES = [(2, 4, "SAME", 1), (2, 3, "SAME", 1), (3, 2, "VALID", 1), (2, 3, [(1, 3)] * 2, 2)]


@pytest.mark.parametrize(("strides", "taps", "padding", "dilation"), CASES)
def test_values_and_gradients_are_jax_s(strides, taps, padding, dilation):
    x, kernel = normal(2, 4, 3, 3), normal(taps, taps, 3, 2)

    def theirs(x, kernel):
        return jax.lax.conv_transpose(
            x,
            kernel,
            (strides,) * 2,
            padding,
            rhs_dilation=(dilation,) * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def ours(x, kernel):
        return conv_transpose(x, kernel, strides, padding, dilation=dilation)

    def both(x, kernel, noise):
        y, pull = jax.vjp(ours, x, kernel)
        expected, back = jax.vjp(theirs, x, kernel)
        errors = noise[:, : y.shape[1], : y.shape[2]]
        return (y, *pull(errors)), (expected, *back(errors))

    found, wanted = quick(both, x, kernel, normal(2, 20, 20, 2))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)


@pytest.mark.parametrize("padding", ["SAME", "VALID", 1])
@pytest.mark.parametrize("strides", [1, 2])
def test_it_is_the_adjoint_of_the_convolution(padding, strides):
    kernel, y = normal(3, 3, 2, 4), normal(2, 4, 4, 4)
    size = transposed_size(4, 3, strides, padding)
    u = normal(2, size, size, 2)
    pads = padding if isinstance(padding, str) else torch_padding(3, padding)
    pairs = [padded(size, 3, strides, padding)] * 2

    def everything(u, kernel, y):
        z = correlate(u, kernel, strides=strides, padding=padding)
        back = conv_transpose(y, adjoint(kernel), strides, pads)
        matrix = convolution_matrix(kernel, [size, size], strides=strides, padding=pairs)
        unreversed = conv_transpose(y, kernel.swapaxes(2, 3), strides, pads)
        products = jnp.vdot(z, y), jnp.vdot(u, back), jnp.vdot(u, unreversed)
        return products, back.reshape(2, -1), y.reshape(2, -1) @ matrix.T

    (through, adjoined, wrong), back, product = quick(everything, u, kernel, y)
    np.testing.assert_allclose(through, adjoined, rtol=1e-4)
    np.testing.assert_allclose(back, product, **EXACT)
    assert not np.allclose(wrong, through, rtol=1e-2)  # the kernel must be reversed


def test_the_layer_has_the_params_and_the_outputs_of_flax_s():
    x = normal(2, 3, 3, 2)
    ours = functional(lambda rngs: ConvTranspose(2, 3, 4, 2, rngs=rngs))
    theirs = functional(lambda rngs: nnx.ConvTranspose(2, 3, (4, 4), strides=(2, 2), rngs=rngs))
    variables = ours.init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        jnp.shape, theirs.init(jax.random.key(1))
    )
    found, _ = ours.apply(variables, x)
    np.testing.assert_allclose(found, theirs.apply(variables, x)[0], **EXACT)
    half = functional(
        lambda rngs: ConvTranspose(2, 3, 4, 2, use_bias=False, dtype=jnp.bfloat16, rngs=rngs)
    )
    variables = half.init(jax.random.key(0))
    assert set(variables.params) == {"kernel"}
    assert half.apply(variables, x)[0].dtype == jnp.bfloat16


def test_it_runs_over_time_and_under_vmap():
    def loss(kernel, x):
        return (conv_transpose(x, kernel, 2) ** 2).sum()

    def both(kernel, x):
        each = jax.vmap(jax.grad(loss), (None, 0))(kernel, x[:, None])
        return each.sum(0), jax.grad(loss)(kernel, x)

    each, whole = quick(both, normal(3, 2, 2), normal(3, 5, 2))
    np.testing.assert_allclose(each, whole, rtol=1e-4, atol=1e-4)


def test_its_gradient_has_gradients():
    def penalty(function, x, kernel):
        slopes = jax.grad(lambda x, kernel: (function(x, kernel) ** 3).sum(), (0, 1))(x, kernel)
        return sum((slope**2).sum() for slope in slopes)

    def theirs(x, kernel):
        names = {"dimension_numbers": ("NTC", "TIO", "NTC")}
        return jax.lax.conv_transpose(x, kernel, (2,), "SAME", **names)

    def both(x, kernel):
        ours = functools.partial(penalty, functools.partial(conv_transpose, strides=2))
        twice = functools.partial(jax.grad, argnums=(0, 1))
        return twice(ours)(x, kernel), twice(functools.partial(penalty, theirs))(x, kernel)

    found, wanted = quick(both, normal(2, 3, 2), normal(4, 2, 2))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-2)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="`adjoint` swaps"):
        conv_transpose(jnp.zeros([1, 4, 4, 3]), jnp.zeros([2, 2, 2, 3]))
    with pytest.raises(ValueError, match="got 'FULL'"):
        conv_transpose(jnp.zeros([1, 4, 3]), jnp.zeros([2, 3, 2]), padding="FULL")


def test_the_form_of_the_kernel_gradient_is_chosen_by_the_platform():
    x, kernel = normal(1, 3, 3, 2), normal(4, 4, 2, 1)
    program = jax.jit(jax.grad(lambda kernel: conv_transpose(x, kernel, 2).sum()))
    texts = {
        platform: jax.export.export(program, platforms=[platform])(kernel).mlir_module()
        for platform in ("cpu", "cuda")
    }
    assert texts["cpu"] != texts["cuda"]
    assert all(text.count("stablehlo.convolution") == 1 for text in texts.values())
