"""Predictions under teacher forcing are those of the decoder that is fed the true words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.nn.teacher_forcing import shifted_right
from tests.decoding.markov import markov, table


def test_all_predictions_at_once_are_those_of_the_steps():
    logits, targets, start = table(), np.array([[2, 0, 3, 1], [1, 1, 2, 0]]), 3
    inputs = np.asarray(shifted_right(jnp.asarray(targets), start))
    before = np.asarray(shifted_right(jnp.asarray(inputs), 0))  # the carry of the first step
    at_once = logits[before, inputs]
    carry, fed = jnp.zeros(2, int), jnp.full(2, start)
    for time in range(4):
        stepped, carry = markov(logits)(carry, fed)
        np.testing.assert_array_equal(at_once[:, time], stepped)
        fed = jnp.asarray(targets[:, time])


def test_no_prediction_sees_its_target():
    targets = jnp.arange(1, 6)[None]
    seen = shifted_right(targets, 0)
    assert seen.tolist() == [[0, 1, 2, 3, 4]] and seen.dtype == targets.dtype
    assert shifted_right(targets[:, :1], 9).tolist() == [[9]]
    assert jax.eval_shape(lambda t: shifted_right(t, 0), targets).shape == (1, 5)
    with pytest.raises(ValueError, match=r"\[B, T\]; got \[5\]"):
        shifted_right(targets[0], 0)
