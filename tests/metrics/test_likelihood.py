"""The pseudo-log-likelihood by enumeration of a table of probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.metrics import pseudo_log_likelihood

STATES = jnp.array(np.indices([2, 2, 2]).reshape(3, 8).T, jnp.float32)


def test_conditionals_equal_those_of_the_table(key):
    energies = jax.random.normal(key, [2, 2, 2])
    table = np.exp(-np.asarray(energies, float))
    expected = np.zeros([2, 2, 2])
    for axis in range(3):
        expected += np.log(table / table.sum(axis, keepdims=True))

    def free_energy(v):
        i, j, k = v.astype(jnp.int32).T
        return energies[i, j, k] + 7.0  # a constant does not count

    found = jax.jit(lambda v: pseudo_log_likelihood(free_energy, v))(STATES)
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-5)
    likelihood = np.log(table / table.sum()).ravel()
    assert np.abs(found - likelihood).max() > 0.1


def test_independent_variables_have_their_log_likelihood():
    bias = jnp.array([-1.0, 0.5, 2.0])
    found = pseudo_log_likelihood(lambda v: -v @ bias, STATES)
    p = 1 / (1 + np.exp(-bias))
    expected = np.log(np.where(STATES == 1, p, 1 - p)).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_images_are_to_be_flattened():
    with pytest.raises(ValueError, match=r"got \[4, 8, 8, 1\]"):
        pseudo_log_likelihood(lambda v: v.sum(-1), jnp.zeros([4, 8, 8, 1]))
