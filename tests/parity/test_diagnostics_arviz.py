"""Diagnostics against ArviZ, on chains of several kinds; the export."""

import numpy as np
import pytest
from scipy.signal import lfilter

from jdl.bayes.diagnostics import bfmi, bulk_ess, rank_r_hat, tail_ess, to_arviz

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def arviz(oracle):
    return oracle("arviz")


def chains(coefficient, shift, heavy):
    generator = np.random.default_rng(0)
    noise = generator.standard_t(2, size=[4, 1001]) if heavy else generator.normal(size=[4, 1001])
    return lfilter([1.0], [1.0, -coefficient], noise, axis=1) + shift * np.arange(4)[:, None]


@pytest.mark.parametrize("kind", [(0.0, 0.0, False), (0.9, 0.0, False), (0.5, 0.3, True)])
def test_rank_r_hat_and_effective_sizes_are_arvizs(kind, arviz):
    draws = chains(*kind)
    for ours, theirs in [
        (rank_r_hat(draws), arviz.rhat(draws)),
        (bulk_ess(draws), arviz.ess(draws, method="bulk")),
        (tail_ess(draws), arviz.ess(draws, method="tail", prob=(0.05, 0.95))),
    ]:
        np.testing.assert_allclose(ours, theirs, rtol=0.02)


def test_bfmi_is_arvizs(arviz):
    energy = chains(0.5, 0.0, False)
    np.testing.assert_allclose(bfmi(energy), arviz.bfmi(energy), rtol=0.01)


def test_the_export_has_the_leaves_by_path_and_the_divergences(arviz):
    draws = {"layers": {"0": np.random.default_rng(1).normal(size=[4, 50, 3])}}
    info = {"diverged": np.zeros([4, 50]), "energy": np.ones([4, 50])}
    exported = to_arviz(draws, info)
    np.testing.assert_array_equal(exported["posterior"]["layers.0"], draws["layers"]["0"])
    assert exported["sample_stats"]["diverging"].dtype == bool
    assert exported["posterior"]["layers.0"].dims[:2] == ("chain", "draw")
