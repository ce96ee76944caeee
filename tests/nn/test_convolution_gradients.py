"""Hand-derived derivatives against autodiff, and the wrong forms that the text of 004 suggests."""

import jax
import numpy as np
import pytest
from flax import nnx

from jdl.nn.convolution import correlate
from jdl.nn.convolution_gradients import (
    avg_pool_gradient,
    bias_gradient,
    input_gradient,
    kernel_gradient,
    max_pool_gradient,
)
from tests.nn.test_convolution import EXACT, normal, quick
from tests.nn.test_convolution_matrices import OPTIONS


@pytest.mark.parametrize("space", [1, 2])
@pytest.mark.parametrize("options", [*OPTIONS, {"strides": 2, "dilation": 2, "padding": 2}])
def test_convolution_goes_back_as_autodiff(space, options):
    x = normal(2, *[8, 7][:space], 3)
    kernel = normal(*[3, 2][:space], 3, 2)

    def both(x, kernel, noise):
        z, pull = jax.vjp(lambda x, kernel: correlate(x, kernel, **options), x, kernel)
        delta = noise[(slice(None), *(slice(size) for size in z.shape[1:-1]))]
        by_input = input_gradient(delta, kernel, x.shape[1:-1], **options)
        by_kernel = kernel_gradient(x, delta, kernel.shape[:-2], **options)
        return pull(delta), (by_input, by_kernel)

    wanted, found = quick(both, x, kernel, normal(2, *[20, 20][:space], 2))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)


def test_through_the_kernel_as_it_stands_it_would_be_wrong():
    x, kernel = normal(1, 6, 1), normal(3, 1, 1)
    z, pull = jax.vjp(lambda x: correlate(x, kernel), x)
    delta = normal(*z.shape)
    assert np.abs(correlate(delta, kernel, padding="FULL") - pull(delta)[0]).max() > 0.1


def test_biases_collect_the_error():
    delta = normal(2, 3, 4, 5)
    np.testing.assert_allclose(bias_gradient(delta), delta.sum((0, 1, 2)), **EXACT)
    np.testing.assert_allclose(bias_gradient(delta, tied=False), delta.sum(0), **EXACT)


@pytest.mark.parametrize(("window", "strides"), [(2, 2), (3, 2)])
def test_poolings_go_back_as_autodiff_ties_and_overlaps_too(window, strides):
    x = np.random.default_rng(1).integers(0, 3, size=(2, 7, 6, 2)).astype(np.float32)
    each = (window,) * 2, (strides,) * 2

    def both(x, noise):
        y, largest = jax.vjp(lambda x: nnx.max_pool(x, *each), x)
        delta = noise[:, : y.shape[1], : y.shape[2]]
        mean = jax.vjp(lambda x: nnx.avg_pool(x, *each), x)[1]
        wanted = largest(delta)[0], mean(delta)[0]
        of_largest = max_pool_gradient(x, delta, window, strides)
        return wanted, (of_largest, avg_pool_gradient(x.shape, delta, window, strides))

    wanted, found = quick(both, x, normal(*x.shape))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)
    assert np.abs(found[1] * window**2 - wanted[1]).max() > 0.1  # 004: the error is repeated
