"""The logit-Laplace density against quadrature and its quantiles."""

import numpy as np
import pytest

from jdl.nn.logit_laplace import logit_laplace_nll, squeezed, unsqueezed


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (-1.5, 0.3), (2.0, 0.6)])
def test_the_density_integrates_to_one_and_half_of_it_lies_below_the_mean(mean, scale):
    ends = np.linspace(0, 1, 200_001)
    x = (ends[1:] + ends[:-1]) / 2
    x = x[(x > 1e-6) & (x < 1 - 1e-6)].astype(np.float32)
    density = np.exp(-np.asarray(logit_laplace_nll(mean, np.log(scale), x), np.float64))
    assert abs(density.sum() / 200_000 - 1) < 5e-3
    below = density[x < 1 / (1 + np.exp(-mean))].sum() / density.sum()
    assert abs(below - 0.5) < 5e-3


def test_squeezed_pixels_keep_off_the_borders_and_come_back():
    pixels = np.linspace(0, 1, 11, dtype=np.float32)
    x = squeezed(pixels)
    assert (x.min(), x.max()) == pytest.approx((0.1, 0.9))
    np.testing.assert_allclose(unsqueezed(x), pixels, atol=1e-6)
    assert unsqueezed(np.float32(0.99)) == 1.0
