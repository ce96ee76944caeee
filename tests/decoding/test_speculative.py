"""Speculative words have the target's distribution; a wrong correction has not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import consume, reader, speculate, top_k
from tests.conformance.case import quick
from tests.decoding.markov import VOCABULARY, listed, markov, table

NUMBER, LENGTH = 6000, 3
PROMPT = jnp.array([[2, 1]])
# The 0.999 quantile of chi-square with 4^3 - 1 degrees of freedom.
LIMIT = 103.4


def starts(target, draft, number=NUMBER):
    prompt, carry = jnp.tile(PROMPT, [number, 1]), jnp.zeros(number, int)
    logits, after = consume(markov(target), carry, prompt)
    return logits, after, consume(markov(draft), carry, prompt)[1]


def statistic(tokens, logits):
    counts = np.zeros([VOCABULARY] * LENGTH)
    np.add.at(counts, tuple(np.asarray(tokens).T), 1)
    expected = np.zeros_like(counts)
    for words, score in listed(logits, 2, 1, LENGTH).items():
        expected[words] = NUMBER * np.exp(score)
    return ((counts - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("guesses", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_words_have_the_distribution_of_the_target_whatever_the_draft(guesses):
    target, draft = table(0, 0.8), table(1, 0.8)
    run = quick(
        lambda key: speculate(
            reader(markov(target)),
            markov(draft),
            starts(target, draft),
            key,
            length=LENGTH,
            guesses=guesses,
        )
    )
    found = run(jax.random.key(0))
    assert statistic(found.tokens, target) < LIMIT
    assert statistic(found.tokens, draft) > 2 * LIMIT
    assert (found.lengths == LENGTH).all()


def test_a_draft_like_the_target_saves_its_passes_and_one_unlike_costs_no_word():
    target = table(2)
    run = quick(
        lambda draft: speculate(
            reader(markov(target)),
            markov(draft),
            starts(target, draft, 1),
            jax.random.key(1),
            length=13,
            guesses=3,
            filters=(top_k(1),),
        )
    )
    alike, unlike = run(target), run(-target)
    words = [2, 1]
    for _ in range(13):
        words.append(int(target[words[-2], words[-1]].argmax()))
    assert alike.tokens.tolist() == unlike.tokens.tolist() == [words[2:]]
    assert alike.rounds == 3  # 1 word, then 4 a round
    assert unlike.rounds == 12


def test_what_lies_behind_the_end_token_is_filling():
    target, draft = table(3), table(4)
    found = quick(
        lambda key: speculate(
            reader(markov(target)),
            markov(draft),
            starts(target, draft, 200),
            key,
            length=8,
            guesses=3,
            end_token=2,
            pad_token=3,
        )
    )(jax.random.key(2))
    for words, length in zip(found.tokens.tolist(), found.lengths.tolist(), strict=True):
        assert 2 not in words[: length - 1] and set(words[length:]) <= {3}
        assert length == 8 or words[length - 1] == 2
    assert len(set(found.lengths.tolist())) > 3


def test_mistakes_say_what_to_do():
    step = markov(table())
    for wrong in ({"length": 0}, {"guesses": 0}):
        with pytest.raises(ValueError, match="a token at least; got.*=0"):
            speculate(reader(step), step, None, None, **({"length": 2} | wrong))
