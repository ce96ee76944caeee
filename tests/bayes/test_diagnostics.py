"""R-hat and effective sample size against closed forms."""

import numpy as np
import pytest
from scipy.signal import lfilter

from jdl.bayes.diagnostics import (
    bfmi,
    bulk_ess,
    diagnose,
    effective_sample_size,
    r_hat,
    rank_r_hat,
    tail_ess,
)


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


def test_rank_r_hat_sees_chains_that_differ_in_scale_alone():
    generator = np.random.default_rng(3)
    draws = generator.normal(size=[4, 1000])
    draws[:2] *= 3.0
    assert r_hat(draws) < 1.02 and rank_r_hat(draws) > 1.1
    # It needs no variance: Cauchy draws are fine, and a shift of them is seen.
    heavy = generator.standard_cauchy(size=[4, 1000])
    assert rank_r_hat(heavy) < 1.01 < 1.05 < rank_r_hat(heavy + np.arange(4)[:, None])


def test_bulk_and_tail_sizes_of_independent_draws_are_their_number():
    draws = np.random.default_rng(4).normal(size=[8, 5000, 3])
    np.testing.assert_allclose(bulk_ess(draws), 40_000, rtol=0.1)
    np.testing.assert_allclose(tail_ess(draws), 40_000, rtol=0.1)
    np.testing.assert_allclose(bulk_ess(np.exp(5 * draws)), bulk_ess(draws), rtol=1e-6)


def test_bfmi_of_an_ar1_energy_is_twice_one_minus_its_coefficient():
    # E[(x' - x)^2] / Var(x) = 2 (1 - coefficient).
    for coefficient in (0.0, 0.9):
        found = bfmi(autoregressive(coefficient, chains=4))
        np.testing.assert_allclose(found, 2 * (1 - coefficient), rtol=0.1)
    with pytest.raises(ValueError, match="at least 2 draws"):
        bfmi(np.zeros(100))


def test_a_good_run_has_no_problems_and_a_bad_one_is_told_each():
    generator = np.random.default_rng(5)
    good = {"w": generator.normal(size=[4, 1000, 2]), "off": np.zeros([4, 1000])}
    energy = generator.normal(size=[4, 1000])
    found = diagnose(good, {"diverged": np.zeros([4, 1000]), "energy": energy})
    assert found.converged and found.params.r_hat < 1.01 and found.functions is None
    assert "Did not converge" not in str(found)
    drifting = generator.normal(size=[4, 1000]) + np.arange(4)[:, None]
    found = diagnose(
        good, {"diverged": np.ones([4, 1000]), "energy": np.cumsum(energy, 1)}, drifting
    )
    said = " ".join(found.problems)
    assert not found.converged and len(found.problems) == 4
    for part in ("R-hat of the function values", "effective draws", "100.0% of the draws", "BFMI"):
        assert part in said
    assert found.params.r_hat < 1.01, "the params alone look well"


def test_too_few_draws_one_chain_and_a_stuck_one_are_said():
    generator = np.random.default_rng(6)
    assert "6 draws are too few" in diagnose({"w": generator.normal(size=[4, 6])}).problems[0]
    assert "one chain cannot" in diagnose({"w": generator.normal(size=[1, 1000])}).problems[0]
    stuck = generator.normal(size=[4, 100])
    stuck[2] = 1.0
    assert not diagnose({"w": np.broadcast_to(np.arange(4.0)[:, None], [4, 100])}).converged
    assert not diagnose({"w": stuck}).converged
    with pytest.raises(ValueError, match="at least 4 draws"):
        diagnose({"w": np.zeros([4, 3])})


def test_draws_that_alternate_have_a_bounded_size():
    """Pairs x, -x: the mean is known exactly, and the sum of autocorrelations says nothing."""
    noise = np.random.default_rng(7).normal(size=[4, 250])
    alternating = np.repeat(noise, 2, axis=1) * np.tile([1.0, -1.0], 250)
    for size in (effective_sample_size, bulk_ess):
        assert 2000 < size(alternating) <= 2000 * np.log10(2000)
