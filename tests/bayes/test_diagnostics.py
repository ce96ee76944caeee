"""R-hat and effective sample size against closed forms."""

import numpy as np
import pytest
from scipy.signal import lfilter

from jdl.bayes.diagnostics import effective_sample_size, r_hat


def autoregressive(coefficient, chains=8, length=20_000):
    noise = np.random.default_rng(0).normal(size=[chains, length])
    noise[:, 0] /= np.sqrt(1 - coefficient**2)  # stationary from the start
    return lfilter([1.0], [1.0, -coefficient], noise, axis=1)


@pytest.mark.parametrize("coefficient", [-0.5, 0.0, 0.5, 0.9])
def test_effective_sample_size_of_an_ar1_process(coefficient):
    draws = autoregressive(coefficient)
    expected = draws.size * (1 - coefficient) / (1 + coefficient)
    np.testing.assert_allclose(effective_sample_size(draws), expected, rtol=0.1)


def test_r_hat_equals_its_formula():
    draws = np.random.default_rng(1).normal(size=[3, 100, 2]) + np.arange(3.0)[:, None, None] / 2
    halves = np.concatenate([draws[:, :50], draws[:, 50:]])
    within = halves.var(1, ddof=1).mean(0)
    between = halves.mean(1).var(0, ddof=1)
    expected = np.sqrt((within * 49 / 50 + between) / within)
    np.testing.assert_allclose(r_hat(draws), expected, rtol=1e-12)


def test_r_hat_sees_a_drift_within_one_chain():
    steady = np.random.default_rng(2).normal(size=[1, 1000])
    assert r_hat(steady) < 1.01
    assert r_hat(steady + np.linspace(0, 3, 1000)) > 1.3


@pytest.mark.parametrize("measure", [r_hat, effective_sample_size])
def test_one_chain_without_its_axis_is_refused(measure):
    with pytest.raises(ValueError, match=r"draws\[None\]"):
        measure(np.zeros(100))
    with pytest.raises(ValueError, match="at least 4 draws"):
        measure(np.zeros([100, 2]))


def test_entries_are_judged_apart():
    draws = np.stack([autoregressive(0.0), autoregressive(0.9)], axis=-1)
    sizes = effective_sample_size(draws)
    assert sizes.shape == (2,) and sizes[0] > 10 * sizes[1]
