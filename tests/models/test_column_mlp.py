"""The MLP over columns is the MLP over rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.column_mlp import column_mlp
from jdl.models.mlp import mlp


def test_the_network_in_columns_is_the_network_in_rows(key):
    variables = mlp([2, 7, 3, 1], jnp.tanh).init(key)
    x = jax.random.normal(key, [11, 2])
    rows, _ = mlp([2, 7, 3, 1], jnp.tanh).apply(variables, x)
    columns, _ = column_mlp([2, 7, 3, 1], jnp.tanh).apply(variables, x.T)
    np.testing.assert_allclose(columns.T, rows, rtol=1e-5, atol=1e-6)
    other, _ = column_mlp([2, 7, 3, 1], jax.nn.relu).apply(variables, x.T)
    assert np.abs(other.T - rows).max() > 1e-2


def test_inputs_in_rows_are_refused(key):
    model = column_mlp([2, 3, 1])
    with pytest.raises(ValueError):
        model.apply(model.init(key), jnp.zeros([5, 2]))
