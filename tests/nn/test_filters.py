"""Fixed kernels against scipy.ndimage and the slopes of ramps."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jdl.nn.convolution import convolve
from jdl.nn.filters import filtered, finite_difference, gaussian, laplacian, prewitt, sobel

IMAGE = np.random.default_rng(0).normal(size=(6, 7)).astype(np.float32)
EXACT = {"rtol": 1e-5, "atol": 1e-5}


def on_image(kernel, image=IMAGE, padding="SAME"):
    return filtered(jnp.asarray(image)[None, :, :, None], kernel, padding)[0, :, :, 0]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("kernel", "theirs"), [(sobel, ndimage.sobel), (prewitt, ndimage.prewitt)])
def test_slopes_are_scipy_s_and_one_on_a_ramp(kernel, theirs, axis):
    expected = theirs(IMAGE, axis, mode="constant")
    np.testing.assert_allclose(on_image(kernel(axis)), expected, **EXACT)
    ramp = np.indices([5, 5])[axis].astype(np.float32)
    unit = on_image(kernel(axis, normalized=True), ramp, "VALID")
    np.testing.assert_allclose(unit, np.ones([3, 3]), **EXACT)
    across = on_image(kernel(1 - axis), ramp, "VALID")
    np.testing.assert_array_equal(across, np.zeros([3, 3]))


def test_laplacians_are_scipy_s_and_4_or_12_on_a_bowl():
    np.testing.assert_allclose(
        on_image(laplacian()), ndimage.laplace(IMAGE, mode="constant"), **EXACT
    )
    row, column = np.indices([5, 5]) - 2.0
    for diagonals, expected in [(False, 4), (True, 12)]:
        kernel = laplacian(diagonals=diagonals)
        found = on_image(kernel, row**2 + column**2, "VALID")
        np.testing.assert_allclose(found, np.full([3, 3], expected), **EXACT)
        assert kernel.sum() == 0


def test_the_difference_of_004_marks_the_edges_of_a_pulse():
    pulse = np.zeros(16, np.float32)
    pulse[3:13] = 1  # of width 10: the edges are 10 apart
    kernel = np.array([1.0, -1.0], np.float32)[:, None, None]
    found = convolve(pulse[None, :, None], kernel, padding=[(1, 0)])[0, :, 0]
    assert np.flatnonzero(found).tolist() == [3, 13] and found[jnp.array([3, 13])].tolist() == [
        1,
        -1,
    ]
    ours = filtered(pulse[None, :, None], finite_difference(), [(1, 0)])[0, :, 0]
    np.testing.assert_array_equal(ours, found)
    slopes = filtered(np.arange(5.0)[None, :, None], finite_difference(central=True), "VALID")
    assert slopes.ravel().tolist() == [1, 1, 1]


def test_the_blur_is_scipy_s_keeps_the_sum_and_smooths_a_pulse_of_variance_5():
    kernel = gaussian(0.7)
    found = on_image(np.outer(kernel, kernel))
    np.testing.assert_allclose(found, ndimage.gaussian_filter(IMAGE, 0.7, mode="constant"), **EXACT)
    wide = gaussian(5**0.5, radius=20)
    place = np.arange(-20, 21)
    np.testing.assert_allclose([wide.sum(), (place**2 * wide).sum()], [1, 5], rtol=1e-4)
    with pytest.raises(ValueError, match="above 0"):
        gaussian(0.0)


def test_each_channel_is_filtered_alone():
    x = np.random.default_rng(1).normal(size=(2, 6, 6, 3)).astype(np.float32)
    found = filtered(x, sobel(0))
    for b, c in np.ndindex(2, 3):
        np.testing.assert_allclose(found[b, :, :, c], on_image(sobel(0), x[b, :, :, c]), **EXACT)
    with pytest.raises(ValueError, match="2 axes of space"):
        filtered(x, finite_difference())
