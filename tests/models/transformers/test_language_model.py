"""The decoder-only models of characters: counts, schemes of positions, writing by steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.decoding import bound
from jdl.models.transformers.attention_language_model import attention_language_model
from jdl.models.transformers.language_model import POSITIONS, language_model
from tests.models.transformers.test_encoder_decoder import count, drawn
from tests.nn.test_convolution import quick

SMALL = functools.partial(language_model, 7, 6, 8, 1, 2, feed_forward_dim=6)
TOKENS = np.array([[1, 5, 6, 2, 3], [0, 4, 4, 2, 1]])


def test_004s_model_has_the_parameters_of_its_parts(key):
    params = jax.eval_shape(language_model().init, key).params
    assert count(params) == 10_670_622
    features, hidden = 384, 4 * 384
    block = 4 * features * (features + 1) + 2 * features * hidden + hidden + features + 4 * features
    assert count(params) == 6 * block + 30 * features + 2 * features + 30 * (features + 1)


def test_004s_attention_of_16_heads_has_34750_parameters(key):
    params = jax.eval_shape(attention_language_model().init, key).params
    counts = [count(params["tokens"]), count(params["head"]), count(params["attention"]["project"])]
    assert counts == [960, 990, 8224]
    assert count(params) == 34_750


def test_schemes_differ_by_a_table_alone(key):
    counts = {p: count(jax.eval_shape(SMALL(positions=p).init, key).params) for p in POSITIONS}
    assert counts.pop("learned") == counts["none"] + 6 * 8
    assert len(set(counts.values())) == 1
    tied = count(jax.eval_shape(SMALL(tied=True).init, key).params)
    assert tied == counts["none"] - 7 * (8 + 1)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary", "alibi"])
def test_behind_prompts_of_two_lengths_it_says_what_it_says_at_once(positions):
    """The prompts in one pass, a token, then two at once, of which the last finds no place."""
    model = SMALL(positions=positions)
    params, lengths = drawn(model), np.array([1, 3])

    def both(params, tokens):
        variables = Variables(params)
        read = functools.partial(bound, model, variables)
        carry, _ = model.apply(variables, 2, length=5, method="start")
        prompt = jnp.where(jnp.arange(3)[None] < lengths[:, None], tokens[:, :3], 6)
        first, carry = read("prefill")(carry, prompt, lengths)
        at = jnp.take_along_axis(tokens, lengths[:, None] + jnp.arange(3)[None], axis=1)
        second, carry = read("decode")(carry, at[:, 0])
        others, carry = read("extend")(carry, at[:, 1:])
        found = jnp.concatenate([first[:, None], second[:, None], others], axis=1)
        return found, model.apply(variables, tokens)[0], carry.position

    found, whole, position = quick(both, params, np.pad(TOKENS, ((0, 0), (0, 1))))
    expected = np.stack([whole[0, :4], whole[1, 2:6]])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[1, :3], expected[1, :3], rtol=1e-3, atol=1e-3)
    assert np.isnan(found[1, 3]).all() and position.tolist() == [4, 6]


def test_without_positions_the_order_of_the_past_is_lost():
    """Of one layer, that is: the mask tells a second one how many tokens each state has seen."""
    swapped = TOKENS[:, [1, 0, 2, 3, 4]]
    for model, same in ((SMALL(positions="none"), True), (SMALL(positions="sinusoidal"), False)):
        params = drawn(model)
        apply = functools.partial(quick, lambda p, t, m=model: m.apply(Variables(p), t)[0])
        change = np.abs(apply(params, TOKENS) - apply(params, swapped))[:, 2:].max()
        assert (change < 1e-4) == same


def test_one_attention_models_the_past_alone():
    model = attention_language_model(7, 6, 2, 3)
    params = drawn(model)
    apply = functools.partial(quick, lambda t: model.apply(Variables(params), t)[0])
    before, after = apply(TOKENS), apply(np.where(np.arange(5)[None] == 3, 6, TOKENS))
    np.testing.assert_allclose(after[:, :3], before[:, :3], rtol=1e-5, atol=1e-5)
    assert np.abs(after[:, 3:] - before[:, 3:]).max() > 1e-3
    table = params["tokens"]["embedding"][TOKENS]
    maps, _ = model.apply(Variables(params), TOKENS, method="attention_maps")
    values = (table @ params["attention"]["value"]["kernel"]).reshape(2, 5, 2, 3)
    heads = np.einsum("bhij,bjhf->bihf", maps, values).reshape(2, 5, 6)
    layer, head = params["attention"]["project"], params["head"]
    hidden = 1 / (1 + np.exp(-heads @ layer["kernel"] - layer["bias"]))
    np.testing.assert_allclose(before, hidden @ head["kernel"] + head["bias"], rtol=1e-3, atol=1e-4)


def test_attention_maps_fall_with_the_distance_as_alibi_says():
    """Of alike tokens without weights, whose scores are nothing but the bias."""
    model = SMALL(positions="alibi")
    params = jax.tree.map(np.zeros_like, drawn(model))
    maps = quick(lambda t: model.apply(Variables(params), t, method="attention_maps")[0], TOKENS)
    assert maps.shape == (1, 2, 2, 5, 5)
    near = np.exp(-np.abs(np.subtract.outer(np.arange(5), np.arange(5))) / 16) * np.tri(5)
    np.testing.assert_allclose(maps[0, 1, 0], near / near.sum(-1, keepdims=True), rtol=1e-5)


def test_bfloat16_goes_through_and_mistakes_are_named(key):
    for model in (SMALL(dtype=jnp.bfloat16), attention_language_model(7, dtype=jnp.bfloat16)):
        variables = jax.eval_shape(model.init, key)
        assert jax.eval_shape(model.apply, variables, TOKENS)[0].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match=r"positions are one of .*; got 'absolute'"):
        SMALL(positions="absolute")
    model = SMALL()
    with pytest.raises(ValueError, match="at most 6 tokens, the context; got 7"):
        model.apply(Variables(drawn(model)), np.zeros([1, 7], int))
