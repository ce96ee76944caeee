import itertools

import jax
import numpy as np
import pytest

from jdl.text.contexts import (
    cooccurrences,
    huffman,
    noise_probabilities,
    subsampled,
    window_bags,
    window_pairs,
)

IDS = [3, 1, 4, 1, 5]


def test_pairs_are_all_neighbours_within_the_window():
    pairs = window_pairs(IDS, 2)
    expected = [
        (IDS[i], IDS[j])
        for i in range(5)
        for j in range(5)
        if i != j and abs(i - j) <= 2
    ]  # fmt: skip
    assert [*zip(pairs.words.tolist(), pairs.targets.tolist(), strict=True)] == expected


def test_bags_are_the_pairs_gathered():
    bags, pairs = window_bags(IDS, 2), window_pairs(IDS, 2)
    centres = np.repeat(bags.targets, bags.mask.sum(1))
    np.testing.assert_array_equal(centres, pairs.words)
    np.testing.assert_array_equal(bags.words[bags.mask], pairs.targets)
    assert bags.words.shape == (5, 4)


def test_a_drawn_window_favours_near_words():
    """A neighbour d away stays with probability (w - d + 1) / w."""
    ids = np.arange(6000)
    pairs = window_pairs(ids, 3, jax.random.key(0))
    distances = np.abs(pairs.words - pairs.targets)
    shares = np.bincount(distances)[1:] / (2 * len(ids))
    np.testing.assert_allclose(shares, [1, 2 / 3, 1 / 3], atol=0.02)


@pytest.mark.parametrize("decay", [True, False])
def test_cooccurrences_count_by_distance(decay):
    found = cooccurrences(IDS, 3, decay=decay)
    expected = {}
    for i, j in itertools.permutations(range(5), 2):
        if abs(i - j) <= 3:
            pair = (IDS[i], IDS[j])
            expected[pair] = expected.get(pair, 0) + (1 / abs(i - j) if decay else 1)
    keys = [*zip(found.words.tolist(), found.contexts.tolist(), strict=True)]
    assert keys == sorted(expected)
    np.testing.assert_allclose(found.counts, [expected[k] for k in keys], rtol=1e-6)


@pytest.mark.parametrize("rule, share", [("paper", 0.1), ("code", 0.11)])
def test_frequent_words_stay_with_the_probability_of_the_rule(rule, share):
    ids = np.zeros(20000, int)
    kept = subsampled(ids, [99, 1], jax.random.key(0), threshold=0.0099, rule=rule)
    assert len(kept) / len(ids) == pytest.approx(share, abs=0.01)
    rare = np.ones(100, int)
    assert len(subsampled(rare, [99, 1], jax.random.key(0), threshold=0.01)) == 100


def test_noise_is_flattened_frequency():
    np.testing.assert_allclose(noise_probabilities([16, 1, 0]), [8 / 9, 1 / 9, 0], rtol=1e-6)
    np.testing.assert_allclose(noise_probabilities([3, 1], power=1.0), [0.75, 0.25])
    np.testing.assert_allclose(noise_probabilities([3, 0], power=0.0), [1, 0])


def test_huffman_s_code_is_complete_and_the_shortest():
    counts = [40, 5, 20, 7, 1, 1, 12]
    tree = huffman(counts)
    lengths = np.abs(tree.signs).sum(1)
    assert sum(2.0**-lengths) == 1  # Kraft
    # Its cost is the sum of the weights of the inner nodes, here merged by hand.
    assert np.dot(counts, lengths) == 2 + 7 + 14 + 26 + 46 + 86
    paths = {
        tuple(n * s + s for n, s in zip(*path, strict=True) if s)
        for path in zip(tree.nodes, tree.signs, strict=True)
    }
    assert len(paths) == 7 and tree.nodes.max() == 5


def test_a_text_without_neighbours_gives_nothing():
    assert len(window_pairs([1], 2).words) == len(window_pairs([], 2).words) == 0
    assert len(cooccurrences([1], 2).counts) == 0


@pytest.mark.parametrize(
    "mistake, said",
    [
        (lambda: window_pairs([1, 2], 0), "a window of 1"),
        (lambda: window_bags([[1, 2]], 1), "ids \\[T\\]"),
        (lambda: subsampled([2], [1, 1], jax.random.key(0)), "another vocabulary"),
        (lambda: subsampled([0], [1], jax.random.key(0), rule="gensim"), "rule is"),
        (lambda: noise_probabilities([0, 0]), "positive"),
        (lambda: huffman([1]), "two words"),
    ],
)
def test_mistakes_are_named(mistake, said):
    with pytest.raises(ValueError, match=said):
        mistake()
