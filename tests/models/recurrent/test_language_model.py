"""The recurrent language model: counts, steps against the whole, text read as streams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import bound, generate
from jdl.models.recurrent.language_model import recurrent_language_model, streams
from jdl.models.transformers.gpt2 import next_token
from jdl.nn.gru_cells import GRUCell
from tests.conformance.case import quick

TOKENS = np.random.default_rng(0).integers(0, 7, [2, 6])


def count(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


def test_counts_are_the_formulas():
    assert count(recurrent_language_model(7, 5)) == 4 * (7 * 5 + 25 + 5) + 5 * 7 + 7
    assert count(recurrent_language_model(7, 5, embedding_dim=3)) == 21 + 4 * 45 + 42
    assert count(recurrent_language_model(7, 5, embedding_dim=5, tied=True)) == 35 + 4 * 55
    assert count(recurrent_language_model(7, 5, 2, cell=GRUCell)) == 3 * 65 + 3 * 55 + 42


def test_one_hot_inputs_are_an_embedding_by_the_identity_and_steps_are_the_whole():
    hot, embedded = (recurrent_language_model(7, 4, embedding_dim=e) for e in (None, 7))
    variables = hot.init(jax.random.key(0))
    params = variables.params | {"embed": {"embedding": jnp.eye(7)}}

    @quick
    def found(variables, params):
        step = bound(hot, variables)
        carry, _ = hot.apply(variables, 2, method="start")
        logits = []
        for t in range(3):
            each, carry = step(carry, TOKENS[:, t])
            logits.append(each)
        like = embedded.apply(variables._replace(params=params), TOKENS[:, :3])[0]
        return hot.apply(variables, TOKENS[:, :3])[0], like, jnp.stack(logits, 1)

    whole, *others = found(variables, params)
    for other in others:
        np.testing.assert_allclose(other, whole, rtol=1e-5, atol=1e-5)


def test_streams_follow_each_other_and_each_token_is_predicted_once():
    cut = streams(np.arange(23), 2, 3)
    assert cut.shape == (3, 2, 4)
    np.testing.assert_array_equal(cut[1:, :, 0], cut[:-1, :, -1])
    np.testing.assert_array_equal(cut[..., 1:].swapaxes(0, 1).reshape(2, -1)[1], 12 + np.arange(9))
    with pytest.raises(ValueError, match="take a text"):
        streams(np.arange(6), 2, 3)


def test_the_state_is_carried_from_window_to_window():
    """Two windows of a carried model are one of twice the length: in value, not in gradient."""
    plain = recurrent_language_model(7, 3, cell=GRUCell)
    carried = recurrent_language_model(7, 3, cell=GRUCell, carried_batch=2)
    params, buffers = carried.init(jax.random.key(0))
    stack = {"stack": params["stack"]["stack"], "head": params["head"]}

    @quick
    def found(params, buffers, stack):
        losses = []
        for window in streams(TOKENS[:, :5].ravel(), 2, 2):
            loss, (buffers, _) = next_token(carried)(params, buffers, window, None)
            losses.append(loss)
        return jnp.stack(losses).mean(), next_token(plain)(stack, {}, TOKENS[:, :5], None)[0]

    by_windows, at_once = found(params, buffers, stack)
    np.testing.assert_allclose(by_windows, at_once, rtol=1e-5)


def test_it_writes_by_the_decoders_of_the_library():
    model = recurrent_language_model(7, 4, 2, embedding_dim=3)
    variables = jax.eval_shape(model.init, jax.random.key(0))

    def written(variables):
        carry, _ = model.apply(variables, 2, method="start")
        return generate(bound(model, variables), carry, TOKENS[:, :2], length=5)

    assert jax.eval_shape(written, variables).tokens.shape == (2, 5)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="a tied head needs embedding_dim=hidden_dim=5"):
        recurrent_language_model(7, 5, embedding_dim=4, tied=True)
    model = recurrent_language_model(7, 5)
    with pytest.raises(ValueError, match="token ids are 0 to 6"):
        model.apply(model.init(jax.random.key(0)), np.array([[7]]))
