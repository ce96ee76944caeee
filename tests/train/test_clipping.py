"""Clipping is Optax's: what it does under `descent`, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.train import descent, gradient


def linear(params, buffers, batch, key):
    """Whose gradient is the batch."""
    return jnp.vdot(params["a"], batch["a"]) + jnp.vdot(params["b"], batch["b"]), (buffers, {})


def update(transform, slope):
    algorithm = descent(gradient(linear), optax.chain(transform, optax.sgd(1.0)))
    start = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    state, _ = algorithm.step(algorithm.init(Variables(start)), slope, jax.random.key(0))
    return np.concatenate([-state.variables.params["a"], -state.variables.params["b"]])


SLOPE = {"a": jnp.array([3.0, -4.0]), "b": jnp.array([12.0])}  # of norm 13


def test_by_value_cuts_each_entry_to_the_interval():
    np.testing.assert_allclose(update(optax.clip(3.5), SLOPE), [3.0, -3.5, 3.5])


@pytest.mark.parametrize("bound", [1.0, 6.5])
def test_by_global_norm_scales_all_leaves_alike(bound):
    expected = np.array([3.0, -4.0, 12.0]) * bound / 13
    np.testing.assert_allclose(update(optax.clip_by_global_norm(bound), SLOPE), expected, rtol=1e-6)


def test_a_norm_below_the_bound_is_left_alone():
    found = update(optax.clip_by_global_norm(13.1), SLOPE)
    np.testing.assert_allclose(found, [3.0, -4.0, 12.0])


def test_block_wise_clipping_is_something_else():
    found = update(optax.clip_by_block_rms(1.0), SLOPE)
    assert np.linalg.norm(found) == pytest.approx(np.sqrt(3), rel=1e-5)
