"""Splits are partitions; strata and series against scikit-learn and by counting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import TimeSeriesSplit

from jdl.data import forward_chaining, k_fold, train_test_split

LABELS = np.repeat([0, 1, 2], [50, 33, 17])


def test_parts_partition_the_examples_and_keep_rows_together(key):
    data = {"inputs": np.arange(100.0)[:, None], "labels": jnp.arange(100)}
    train, test = train_test_split(data, key, 0.25)
    assert train["inputs"].shape == (75, 1) and test["inputs"].shape == (25, 1)
    assert sorted([*train["labels"].tolist(), *test["labels"].tolist()]) == list(range(100))
    np.testing.assert_array_equal(train["inputs"][:, 0], train["labels"])
    assert isinstance(train["inputs"], np.ndarray) and isinstance(train["labels"], jax.Array)


def test_parts_are_in_an_order_of_chance_that_the_key_decides(key):
    same, again, other = (
        train_test_split(np.arange(100), k, stratify_by=LABELS)
        for k in (key, key, jax.random.key(1))
    )
    np.testing.assert_array_equal(same.test, again.test)
    assert set(same.test.tolist()) != set(other.test.tolist())
    assert (np.diff(same.test) < 0).any() and (np.diff(same.train) < 0).any()


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.33, 0.5, 0.77])
def test_strata_are_within_one_example_of_their_share(key, fraction):
    train, test = train_test_split(LABELS, key, fraction, stratify_by=LABELS)
    assert len(test) == round(fraction * 100)
    assert (np.abs(np.bincount(test) - fraction * np.array([50, 33, 17])) < 1).all()
    assert (np.bincount(test) + np.bincount(train)).tolist() == [50, 33, 17]


def test_members_of_a_stratum_are_equally_likely_to_be_held_out():
    held_out = np.zeros(100)
    for seed in range(200):
        test = train_test_split(np.arange(100), jax.random.key(seed), 0.2, stratify_by=LABELS).test
        held_out[test] += 1
    # Binomial(200, 1/5): mean 40, standard deviation 5.7; class 2 gives 3 of 17, mean 35.
    assert 15 < held_out.min() and held_out.max() < 66


def test_folds_partition_the_examples(key):
    train, test = k_fold(20, key, 5)
    assert train.shape == (5, 16) and test.shape == (5, 4)
    assert sorted(test.ravel().tolist()) == list(range(20))
    for row in range(5):
        assert sorted([*train[row].tolist(), *test[row].tolist()]) == list(range(20))


def test_remainder_of_the_folds_always_trains(key):
    train, test = k_fold(23, key, 5)
    assert train.shape == (5, 19) and test.shape == (5, 4)
    never = set(range(23)) - set(test.ravel().tolist())
    assert len(never) == 3 and all(never <= set(row.tolist()) for row in train)


def test_stratified_folds_hold_the_same_number_of_each_class_within_one(key):
    _, test = k_fold(100, key, 5, stratify_by=LABELS)
    counts = np.stack([np.bincount(LABELS[row], minlength=3) for row in test])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert counts.sum(0).tolist() == [50, 33, 17]


def test_as_many_folds_as_examples_leave_one_out(key):
    train, test = k_fold(6, key, 6)
    assert train.shape == (6, 5) and sorted(test[:, 0].tolist()) == list(range(6))


@pytest.mark.parametrize(("examples", "folds", "tests"), [(6, 2, None), (23, 5, None), (23, 3, 4)])
def test_forward_chaining_equals_scikit_learn(examples, folds, tests):
    theirs = TimeSeriesSplit(folds, test_size=tests).split(np.zeros(examples))
    for ours, (train, test) in zip(forward_chaining(examples, folds, tests), theirs, strict=True):
        np.testing.assert_array_equal(ours.train, train)
        np.testing.assert_array_equal(ours.test, test)
        assert ours.train.max() < ours.test.min()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda key: train_test_split(np.arange(4), key, 0.1), "leaves a part empty"),
        (lambda key: train_test_split(np.arange(4), key, 1.0), "leaves a part empty"),
        (
            lambda key: train_test_split(np.arange(4), key, 0.5, stratify_by=np.arange(4)),
            "missing from a part",
        ),
        (
            lambda key: train_test_split(np.arange(4), key, 0.5, stratify_by=np.arange(3)),
            r"got \[3\]",
        ),
        (lambda key: k_fold(4, key, 5), "2 to 4 folds; got folds=5"),
        (lambda key: k_fold(4, key, 1), "2 to 4 folds; got folds=1"),
        (lambda key: forward_chaining(4, 4, 1), "leave 0 of 4 to train on"),
    ],
)
def test_impossible_splits_say_what_to_do(key, call, words):
    with pytest.raises(ValueError, match=words):
        call(key)
