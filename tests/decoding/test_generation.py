"""Generation against the chain it follows, drawn and greedy; prompts of several lengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import (
    bound,
    consume,
    filled_behind,
    generate,
    greedy,
    nucleus,
    sampling,
    temperature,
)
from tests.conformance.case import quick
from tests.decoding.markov import VOCABULARY, listed, log_chances, markov, table

PROMPT = jnp.array([[1, 3, 0], [2, 1, 2], [3, 0, 0]])
LENGTHS = jnp.array([2, 3, 1])
CARRY = jnp.zeros(3, int)


def chain(logits, prompt, length):
    """Greedy words behind one prompt, in NumPy."""
    words = [0, *prompt]
    for _ in range(length):
        words.append(int(logits[words[-2], words[-1]].argmax()))
    return words[-length:]


def test_greedy_words_follow_the_chain_behind_prompts_of_each_length():
    logits = table()
    traces = []

    def step(carry, tokens):
        traces.append(0)
        return markov(logits)(carry, tokens)

    run = quick(lambda prompt, lengths: generate(step, CARRY, prompt, length=5, lengths=lengths))
    found = run(PROMPT, LENGTHS)
    expected = [
        chain(logits, p[:n].tolist(), 5) for p, n in zip(PROMPT, LENGTHS.tolist(), strict=True)
    ]
    assert found.tokens.tolist() == expected
    assert found.lengths.tolist() == [5, 5, 5]
    once = len(traces)
    # Other lengths, what stands in the filling: nothing is traced again, and it is not read.
    again = run(PROMPT.at[0, 2].set(2).at[2, 1:].set(3), LENGTHS)
    np.testing.assert_array_equal(again.tokens, found.tokens)
    for lengths in ([1, 1, 1], [3, 2, 2]):
        tokens = run(PROMPT, jnp.array(lengths)).tokens.tolist()
        assert tokens == [
            chain(logits, p[:n].tolist(), 5) for p, n in zip(PROMPT, lengths, strict=True)
        ]
    assert len(traces) == once


def test_log_probabilities_are_those_of_the_model_and_stop_at_the_end_token():
    logits, end = table(1), 2
    chances = log_chances(logits)
    choose = sampling(temperature(2.0), nucleus(0.9))
    run = quick(
        lambda prompt, key: generate(
            markov(logits),
            jnp.zeros(len(prompt), int),
            prompt,
            key,
            length=6,
            choose=choose,
            end_token=end,
            pad_token=3,
        )
    )
    prompt = jnp.tile(PROMPT[1:2], [50, 1])
    found = jax.tree.map(np.asarray, run(prompt, jax.random.key(0)))
    for tokens, scores, length in zip(*found, strict=True):
        words = [1, 2, *tokens.tolist()]
        ends = [i for i, word in enumerate(tokens) if word == end]
        assert length == (ends[0] + 1 if ends else 6)
        assert (tokens[length:] == 3).all() and (scores[length:] == 0).all()
        triples = zip(words, words[1:], words[2:], strict=False)
        expected = [chances[triple] for triple in triples][:length]
        np.testing.assert_allclose(scores[:length], expected, rtol=1e-5, atol=1e-6)
    assert len(set(found.lengths.tolist())) > 2


def test_draws_have_the_distribution_of_the_model():
    logits, number = table(2), 4000
    run = quick(
        lambda key: generate(
            markov(logits),
            jnp.zeros(number, int),
            jnp.full([number, 1], 1),
            key,
            length=2,
            choose=sampling(),
        )
    )
    tokens = run(jax.random.key(3)).tokens
    counts = np.zeros([VOCABULARY] * 2)
    np.add.at(counts, tuple(tokens.T), 1)
    chances = np.zeros_like(counts)
    for words, score in listed(logits, 0, 1, 2).items():
        chances[words] = np.exp(score)
    assert chances.sum() == pytest.approx(1)
    statistic = ((counts - number * chances) ** 2 / (number * chances)).sum()
    assert statistic < 37.7  # the 0.999 quantile of chi-square with 15 degrees of freedom


def test_all_sequences_ended_the_loop_ends():
    def step(carry, tokens):
        jax.debug.callback(lambda: calls.append(0))
        return jax.nn.one_hot(tokens + 1, 4), carry

    calls = []
    found = generate(step, (), jnp.array([[0], [1]]), length=50, end_token=3)
    jax.effects_barrier()
    assert found.tokens[:, :4].tolist() == [[1, 2, 3, 0], [2, 3, 0, 0]]
    assert len(calls) == 3  # the prompt, then two words more of the longer one


def test_the_prompt_may_be_read_in_one_pass():
    logits = table()
    step = markov(logits)

    def prefill(carry, prompt, lengths):
        return consume(step, carry, prompt, lengths)

    by_step, at_once = quick(
        lambda prompt: [
            generate(step, CARRY, prompt, length=3, lengths=LENGTHS, prefill=way)
            for way in (None, prefill)
        ]
    )(PROMPT)
    np.testing.assert_array_equal(by_step.tokens, at_once.tokens)


def test_filling_goes_behind_the_tokens():
    mask = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1]], bool)
    tokens = jnp.arange(12).reshape(3, 4)
    moved, lengths = filled_behind(tokens, jnp.asarray(mask))
    assert lengths.tolist() == [2, 4, 1]
    for row in range(3):
        assert moved[row, : lengths[row]].tolist() == tokens[row][mask[row]].tolist()
    with pytest.raises(ValueError, match=r"entry in the mask; got \[3, 4\] and \[3, 3\]"):
        filled_behind(tokens, jnp.ones([3, 3], bool))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": jnp.zeros([3, 0], int)}, "a token at least.*start token"),
        ({"prompt": jnp.zeros([3])}, r"integers \[B, P\].*float32 \[3\]"),
        ({"prompt": PROMPT.at[0, 0].set(4)}, "0 to 3; got 0 to 4.*another vocabulary"),
        ({"prompt": PROMPT.at[0, 0].set(-1)}, "0 to 3; got -1 to 3"),
        ({"length": 0}, "at least one; got 0"),
        ({"context": 6}, "prompt of 3 and 4 new tokens are 7, more than the context of 6"),
        ({"end_token": 4}, "end_token=4 is none of the 4 tokens"),
        ({"end_token": -1}, "end_token=-1 is none"),
        ({"pad_token": 9}, "pad_token=9 is none"),
        ({"lengths": jnp.array([1, 2])}, r"of 3 prompts has one length, .*got int32 \[2\]"),
        ({"lengths": jnp.array([0, 2, 3])}, r"are 1 to 3.*got \[0, 2, 3\]"),
        ({"lengths": jnp.array([1, 2, 4])}, r"are 1 to 3.*got \[1, 2, 4\]"),
        ({"choose": sampling()}, "needs a key.*choose=greedy"),
    ],
)
def test_mistakes_say_what_to_do(change, said):
    asked = {"step": markov(table()), "carry": CARRY, "prompt": PROMPT, "length": 4} | change
    with pytest.raises(ValueError, match=said):
        generate(**asked)


def test_a_context_that_is_just_long_enough_is_taken():
    shapes = jax.eval_shape(
        lambda: generate(markov(table()), CARRY, PROMPT, length=4, context=7, choose=greedy)
    )
    assert shapes.tokens.shape == (3, 4)


def test_a_bound_method_has_no_noise_and_the_variables():
    from jdl.core import Model

    model = Model(None, lambda variables, *inputs, method: ((variables, inputs, method), None))
    assert bound(model, "w", "m")(1, 2) == ("w", (1, 2), "m")
