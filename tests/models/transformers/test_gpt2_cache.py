"""GPT-2 read token by token against GPT-2 read at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.decoding import beam_search, bound, cached_reader, generate, speculate, top_k
from jdl.models.transformers.gpt2 import gpt2
from tests.conformance.case import quick

SMALL = {"vocab_size": 13, "context": 8, "hidden_dim": 12, "num_layers": 2, "num_heads": 3}
TOKENS = np.random.default_rng(0).integers(0, 13, size=[3, 8]).astype(np.int32)
PROMPT = jnp.asarray(TOKENS[:, :5])


@pytest.fixture(scope="module")
def model():
    return gpt2(**SMALL)


@pytest.fixture(scope="module")
def variables(model):
    """Weights far larger than the initial ones, so that the past has a say."""
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0)).params
    return Variables(
        jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.5, x.shape), jnp.float32), shapes)
    )


@pytest.fixture(scope="module")
def whole(model):
    return quick(lambda variables, tokens: model.apply(variables, tokens)[0])


def test_logits_with_a_cache_equal_those_without(model, variables, whole):
    """Prompts of three lengths at once, then single tokens, then two at once."""
    tokens, lengths = jnp.asarray(TOKENS), jnp.array([1, 3, 5])

    @quick
    def run(variables, tokens, lengths):
        carry, _ = model.apply(variables, 3, method="start")
        prompt = jnp.where(jnp.arange(5)[None] < lengths[:, None], tokens[:, :5], 7)
        found = [bound(model, variables, "prefill")(carry, prompt, lengths)]
        at = jnp.take_along_axis(tokens, lengths[:, None] + jnp.arange(3)[None], axis=1)
        found.append(bound(model, variables)(found[-1][1], at[:, 0]))
        logits, carry = bound(model, variables, "extend")(found[-1][1], at[:, 1:])
        return found[0][0], found[1][0], logits, carry.position

    prefilled, decoded, extended, positions = run(variables, tokens, lengths)
    assert positions.tolist() == [4, 6, 8]
    expected = whole(variables, tokens)
    for row, length in enumerate(lengths.tolist()):
        close = {"rtol": 1e-5, "atol": 1e-5}
        np.testing.assert_allclose(prefilled[row], expected[row, length - 1], **close)
        np.testing.assert_allclose(decoded[row], expected[row, length], **close)
        np.testing.assert_allclose(extended[row], expected[row, length + 1 : length + 3], **close)


def test_one_program_generates_behind_every_prompt_up_to_the_longest(model, variables, whole):
    traces = []

    @quick
    def run(variables, prompt, lengths):
        traces.append(0)
        carry, _ = model.apply(variables, 3, method="start")
        step, prefill = bound(model, variables), bound(model, variables, "prefill")
        asked = {"length": 3, "lengths": lengths, "prefill": prefill, "context": 8}
        return generate(step, carry, prompt, **asked), beam_search(
            step, carry, prompt, width=1, **asked
        )

    for lengths in ([5, 5, 5], [1, 2, 3], [4, 1, 5]):
        found, beams = run(variables, PROMPT, jnp.array(lengths))
        np.testing.assert_array_equal(beams.tokens[:, 0], found.tokens)
        for row, length in enumerate(lengths):
            words = PROMPT[row, :length].tolist()
            for _ in range(3):
                tokens = jnp.array([words + [0] * (8 - len(words))])
                words.append(int(whole(variables, tokens)[0, len(words) - 1].argmax()))
            assert found.tokens[row].tolist() == words[length:]
    assert len(traces) == 1


@pytest.mark.slow
def test_guesses_are_checked_in_one_pass_and_taken_back(model, variables):
    """With the most probable word alone left by the filter, speculation is greedy."""
    lengths = jnp.array([1, 2, 2])
    guesses = jnp.asarray(np.random.default_rng(5).normal(size=[13, 13]), jnp.float32)

    def draft(carry, tokens):
        return guesses[tokens], carry

    @quick
    def run(variables, prompt, lengths, key):
        carry, _ = model.apply(variables, 3, method="start")
        step, prefill = bound(model, variables), bound(model, variables, "prefill")
        logits, after = prefill(carry, prompt, lengths)
        found = speculate(
            cached_reader(bound(model, variables, "extend")),
            draft,
            (logits, after, ()),
            key,
            length=6,
            guesses=2,
            filters=(top_k(1),),
        )
        greedy = generate(step, carry, prompt, length=6, lengths=lengths, prefill=prefill)
        return found.tokens, greedy.tokens

    found, greedy = run(variables, PROMPT[:, :2], lengths, jax.random.key(6))
    np.testing.assert_array_equal(found, greedy)


def test_a_carry_follows_the_dtype_of_the_computation(model, variables):
    half = gpt2(**SMALL, dtype=jnp.bfloat16)
    carry, _ = jax.eval_shape(lambda v: half.apply(v, 2, length=6, method="start"), variables)
    assert carry.caches[0].head_keys == jax.ShapeDtypeStruct((2, 3, 6, 4), jnp.bfloat16)
    logits, after = jax.eval_shape(bound(half, variables), carry, jnp.zeros([2], int))
    assert logits == jax.ShapeDtypeStruct((2, 13), jnp.bfloat16)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, carry)
    assert {x.dtype for x in jax.tree.leaves(after.caches)} == {jnp.dtype(jnp.bfloat16)}


def test_a_token_without_a_place_has_no_logits(model, variables):
    carry, _ = model.apply(variables, 2, length=4, method="start")
    carry = carry._replace(position=jnp.array([3, 4]))
    logits, _ = quick(bound(model, variables))(carry, jnp.array([1, 1]))
    assert jnp.isfinite(logits[0]).all() and jnp.isnan(logits[1]).all()


def test_mistakes_say_what_to_do(model, variables):
    for length in (0, 9):
        with pytest.raises(ValueError, match=f"1 to 8 places, the context; got {length}"):
            model.apply(variables, 2, length=length, method="start")
    carry, _ = model.apply(variables, 3, length=4, method="start")
    with pytest.raises(ValueError, match=r"has 4 places.*got \[3, 5\].*longer carry"):
        bound(model, variables, "prefill")(carry, PROMPT)
    with pytest.raises(ValueError, match="5 and 4 new tokens are 9, more than the context of 8"):
        generate(bound(model, variables), carry, PROMPT, length=4, context=8)
