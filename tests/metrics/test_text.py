import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from jdl.metrics.text import (
    bits_per_unit,
    bleu,
    common_subsequence,
    edit_distance,
    perplexity,
    rouge_l,
    rouge_n,
    sentence_bleu,
    unit_perplexity,
    word_error_rate,
)

REFERENCES = [
    "the cat is on the mat".split(),
    "there is a cat on the mat".split(),
]
# Papineni et al. 2002, section 2, example 1.
FIRST, SECOND, *TRUTH = (
    text.split()
    for text in """
it is a guide to action which ensures that the military always obeys the commands of the party
it is to insure the troops forever hearing the activity guidebook that party direct
it is a guide to action that ensures that the military will forever heed party commands
it is the guiding principle which guarantees the military forces always being under the command \
of the party
it is the practical guide for the army always to heed the directions of the party
""".strip().splitlines()
)


def test_matches_are_clipped():
    """Papineni et al. 2002, example 2: 2/7, not 7/7."""
    found = bleu([["the"] * 7], [REFERENCES], max_order=1)
    assert found.precisions == (2 / 7,)


def test_precisions_of_the_paper():
    """Section 2.1: unigrams 17/18 and 8/14; section 2.1.1: bigrams 10/17 and 1/13."""
    first, second = (bleu([c], [TRUTH], max_order=2).precisions for c in (FIRST, SECOND))
    assert first == (17 / 18, 10 / 17) and second == (8 / 14, 1 / 13)


def test_bleu_is_the_penalised_geometric_mean():
    found = bleu([REFERENCES[0][:5]], [[REFERENCES[0]]])
    assert found.precisions == (1.0, 1.0, 1.0, 1.0)
    assert found.score == found.brevity_penalty == math.exp(1 - 6 / 5)


def test_a_text_is_its_own_best_translation():
    assert bleu(REFERENCES, [[r] for r in REFERENCES]).score == 1.0
    assert rouge_n(REFERENCES[0], REFERENCES[:1], 2) == (1.0, 1.0, 1.0)
    assert rouge_l(REFERENCES[0], REFERENCES[:1]) == (1.0, 1.0, 1.0)
    assert word_error_rate(REFERENCES, REFERENCES) == 0.0


def test_a_corpus_is_summed_before_it_is_divided():
    candidates = [["a", "b"], ["c", "x", "x", "x"]]
    found = bleu(candidates, [[["a", "b"]], [["c", "d", "e", "f"]]], max_order=1)
    assert found.precisions == (3 / 6,)  # the mean of the sentences' is 5/8


def test_the_closest_reference_counts_and_of_two_the_shorter():
    refs = [list("abcd"), list("ab")]
    assert bleu([list("abc")], [refs], max_order=1).reference_length == 2


@pytest.mark.parametrize(
    "smoothing, amount, expected",
    [
        ("none", None, (0.5, 0.0, 0.0)),
        ("floor", None, (0.5, 0.1 / 3, 0.1 / 2)),
        ("floor", 0.5, (0.5, 0.5 / 3, 0.5 / 2)),
        ("add-k", None, (0.5, 1 / 4, 1 / 3)),
        ("exp", None, (0.5, 1 / 6, 1 / 8)),
    ],
)
def test_each_smoothing_fills_empty_orders(smoothing, amount, expected):
    """Chen and Cherry 2014, methods 1 to 3."""
    options = {"max_order": 3, "smoothing": smoothing, "amount": amount}
    found = bleu([list("axbx")], [[list("abyz")]], **options)
    np.testing.assert_allclose(found.precisions, expected)
    product = math.prod(expected)
    assert found.score == pytest.approx(product ** (1 / 3))


def test_a_short_sentence_is_scored_over_the_orders_it_has():
    assert sentence_bleu(["a", "b"], [["a", "b"]]).score == 1.0
    assert bleu([["a", "b"]], [[["a", "b"]]]).score == 0.0
    assert sentence_bleu(["a"], [["b"]]).score == 0.0
    assert sentence_bleu([], [["b"]]) == (0.0, (0.0,) * 4, 0.0, 0, 1)


def test_rouge_clips_and_sums_over_references():
    """Recall: clipped matches over the n-grams of all references (001, eq. at 2143)."""
    found = rouge_n("the the cat".split(), REFERENCES)
    assert found.recall == (3 + 2) / (6 + 7) and found.precision == (3 + 2) / 6
    assert rouge_n([], REFERENCES) == (0.0, 0.0, 0.0)


def test_rouge_l_of_the_paper():
    """Lin 2004, section 3: against "police killed the gunman", S2 has 3/4, S3 2/4 and S4 2/4."""
    truth = ["police killed the gunman".split()]
    for candidate, share in (
        ("police kill the gunman", 3 / 4),
        ("the gunman kill police", 2 / 4),
        ("the gunman police killed", 2 / 4),
    ):
        assert rouge_l(candidate.split(), truth) == (share, share, share)


def test_subsequences_and_distances_are_those_of_enumeration():
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = ("".join(rng.choice(list("ab"), n)) for n in rng.integers(0, 6, 2))
        kept = {"".join(c) for n in range(len(a) + 1) for c in itertools.combinations(a, n)}
        also = {"".join(c) for n in range(len(b) + 1) for c in itertools.combinations(b, n)}
        assert common_subsequence(a, b) == max(map(len, kept & also))
        assert edit_distance(a, b) == recursive_distance(a, b)


def recursive_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(
        recursive_distance(a[1:], b[1:]) + (a[0] != b[0]),
        recursive_distance(a[1:], b) + 1,
        recursive_distance(a, b[1:]) + 1,
    )


def test_word_errors_are_pooled():
    truth = ["the cat sat".split(), ["yes"]]
    assert word_error_rate(["the cat".split(), ["no", "no"]], truth) == (1 + 2) / 4


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    losses = jnp.full([2, 5], math.log(13.0))
    assert perplexity(losses) == pytest.approx(13)
    assert unit_perplexity(float(losses.sum()), 10) == pytest.approx(13)


def test_padding_does_not_count():
    losses, mask = jnp.array([[1.0, 2.0, 99.0]]), jnp.array([[True, True, False]])
    assert perplexity(losses, mask) == pytest.approx(math.exp(1.5))
    assert perplexity(jnp.array([[1.0, jnp.inf]]), jnp.array([[True, False]])) == pytest.approx(
        math.e
    )
    with pytest.raises(ValueError, match="one shape"):
        perplexity(losses, mask[:, :2])


def test_bits_per_character_compare_tokenizers():
    """The same loss over words of four characters: perplexity depends on the unit, bits do not."""
    total = 6 * math.log(16)
    assert bits_per_unit(total, 24) == pytest.approx(1.0)
    assert unit_perplexity(total, 24) == pytest.approx(2.0)
    assert unit_perplexity(total, 6) == pytest.approx(16.0)
    with pytest.raises(ValueError, match="at least one"):
        bits_per_unit(1.0, 0)


@pytest.mark.parametrize(
    "mistake, said",
    [
        (lambda: bleu(["a b"], [[["a"]]]), "cut strings"),
        (lambda: bleu([["a"]], ["a b"]), "cut strings"),
        (lambda: bleu([], []), "one at least"),
        (lambda: bleu([["a"]], [[["a"]], [["b"]]]), "each sentence"),
        (lambda: bleu([["a"]], [[]]), "no reference"),
        (lambda: bleu([["a"]], [[["a"]]], smoothing="magic"), "smoothing is one of"),
        (lambda: word_error_rate([["a"]], [[]]), "no words"),
    ],
)
def test_mistakes_are_named(mistake, said):
    with pytest.raises(ValueError, match=said):
        mistake()
