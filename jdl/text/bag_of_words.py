"""A text as counts of its words or n-grams, their order forgotten.

Strings in bulk are scikit-learn's: `CountVectorizer(ngram_range=(1, 2))` and `TfidfVectorizer`
cut, count and weigh them. What is here counts tokens that were cut already, so that a network and
its bag-of-words baseline can share their vocabulary and their tokens. `TfidfTransformer` of
scikit-learn weighs these counts too. One-hot vectors are `jax.nn.one_hot(ids, V)`; their sum over
time is the bag.

Axes: N documents, V words.
"""

import collections
from collections.abc import Iterable, Sequence

import numpy as np

from jdl.text.vocabulary import check_ids


def ngrams(tokens: Sequence[str], order: int) -> list[tuple[str, ...]]:
    """All runs of `order` neighbours, in order.

    Args:
        tokens: T of them.
        order: n, at least 1.

    Returns:
        T - n + 1 tuples, or none.

    Raises:
        ValueError: an order below 1.

    Example:
        >>> ngrams(["to", "be", "or"], 2)
        [('to', 'be'), ('be', 'or')]
    """
    if order < 1:
        raise ValueError(f"n-grams have an order of 1 or more; got {order}")
    return list(zip(*(tokens[start:] for start in range(order)), strict=False))


def ngram_counts(tokens: Sequence[str], orders: Iterable[int]) -> collections.Counter:
    """How often each n-gram occurs.

    Args:
        tokens: in order.
        orders: the n that count, such as (1, 2).

    Returns:
        A Counter of tuples.

    Raises:
        ValueError: an order below 1.
    """
    return collections.Counter(gram for order in orders for gram in ngrams(tokens, order))


def bag_of_words(
    documents: Sequence[Sequence[int]], size: int, *, binary: bool = False, dtype=np.float32
) -> np.ndarray:
    """Counts of the ids of documents.

    Args:
        documents: N sequences of ids.
        size: V.
        binary: whether to say only that a word occurs.
        dtype: of the result.

    Returns:
        [N, V].

    Raises:
        ValueError: ids out of 0 .. V-1.

    Example:
        >>> bag_of_words([[1, 1, 2], []], 3).tolist()
        [[0.0, 2.0, 1.0], [0.0, 0.0, 0.0]]
    """
    counts = np.zeros([len(documents), size], dtype)
    for row, ids in zip(counts, documents, strict=True):
        check_ids(ids, size)
        row[:] = np.bincount(np.asarray(ids, int), minlength=size)
    return (counts > 0).astype(dtype) if binary else counts
