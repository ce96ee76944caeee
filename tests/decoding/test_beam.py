"""Beam search against all sequences, against a list sorted by hand, and against 004's table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import (
    beam_search,
    generate,
    gnmt,
    per_token,
    pooled_beam_search,
    tree_search,
)
from tests.conformance.case import quick
from tests.decoding.markov import VOCABULARY, listed, log_chances, markov, table

PROMPT = jnp.array([[1, 3], [2, 1]])
CARRY = jnp.zeros(2, int)
DIVISORS = {None: lambda n: 1, gnmt(0.7): lambda n: ((5 + n) / 6) ** 0.7, per_token(): lambda n: n}


def search(logits, **options):
    return jax.tree.map(
        np.asarray,
        quick(lambda prompt: beam_search(markov(logits), CARRY, prompt, **options))(PROMPT),
    )


def pruned(logits, before, last, *, width, length, end, divisor):
    """The same search in Python, over lists."""
    chances, beams = log_chances(logits), [((), 0.0)]
    for _ in range(length):
        grown = []
        for words, total in beams:
            if end in words:
                grown.append((words, total))
                continue
            pair = ((before, last) + words)[-2:]
            grown += [((*words, v), total + chances[(*pair, v)]) for v in range(VOCABULARY)]
        beams = sorted(grown, key=lambda beam: -beam[1] / divisor(len(beam[0])))[:width]
    return beams


@pytest.mark.parametrize(("divisor", "width"), [*zip(DIVISORS, [2, 3, 2], strict=True)])
def test_the_beams_are_those_of_the_search_over_lists(divisor, width):
    logits = table(3)
    found = search(logits, width=width, length=5, end_token=2, pad_token=3, divisor=divisor)
    assert found.finished.any() and not found.finished.all()
    for row, (before, last) in enumerate(PROMPT.tolist()):
        expected = pruned(
            logits, before, last, width=width, length=5, end=2, divisor=DIVISORS[divisor]
        )
        for beam, (words, total) in enumerate(expected):
            length = len(words)
            assert tuple(found.tokens[row, beam][:length]) == words
            assert (found.tokens[row, beam][length:] == 3).all()
            assert found.lengths[row, beam] == length
            assert found.finished[row, beam] == (2 in words)
            assert found.log_probabilities[row, beam] == pytest.approx(total, abs=1e-5)
            score = total / DIVISORS[divisor](length)
            assert found.scores[row, beam] == pytest.approx(score, abs=1e-5)


def test_as_many_beams_as_beginnings_find_the_most_probable_of_all():
    logits = table(4)
    found = search(logits, width=VOCABULARY**2, length=3, end_token=0)
    for row, (before, last) in enumerate(PROMPT.tolist()):
        every = listed(logits, before, last, 3, end=0)
        best = sorted(every, key=every.get, reverse=True)[: VOCABULARY**2]
        tokens = [
            tuple(words[:n])
            for words, n in zip(found.tokens[row].tolist(), found.lengths[row], strict=True)
        ]
        assert tokens[0] == best[0]
        np.testing.assert_allclose(found.scores[row][0], every[best[0]], rtol=1e-5)
        assert len(set(tokens)) == len(tokens)  # each hypothesis once


def test_one_beam_is_greedy():
    logits = table(5)
    found = search(logits, width=1, length=6, end_token=2)
    greedy = quick(lambda p: generate(markov(logits), CARRY, p, length=6, end_token=2))(PROMPT)
    np.testing.assert_array_equal(found.tokens[:, 0], greedy.tokens)
    np.testing.assert_array_equal(found.lengths[:, 0], greedy.lengths)
    np.testing.assert_allclose(found.scores[:, 0], greedy.log_probabilities.sum(1), rtol=1e-5)


def test_two_beams_find_what_greedy_misses():
    """.5 x .4 = .2 behind the likelier first word, .4 x .9 = .36 behind the other."""
    chances = jnp.log(jnp.array([[0.1, 0.5, 0.4], [0.4, 0.3, 0.3], [0.05, 0.9, 0.05]]))
    model = (lambda carry, tokens: (chances[tokens], carry), ())
    greedy, found = quick(
        lambda prompt: (
            generate(*model, prompt, length=2),
            beam_search(*model, prompt, width=2, length=2),
        )
    )(jnp.array([[0]]))
    assert greedy.tokens.tolist() == [[1, 0]]
    assert found.tokens[0].tolist() == [[2, 1], [1, 0]]
    np.testing.assert_allclose(jnp.exp(found.scores), [[0.36, 0.2]], rtol=1e-5)


def test_the_tree_leads_to_the_beams():
    found = search(table(3), width=3, length=5, end_token=2, pad_token=3)
    tree = found.tree
    for row in range(2):
        for beam in range(3):
            place, words = beam, []
            for level in reversed(range(5)):
                if tree.alive[level, row, place]:
                    words.append(tree.tokens[level, row, place])
                place = tree.parents[level, row, place] if level else 0
            length = found.lengths[row, beam]
            assert words[::-1] == found.tokens[row, beam][:length].tolist()
    np.testing.assert_array_equal(tree.scores[-1], found.scores)


def test_with_the_finished_aside_as_many_beams_as_beginnings_find_the_best_of_all():
    logits = table(4)
    for divisor, by in list(DIVISORS.items())[::2]:
        asked = {"width": 12, "length": 3, "end_token": 0, "pad_token": 3, "divisor": divisor}
        found = quick(
            lambda prompt, asked=asked: pooled_beam_search(markov(logits), CARRY, prompt, **asked)
        )(PROMPT)
        for row, (before, last) in enumerate(PROMPT.tolist()):
            every = {w: s / by(len(w)) for w, s in listed(logits, before, last, 3, end=0).items()}
            best = sorted(every, key=every.get, reverse=True)
            for beam in range(3):
                words, length = found.tokens[row, beam].tolist(), int(found.lengths[row, beam])
                assert tuple(words[:length]) == best[beam] and set(words[length:]) <= {3}
                assert found.finished[row, beam] == (best[beam][-1] == 0)
                assert found.scores[row, beam] == pytest.approx(every[best[beam]], rel=1e-5)


def test_places_without_a_hypothesis_score_minus_infinity():
    found = search(table(3), width=5, length=1)
    assert np.isfinite(found.scores).sum(1).tolist() == [4, 4]
    assert np.isneginf(found.scores[:, 4]).all() and not found.tree.alive[0, :, 4].any()


Y1, Y2, Y3, END = range(4)
# 004, table 5.1: the probabilities of the next word behind each beginning, the rest shared out.
BOOK = {
    (): {Y1: 0.5, Y3: 0.4},
    (Y1,): {Y2: 0.4, Y3: 0.3},
    (Y1, Y2): {Y3: 0.4, END: 0.3},
    (Y1, Y3): {Y3: 0.7, END: 0.2},
    (Y1, Y2, Y3): {END: 0.6, Y3: 0.3},
    (Y1, Y3, Y3): {Y1: 0.8, Y3: 0.2},
    (Y3,): {END: 0.4, Y3: 0.3},
}


def book():
    """A step whose carry is the number of the beginning; beginnings not in the table: all alike."""
    beginnings = list(BOOK)
    other = len(beginnings)
    chances, after = np.full([other + 1, 4], 0.25), np.full([other + 1, 4], other)
    for i, words in enumerate(beginnings):
        known = BOOK[words]
        chances[i] = (1 - sum(known.values())) / (4 - len(known))
        chances[i, list(known)] = list(known.values())
        for v in range(4):
            if (*words, v) in BOOK:
                after[i, v] = beginnings.index((*words, v))
    chances, after = jnp.log(jnp.maximum(jnp.asarray(chances), 1e-9)), jnp.asarray(after)

    def step(carry, tokens):
        # The prompt, one start token, is read from the carry -1.
        place = jnp.where(carry < 0, 0, after[carry, tokens])
        return chances[place], place

    return step, jnp.array([-1]), jnp.array([[0]])


def nll(found):
    return {
        tuple(words[:n]): -score
        for words, n, score in zip(
            found.tokens[0].tolist(),
            found.lengths[0].tolist(),
            found.scores[0].tolist(),
            strict=True,
        )
        if np.isfinite(score)
    }


def test_the_tree_of_004_has_the_likelihoods_of_its_table():
    step, carry, prompt = book()
    found = quick(lambda p: tree_search(step, carry, p, branches=2, length=4, end_token=END))(
        prompt
    )
    scores = nll(found)
    expected = {
        (Y1, Y2, Y3, Y3): 0.9324,
        (Y1, Y2, Y3, END): 0.7591,
        (Y1, Y2, END): 0.9378,
        (Y1, Y3, Y3, Y1): 0.6192,
        (Y1, Y3, Y3, Y3): 0.9658,  # printed .75, with .7 for the second word
        (Y1, Y3, END): 1.1689,
        (Y3, END): 0.9163,
    }
    for words, value in expected.items():
        assert scores[words] == pytest.approx(value, abs=6e-5), words
    assert list(scores)[0] == (Y1, Y2, Y3, END)  # y1, y3, y3, y1 has not finished
    level = found.tree[1]
    third = -np.log(0.4 * 0.3) / 2
    assert -level.scores[0, 3] == pytest.approx(third, abs=1e-5)  # y3, y3: 1.06
    assert [len(level.tokens[0]) for level in found.tree] == [2, 4, 8, 16]


def test_a_beam_of_two_drops_what_the_tree_of_004_keeps():
    step, carry, prompt = book()
    asked = {"length": 4, "end_token": END}
    raw, by_length, greedy = quick(
        lambda prompt: (
            beam_search(step, carry, prompt, width=2, **asked),
            beam_search(step, carry, prompt, width=2, divisor=per_token(), **asked),
            generate(step, carry, prompt, **asked),
        )
    )(prompt)
    assert list(nll(raw))[0] == (Y3, END)  # .16 is more than .5 x .4 x .4 x .6 = .048
    assert raw.tree.tokens[1, 0].tolist() == [Y2, END]  # y1, y3 is out
    assert list(nll(by_length))[0] == (Y1, Y2, Y3, END)
    assert greedy.tokens.tolist() == [[Y1, Y2, Y3, END]]


def test_a_tree_of_all_words_is_every_sequence():
    logits = table(6)
    found = jax.tree.map(
        np.asarray,
        quick(
            lambda prompt: tree_search(
                markov(logits), CARRY, prompt, branches=VOCABULARY, length=2, end_token=1
            )
        )(PROMPT),
    )
    for row, (before, last) in enumerate(PROMPT.tolist()):
        every = listed(logits, before, last, 2, end=1)
        one = jax.tree.map(lambda x, row=row: x[row : row + 1], found)
        scores = nll(one)
        assert scores.keys() == every.keys()
        for words, total in every.items():
            assert -scores[words] * len(words) == pytest.approx(total, abs=1e-5)
        finished = [words for words in every if words[-1] == 1]
        assert list(scores)[0] == max(finished, key=lambda words: every[words] / len(words))


def test_mistakes_say_what_to_do():
    step = markov(table())
    with pytest.raises(ValueError, match="width=0"):
        beam_search(step, CARRY, PROMPT, width=0, length=2)
    with pytest.raises(ValueError, match="width=0"):
        pooled_beam_search(step, CARRY, PROMPT, width=0, length=2, end_token=0)
    with pytest.raises(ValueError, match="end_token=7 is none of the 4"):
        beam_search(step, CARRY, PROMPT, width=2, length=2, end_token=7)
    with pytest.raises(ValueError, match="more than the context of 3"):
        beam_search(step, CARRY, PROMPT, width=2, length=2, context=3)
    for branches, length in [(0, 2), (5, 2), (2, 17)]:
        with pytest.raises(ValueError, match="1 to 4 branches.*65536 leaves.*beam_search"):
            tree_search(step, CARRY, PROMPT, branches=branches, length=length)
