"""The steps written by hand in the benchmark are those of the library."""

import jax
import numpy as np
import pytest

from benchmarks import steps


@pytest.mark.parametrize("name", ["mlp", "lenet5", pytest.param("gpt2", marks=pytest.mark.slow)])
def test_a_step_by_hand_loses_what_the_librarys_loses(name):
    with jax.numpy_rank_promotion("allow"):
        thunks = steps.twins(name)
    ours = steps.losses(thunks["jdl"])
    with jax.numpy_rank_promotion("allow"):
        by_hand = steps.losses(thunks["hand"])
    np.testing.assert_allclose(ours, by_hand, rtol=1e-4)
    assert len(set(ours)) == steps.CHECKED  # the params moved
