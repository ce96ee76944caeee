"""Convolution as a product of matrices: equal to the loop, and the counts of 004."""

import numpy as np
import pytest

from jdl.nn.convolution_matrices import convolution_matrix, correlate_by_patches, patches
from tests.nn.test_convolution import EXACT, looped, normal, quick

OPTIONS = [
    {},
    {"padding": "SAME", "strides": 2},
    {"padding": "FULL", "dilation": 2},
    {"padding": 1, "strides": 3},
]


@pytest.mark.parametrize("space", [1, 2])
@pytest.mark.parametrize("options", OPTIONS)
def test_patches_and_matrix_are_the_correlation(space, options):
    x = normal(2, *[7, 6][:space], 3)
    kernel = normal(*[3, 2][:space], 3, 2)
    expected = looped(x, kernel, **options)

    def both(x, kernel):
        matrix = convolution_matrix(kernel, x.shape[1:-1], **options)
        return correlate_by_patches(x, kernel, **options), x.reshape(2, -1) @ matrix

    rows, product = quick(both, x, kernel)
    np.testing.assert_allclose(rows, expected, **EXACT)
    np.testing.assert_allclose(product, expected.reshape(2, -1), **EXACT)


def test_the_entries_are_weights_and_zeros_exactly():
    kernel = normal(2, 2, 2, 3)
    matrix = np.asarray(convolution_matrix(kernel, [3, 4]))
    assert set(np.unique(matrix)) == {np.float32(0), *np.unique(kernel)}
    assert (matrix != 0).sum() == 2 * 3 * kernel.size  # each weight once for each of 2 x 3 places


def test_004_has_8_of_32_connections_and_its_pooling_4_of_8():
    kernel = np.array([2.0, 3.0], np.float32)[:, None, None]
    matrix = np.asarray(convolution_matrix(kernel, 8, strides=2))
    assert matrix.shape == (8, 4) and (matrix != 0).sum() == 8
    half = np.full([2, 1, 1], 0.5, np.float32)
    pooling = np.asarray(convolution_matrix(half, 4, strides=2))
    assert pooling.shape == (4, 2) and (pooling != 0).sum() == 4


def test_diagonals_are_constant():
    matrix = np.asarray(convolution_matrix(normal(3, 1, 1), 6))
    np.testing.assert_array_equal(matrix[1:, 1:], matrix[:-1, :-1])


def test_patches_are_the_pixels_in_the_order_of_the_kernel():
    x = np.arange(24.0, dtype=np.float32).reshape(1, 3, 4, 2)
    found = patches(x, (2, 3))
    np.testing.assert_array_equal(found[0, 1, 1], x[0, 1:3, 1:4].ravel())
