"""Parts of the data for training and for testing.

Splitting happens once, on the host, before anything is jitted. Training, validation and test parts
are two splits in turn.
"""

from typing import NamedTuple

import jax
import numpy as np

from jdl.core import Key, Tree
from jdl.data.batches import size_of


class Split(NamedTuple):
    """Two parts without a common example.

    Attributes:
        train: the tree of the data with leaves [N - n, ...].
        test: the tree of the data with leaves [n, ...].
    """

    train: Tree
    test: Tree


class Folds(NamedTuple):
    """Indices of examples for cross-validation: `jax.vmap` over the leading axis.

    Attributes:
        train: [folds, N - n] int.
        test: [folds, n] int; no example is in two of the rows.
    """

    train: np.ndarray
    test: np.ndarray


def train_test_split(
    data: Tree, key: Key, test_fraction: float = 0.2, stratify_by: np.ndarray | None = None
) -> Split:
    """Shuffles and parts the examples.

    Args:
        data: tree of arrays [N, ...], of NumPy or JAX.
        key: of the permutation.
        test_fraction: of the examples; the test part holds round(test_fraction * N) of them.
        stratify_by: class of each example [N], to be as frequent in the parts as in the whole: each
            class is within one example of its share.

    Returns:
        The parts, each in an order of chance.

    Raises:
        ValueError: a part would be empty, or without one of the classes.

    Example:
        >>> data = {"inputs": np.arange(10.0), "labels": np.arange(10) % 2}
        >>> train, test = train_test_split(data, jax.random.key(0), 0.4, stratify_by=data["labels"])
        >>> train["inputs"].shape, sorted(test["labels"].tolist())
        ((6,), [0, 0, 1, 1])
    """
    examples = size_of(data)
    tests = round(test_fraction * examples)
    if not 0 < tests < examples:
        raise ValueError(
            f"test_fraction={test_fraction} of {examples} examples leaves a part empty; "
            f"take a fraction between {1 / examples:.2g} and {1 - 1 / examples:.2g}"
        )
    order = np.asarray(jax.random.permutation(key, examples))
    if stratify_by is None:
        held_out = np.arange(examples) < tests
    else:
        held_out = _share_of_each_class(_classes(stratify_by, examples)[order], tests)
    return Split(
        jax.tree.map(lambda x: x[order[~held_out]], data),
        jax.tree.map(lambda x: x[order[held_out]], data),
    )


def k_fold(examples: int, key: Key, folds: int = 5, stratify_by: np.ndarray | None = None) -> Folds:
    """Indices for k-fold cross-validation, each fold once the test part.

    The folds are equal, so that they stack: if `folds` does not divide the number of examples, the
    few that remain are in every training part. `folds=examples` leaves one out.

    Args:
        examples: N.
        key: of the permutation.
        folds: k.
        stratify_by: class of each example [N]: the test parts hold the same number of each, within
            one.

    Returns:
        Indices, train [k, N - N // k] and test [k, N // k].

    Raises:
        ValueError: fewer than 2 folds, more folds than examples, or a class for each of another
            number of examples.

    Example:
        >>> train, test = k_fold(10, jax.random.key(0), 5)
        >>> train.shape, test.shape, sorted(test.ravel().tolist()) == list(range(10))
        ((5, 8), (5, 2), True)
    """
    if not 2 <= folds <= examples:
        raise ValueError(f"{examples} examples make 2 to {examples} folds; got folds={folds}")
    order = np.asarray(jax.random.permutation(key, examples))
    if stratify_by is not None:
        order = order[np.argsort(_classes(stratify_by, examples)[order], kind="stable")]
    # Dealt like cards: each fold takes every k-th example, hence of each class within one.
    test = order[: examples // folds * folds].reshape(-1, folds).T
    train = np.stack([np.setdiff1d(order, fold) for fold in test])
    return Folds(train, test)


def forward_chaining(examples: int, folds: int = 5, tests: int | None = None) -> list[Split]:
    """Indices for the cross-validation of a series: training is before testing, always.

    The test parts are the last `folds` stretches of equal length; each has all that comes before
    it as its training part, so these have different lengths.

    Args:
        examples: N, in the order of time.
        folds: number of test parts.
        tests: examples in each; N // (folds + 1) if None.

    Returns:
        For each fold the indices of the training and of the test part.

    Raises:
        ValueError: nothing is left to train on.

    Example:
        >>> [(len(train), test.tolist()) for train, test in forward_chaining(6, 2)]
        [(2, [2, 3]), (4, [4, 5])]
    """
    tests = examples // (folds + 1) if tests is None else tests
    first = examples - folds * tests
    if folds < 1 or tests < 1 or first < 1:
        raise ValueError(
            f"{folds} folds of {tests} test examples leave {first} of {examples} to train on; "
            "take fewer or smaller folds, at least one of at least one example"
        )
    starts = range(first, examples, tests)
    return [Split(np.arange(start), np.arange(start, start + tests)) for start in starts]


def _classes(stratify_by, examples):
    classes = np.asarray(stratify_by)
    if classes.shape != (examples,):
        raise ValueError(
            f"stratify_by is a class for each of {examples} examples, [{examples}]; "
            f"got {list(classes.shape)}"
        )
    return np.unique(classes, return_inverse=True)[1]


def _share_of_each_class(classes, tests):
    """A mask [N] of `tests` examples, of each class its share: the largest remainders round up."""
    counts = np.bincount(classes)
    shares = counts * tests / len(classes)
    takes = np.floor(shares).astype(int)
    takes[np.argsort(takes - shares, kind="stable")[: tests - takes.sum()]] += 1
    if (takes == 0).any() or (takes == counts).any():
        raise ValueError(
            f"a part of {tests} of {len(classes)} examples cannot be stratified by classes of "
            f"{counts.tolist()} examples: one of them would be missing from a part; take a "
            "larger part, or stratify_by=None"
        )
    rank = np.empty(len(classes), int)
    for label in range(len(counts)):
        rank[classes == label] = np.arange(counts[label])
    return rank < takes[classes]
