"""Convolution and correlation against loops, SciPy and the books' numbers; their layers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import signal

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.convolution import (
    NetworkInNetwork,
    SeparableConv,
    UntiedBias,
    convolve,
    correlate,
    relaid,
)
from jdl.nn.convolution_sizes import output_size, padded
from tests.conformance.case import QUICK

RNG = np.random.default_rng(0)
EXACT = {"rtol": 1e-5, "atol": 1e-5}


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def quick(function, *arguments):
    """As one program, which compiles faster than its operations one by one."""
    return jax.jit(function, compiler_options=QUICK)(*arguments)


def looped(x, kernel, strides=1, padding="VALID", dilation=1):
    """Cross-correlation as the formula is written."""
    sizes, window = x.shape[1:-1], kernel.shape[:-2]
    pads = [padded(n, k, strides, padding, dilation) for n, k in zip(sizes, window, strict=True)]
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    outputs = [
        output_size(n, k, strides, padding, dilation) for n, k in zip(sizes, window, strict=True)
    ]
    z = np.zeros([len(x), *outputs, kernel.shape[-1]])
    for place in np.ndindex(*outputs):
        for tap in np.ndindex(*window):
            at = tuple(strides * p + dilation * a for p, a in zip(place, tap, strict=True))
            z[(slice(None), *place)] += x[(slice(None), *at)] @ kernel[tap]
    return z


@pytest.mark.parametrize("space", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "SAME", "strides": 2},
        {"padding": "FULL", "dilation": 2},
        {"padding": 1, "strides": 3},
    ],
)
def test_correlation_is_the_sum_of_its_formula(space, options):
    x = normal(2, *[7, 6][:space], 3)
    kernel = normal(*[3, 2][:space], 3, 2)
    np.testing.assert_allclose(
        correlate(x, kernel, **options), looped(x, kernel, **options), **EXACT
    )


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
def test_one_channel_is_scipy_s(mode):
    x, kernel = normal(6, 5), normal(3, 3)
    images, weights = x[None, :, :, None], kernel[:, :, None, None]
    for ours, theirs in [(convolve, signal.convolve2d), (correlate, signal.correlate2d)]:
        found = ours(images, weights, padding=mode.upper())[0, :, :, 0]
        np.testing.assert_allclose(found, theirs(x, kernel, mode), **EXACT)
    line = convolve(x[:1, :, None], kernel[0, :, None, None], padding=mode.upper())
    np.testing.assert_allclose(line[0, :, 0], np.convolve(x[0], kernel[0], mode), **EXACT)


def plane(function, image, kernel, **options):
    image, kernel = (jnp.array(a, jnp.float32) for a in (image, kernel))
    return function(image[None, :, :, None], kernel[:, :, None, None], **options)[
        0, :, :, 0
    ].tolist()


BOOK_IMAGE = [[1, 2, 1, 3, 1], [2, 1, 2, 1, 3], [1, 2, 1, 3, 1], [2, 1, 2, 1, 3]]


def test_figures_4_4_4_6_and_4_7_of_004():
    kernel = [[0, 1], [1, 0]]
    inner = [[4, 2, 5, 2], [2, 4, 2, 6], [4, 2, 5, 2]]
    assert plane(correlate, BOOK_IMAGE, kernel) == inner
    assert plane(correlate, BOOK_IMAGE, kernel, padding=1) == [
        [0, 1, 2, 1, 3, 1],
        [1, 4, 2, 5, 2, 3],
        [2, 2, 4, 2, 6, 1],
        [1, 4, 2, 5, 2, 3],
        [2, 1, 2, 1, 3, 0],
    ]
    found = plane(correlate, BOOK_IMAGE, kernel, padding=1, strides=2)
    assert found == [[0, 2, 3], [2, 4, 6], [2, 2, 3]]


def test_the_example_of_002_is_correlation_not_convolution():
    patch, kernel = [[3, 2, 1], [1, 2, 3], [1, 1, 1]], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert plane(correlate, patch, kernel) == [[2]]
    assert plane(convolve, patch, kernel) == [[-2]]


@pytest.mark.parametrize(
    ("shape", "weights", "said"),
    [
        ((2, 5, 3), (3, 3, 3, 1), "go with kernels"),
        ((2, 5, 3), (3, 2, 1), "sees 2; the inputs have 3"),
        ((5, 3), (3, 3), "go with kernels"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape, weights, said):
    with pytest.raises(ValueError, match=said):
        correlate(jnp.zeros(shape), jnp.zeros(weights))
    with pytest.raises(ValueError, match="a pair for each axis"):
        correlate(jnp.zeros([1, 5, 1]), jnp.zeros([2, 1, 1]), padding=(1, 2))


def test_layouts_are_undone_and_004_s_kernel_gives_its_sum():
    book = normal(3, 2, 3, 2)  # [C_in, C_out, M_W, N_W]
    kernel = relaid(book, "IOHW")
    np.testing.assert_array_equal(relaid(kernel, "HWIO", "IOHW"), book)
    x = normal(1, 4, 4, 3)
    expected = [
        sum(signal.correlate2d(x[0, :, :, j], book[j, k], "valid") for j in range(3))
        for k in range(2)
    ]
    np.testing.assert_allclose(correlate(x, kernel)[0], np.moveaxis(expected, 0, -1), **EXACT)
    with pytest.raises(ValueError, match="names no order of the 4 axes"):
        relaid(book, "IOH", "HIO")


def made(layer):
    model = functional(layer)
    variables = model.init(jax.random.key(0))
    return variables.params, lambda params, x: quick(
        lambda params, x: model.apply(Variables(params), x)[0], params, x
    )


X = normal(2, 6, 6, 4)


def test_untied_biases_are_one_a_place_with_the_error_as_their_gradient():
    params, apply = made(lambda rngs: UntiedBias([6, 6, 4], rngs=rngs))
    bias = normal(6, 6, 4)
    np.testing.assert_allclose(apply({"bias": bias}, X), X + bias[None])
    errors = normal(*X.shape)
    layer = functional(lambda rngs: UntiedBias([6, 6, 4], rngs=rngs))

    def loss(params):
        return (layer.apply(Variables(params), X)[0] * errors).sum()

    slope = quick(jax.grad(loss), params)["bias"]
    np.testing.assert_allclose(slope, errors.sum(0), **EXACT)
    with pytest.raises(ValueError, match="of maps"):
        apply(params, X[:, :5])


def test_a_dilated_layer_is_a_kernel_with_zeros_between():
    params, apply = made(lambda rngs: nnx.Conv(4, 3, (3, 3), kernel_dilation=2, rngs=rngs))
    wide = np.zeros([5, 5, 4, 3], np.float32)
    wide[::2, ::2] = params["kernel"]
    np.testing.assert_allclose(apply(params, X), looped(X, wide, padding="SAME"), **EXACT)


def test_groups_are_layers_of_neighbouring_channels_side_by_side():
    params, apply = made(lambda rngs: nnx.Conv(4, 6, (3, 3), feature_group_count=2, rngs=rngs))
    kernel = np.asarray(params["kernel"])
    assert kernel.shape == (3, 3, 2, 6)
    parts = [
        looped(X[..., 2 * g : 2 * g + 2], kernel[..., 3 * g : 3 * g + 3], padding="SAME")
        for g in (0, 1)
    ]
    np.testing.assert_allclose(apply(params, X), np.concatenate(parts, -1), **EXACT)
    np.testing.assert_allclose(
        correlate(X, kernel, padding="SAME", groups=2), apply(params, X), **EXACT
    )


def test_a_pointwise_layer_is_a_dense_layer_of_the_channels():
    params, apply = made(lambda rngs: nnx.Conv(4, 3, (1, 1), rngs=rngs))
    np.testing.assert_allclose(apply(params, X), X @ np.asarray(params["kernel"])[0, 0], **EXACT)


def test_a_depthwise_layer_filters_each_channel_by_itself():
    params, apply = made(lambda rngs: nnx.Conv(4, 8, (3, 3), feature_group_count=4, rngs=rngs))
    kernel, found = np.asarray(params["kernel"]), apply(params, X)
    for c, m in itertools.product(range(4), range(2)):
        alone = looped(X[..., c : c + 1], kernel[..., 2 * c + m, None], padding="SAME")
        np.testing.assert_allclose(found[..., 2 * c + m], alone[..., 0], **EXACT)


def test_a_separable_layer_is_one_full_kernel_of_fewer_weights():
    params, apply = made(lambda rngs: SeparableConv(4, 5, 3, 2, multiplier=2, rngs=rngs))
    depth = params["depthwise"]["kernel"].reshape(3, 3, 4, 2)
    point = params["pointwise"]["kernel"].reshape(4, 2, 5)
    full = np.einsum("ijcm,cmo->ijco", depth, point)
    np.testing.assert_allclose(apply(params, X), looped(X, full, 2, "SAME"), **EXACT)
    count = sum(x.size for x in jax.tree.leaves(params))
    assert count == 9 * 4 * 2 + 4 * 2 * 5 + 5 < 9 * 4 * 5 + 5


def test_between_the_two_a_rectifier_may_stand():
    params, apply = made(lambda rngs: SeparableConv(4, 2, between=jax.nn.relu, rngs=rngs))
    kernel = np.asarray(params["depthwise"]["kernel"])
    middle = np.maximum(correlate(X, kernel, padding="SAME", groups=4), 0)
    np.testing.assert_allclose(
        apply(params, X), middle @ params["pointwise"]["kernel"][0, 0], **EXACT
    )


def test_network_in_network_is_an_mlp_at_every_place():
    params, apply = made(lambda rngs: NetworkInNetwork(4, [5, 3, 2], padding="VALID", rngs=rngs))
    layers = [params["layers"][i] for i in "012"]
    maps = looped(X, np.asarray(layers[0]["kernel"]))
    for i, layer in enumerate(layers):
        maps = maps if i == 0 else maps @ np.asarray(layer["kernel"])[0, 0]
        maps = np.maximum(maps + np.asarray(layer["bias"]), 0)
    np.testing.assert_allclose(apply(params, X), maps, **EXACT)


def test_correlation_moves_with_the_image_for_stride_1():
    x, kernel = normal(1, 9, 1), normal(3, 1, 1)
    moved = correlate(np.roll(x, 1, 1), kernel)
    np.testing.assert_allclose(moved[:, 1:], correlate(x, kernel)[:, :-1], **EXACT)
