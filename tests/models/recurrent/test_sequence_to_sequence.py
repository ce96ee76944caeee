"""Sequence to sequence: the published count, reversal, padding, steps, beams, a committee."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import beam_search, bound
from jdl.models.recurrent.sequence_to_sequence import committee_step, sequence_to_sequence
from jdl.models.transformers.encoder_decoder import translation
from jdl.nn.gru_cells import GRUCell
from tests.conformance.case import quick

SOURCE, TARGET = np.array([[3, 4, 5], [6, 3, 0]]), np.array([[1, 4, 5], [1, 3, 2]])
small = functools.partial(sequence_to_sequence, 8, 7, 3, 4, 1, cell=GRUCell)


def count(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


def test_params_are_the_384_million_of_the_paper():
    model = sequence_to_sequence()
    assert count(model) == 384_112_000
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    recurrent = sum(x.size for x in jax.tree.leaves((params["encoder"], params["decoder"])))
    assert round(recurrent, -6) == 64_000_000  # "64M are pure recurrent connections"


def test_a_fed_context_widens_the_decoders_first_layer():
    wide, narrow = sequence_to_sequence(8, 7, 3, 4, 2, feed_context=True), small()
    shapes = jax.eval_shape(wide.init, jax.random.key(0)).params["decoder"]["layers"]
    assert shapes["0"]["cell"]["kernel"].shape == (7, 16)
    assert shapes["1"]["cell"]["kernel"].shape == (4, 16)
    shapes = jax.eval_shape(narrow.init, jax.random.key(0)).params["decoder"]["layers"]
    assert shapes["0"]["cell"]["kernel"].shape == (3, 8)


def test_steps_are_the_whole_reversal_is_of_the_source_and_padding_has_no_say():
    model, forward = small(feed_context=True), small(feed_context=True, reverse_source=False)
    variables = model.init(jax.random.key(0))
    flipped = np.array([[5, 4, 3], [3, 6, 0]])
    padded = np.pad(SOURCE, ((0, 0), (2, 1)))

    @quick
    def found(variables):
        step, logits = bound(model, variables), []
        carry, _ = model.apply(variables, SOURCE, method="start")
        for t in range(3):
            each, carry = step(carry, TARGET[:, t])
            logits.append(each)
        whole = model.apply(variables, SOURCE, TARGET)[0]
        others = forward.apply(variables, flipped, TARGET)[0], jnp.stack(logits, 1)
        return whole, *others, model.apply(variables, padded, TARGET)[0]

    whole, *others = found(variables)
    for other in others:
        np.testing.assert_allclose(other, whole, rtol=1e-5, atol=1e-6)


def test_it_learns_by_the_translation_objective_and_writes_by_beams():
    model = small()
    variables = jax.eval_shape(model.init, jax.random.key(0))
    objective = translation(model, 1, label_smoothing=0.0)
    loss, _ = jax.eval_shape(objective, *variables, (SOURCE, TARGET), jax.random.key(0))
    assert loss.shape == ()

    def searched(variables):
        carry, _ = model.apply(variables, SOURCE, method="start")
        start = jnp.ones([2, 1], int)
        return beam_search(bound(model, variables), carry, start, width=3, length=5, end_token=2)

    assert jax.eval_shape(searched, variables).tokens.shape == (2, 3, 5)


def test_a_committee_averages_probabilities():
    logits = np.random.default_rng(0).normal(size=[2, 3, 5]).astype(np.float32)
    steps = [lambda carry, _, own=own: (own, carry + 1) for own in logits]
    found, carry = committee_step(*steps)((jnp.zeros(3), jnp.ones(3)), jnp.zeros(3, int))
    expected = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).mean(0)
    np.testing.assert_allclose(jnp.exp(found), expected, rtol=1e-5)
    assert [float(each[0]) for each in carry] == [1, 2]
    with pytest.raises(ValueError, match="a member at least"):
        committee_step()
