import jax
import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer

from jdl.text.bag_of_words import bag_of_words, ngram_counts, ngrams
from jdl.text.vocabulary import build_vocabulary, encode

TEXTS = ["the cat sat on the mat", "the dog sat", "a bird"]


@pytest.fixture(scope="module")
def counted():
    documents = [text.split() for text in TEXTS]
    words = build_vocabulary(documents, specials=[], unknown=None, ties="alphabet")
    ids = [encode(words, document) for document in documents]
    return words, ids, bag_of_words(ids, len(words.tokens))


def test_counts_are_those_of_scikit_learn(counted):
    words, _, counts = counted
    theirs = CountVectorizer(vocabulary=words.ids, token_pattern=r"\S+")
    np.testing.assert_array_equal(counts, theirs.fit_transform(TEXTS).toarray())


def test_scikit_learn_weighs_these_counts(counted):
    words, _, counts = counted
    theirs = TfidfVectorizer(vocabulary=words.ids, token_pattern=r"\S+").fit_transform(TEXTS)
    weighed = TfidfTransformer().fit_transform(counts)
    np.testing.assert_allclose(weighed.toarray(), theirs.toarray(), atol=1e-6)


def test_n_grams_are_those_of_scikit_learn():
    theirs = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+")
    counts = theirs.fit_transform(TEXTS[:1]).toarray()[0]
    expected = dict(zip(theirs.get_feature_names_out(), counts, strict=True))
    found = ngram_counts(TEXTS[0].split(), (1, 2))
    assert {" ".join(gram): n for gram, n in found.items()} == expected
    assert ngrams(["a"], 2) == []


def test_a_bag_is_the_sum_of_one_hot_vectors(counted):
    _, ids, counts = counted
    one_hot = jax.nn.one_hot(np.array(ids[0]), counts.shape[1])
    np.testing.assert_array_equal(one_hot.sum(0), counts[0])
    assert bag_of_words(ids, counts.shape[1], binary=True).max() == 1


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="another vocabulary"):
        bag_of_words([[3]], 3)
    with pytest.raises(ValueError, match="order of 1"):
        ngrams(["a"], 0)
