"""Scores of classes against scikit-learn, the book's table, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as theirs

from jdl.metrics import classification as ours

NAMES = ("ant", "bee", "cat", "dog", "a long-named class", "never there", "never predicted")


@pytest.fixture(scope="module")
def case():
    """300 examples of 7 classes, of which 5 is never there and 6 never predicted."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 6, 300)
    labels[labels == 5] = 6
    guesses = random.integers(0, 6, 300)
    predictions = np.where((random.random(300) < 0.7) & (labels < 6), labels, guesses)
    assert (predictions == 5).any() and not (predictions == 6).any()
    return jnp.array(predictions), jnp.array(labels)


def test_confusion_matrix_equals_scikit_learn(case):
    predictions, labels = case
    confusion = jax.jit(ours.confusion_matrix, static_argnums=2)(predictions, labels, 7)
    np.testing.assert_array_equal(confusion, theirs.confusion_matrix(labels, predictions))
    assert not np.array_equal(confusion.T, theirs.confusion_matrix(labels, predictions))


@pytest.mark.parametrize("average", [None, "macro", "weighted"])
def test_scores_equal_scikit_learn(case, average):
    predictions, labels = case
    confusion = ours.confusion_matrix(predictions, labels, 7)
    expected = theirs.precision_recall_fscore_support(
        labels, predictions, average=average, zero_division=0
    )
    for score, value in zip([ours.precision, ours.recall, ours.f1], expected, strict=False):
        found = jax.jit(score)(confusion)
        if average == "macro":
            found = found.mean()
        if average == "weighted":
            found = ours.weighted_average(found, confusion)
        np.testing.assert_allclose(found, value, rtol=1e-6)


def test_table_equals_that_of_scikit_learn_to_the_letter(case):
    predictions, labels = case
    table = str(ours.classification_report(predictions, labels, NAMES))
    expected = theirs.classification_report(
        labels, predictions, target_names=NAMES, digits=3, zero_division=0
    )
    assert [line.rstrip() for line in table.splitlines()] == [
        line.rstrip() for line in expected.rstrip().splitlines()
    ]


def test_numbers_of_the_book():
    # 001: TP = 8, FN = 2, FP = 4, TN = 86, here with the positive class second.
    confusion = jnp.array([[86, 4], [2, 8]])
    labels, predictions = jnp.repeat(
        jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]).T, confusion.ravel(), 1
    )
    np.testing.assert_array_equal(ours.confusion_matrix(predictions, labels, 2), confusion)
    found = {
        "accuracy": ours.accuracy(predictions, labels),
        "precision": ours.precision(confusion)[1],
        "recall": ours.recall(confusion)[1],
        "f1": ours.f1(confusion)[1],
        "specificity": ours.specificity(confusion)[1],
    }
    expected = [0.94, 8 / 12, 0.8, 16 / 22, 86 / 90]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-6)


def test_specificity_is_the_recall_of_all_other_classes_together(case):
    predictions, labels = case
    confusion = ours.confusion_matrix(predictions, labels, 7)
    for label, found in enumerate(ours.specificity(confusion)):
        expected = theirs.recall_score(labels != label, predictions != label)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_matrices_of_batches_add_up(case):
    predictions, labels = case
    parts = [
        ours.confusion_matrix(p, y, 7)
        for p, y in zip(jnp.split(predictions, 3), jnp.split(labels, 3), strict=True)
    ]
    np.testing.assert_array_equal(sum(parts), ours.confusion_matrix(predictions, labels, 7))


def test_top_k_accuracy_equals_scikit_learn(key):
    logits = jax.random.normal(key, [200, 6])
    labels = jax.random.randint(jax.random.key(1), [200], 0, 6)
    for k in (1, 2, 5):
        found = ours.top_k_accuracy(logits, labels, k)
        np.testing.assert_allclose(found, theirs.top_k_accuracy_score(labels, logits, k=k))
    assert ours.top_k_accuracy(logits, labels, 6) == 1


def test_top_k_accuracy_of_the_book():
    # 004 ch. 4: anger .4, fear .3, ...; the true class is fear, found among the first two.
    emotions = jnp.array([[0.4, 0.3, 0.2, 0.04, 0.03, 0.02, 0.01]])
    fear = jnp.array([1])
    found = [float(ours.top_k_accuracy(emotions, fear, k)) for k in (1, 2, 5, 7)]
    assert found == [0.0, 1.0, 1.0, 1.0]


def test_empty_ratios_are_zero_and_finite():
    nothing = jnp.zeros([2, 2], jnp.int32)
    for score in (ours.precision, ours.recall, ours.f1, ours.specificity):
        np.testing.assert_array_equal(score(nothing), jnp.zeros(2))
    assert ours.weighted_average(jnp.ones(2), nothing) == 0


def test_logits_in_place_of_classes_say_what_to_do():
    with pytest.raises(ValueError, match="argmax"):
        ours.accuracy(jnp.zeros([4, 3]), jnp.zeros(4, jnp.int32))
    with pytest.raises(ValueError, match="argmax"):
        ours.confusion_matrix(jnp.zeros(4), jnp.zeros(4, jnp.int32), 3)
    with pytest.raises(ValueError, match="k=4"):
        ours.top_k_accuracy(jnp.zeros([4, 3]), jnp.zeros(4, jnp.int32), 4)
