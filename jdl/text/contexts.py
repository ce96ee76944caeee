"""What stands near a word: the data of word vectors, built of ids on the host.

    window_pairs      (centre, neighbour) for each neighbour within the window: skip-gram
    window_bags       (neighbours, centre): continuous bag of words, CBOW
    cooccurrences     sum over pairs of 1 / distance: GloVe
    subsampled        a word of frequency f stays with probability sqrt(threshold / f)
    noise_probabilities   count^0.75, normalised: the noise of negative sampling
    huffman           a binary tree of words, short paths to frequent ones

Take one sentence or document at a time where windows should not cross, and concatenate.

Source: Mikolov, Chen, Corrado, Dean 2013 (the models); Mikolov, Sutskever, Chen, Corrado, Dean 2013
(sections 2.1 to 2.3); Pennington, Socher, Manning 2014, section 4.2. The released code of word2vec
keeps a word with probability sqrt(t / f) + t / f: an argument.

Axes: T tokens of a text, N examples, V words.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jdl.core import Key
from jdl.text.vocabulary import check_ids


class Contexts(NamedTuple):
    """Examples of what predicts what, the batch of the objectives of `jdl.models.word_vectors`.

    Attributes:
        words: [N] ids, or [N, C] of a bag, that predict.
        targets: [N] ids, to be predicted.
        mask: [N, C] of booleans, the words that are in the bag; None for single words.
    """

    words: np.ndarray
    targets: np.ndarray
    mask: np.ndarray | None = None


class Cooccurrences(NamedTuple):
    """The entries of a sparse matrix that are not 0.

    Attributes:
        words: [N] ids, rows.
        contexts: [N] ids, columns.
        counts: [N] float32.
    """

    words: np.ndarray
    contexts: np.ndarray
    counts: np.ndarray


class HuffmanTree(NamedTuple):
    """Paths from the root to each word, filled up to the longest.

    Attributes:
        nodes: [V, L] int32, inner nodes 0 .. V-2 on the way; 0 in the filling.
        signs: [V, L] float32: 1 to the first child, -1 to the second, 0 in the filling.
    """

    nodes: np.ndarray
    signs: np.ndarray


def window_pairs(ids: Sequence[int], window: int, key: Key | None = None) -> Contexts:
    """Each word with each neighbour, for skip-gram.

    Args:
        ids: [T].
        window: the farthest neighbour on either side.
        key: draws a window of 1 to `window` for each word, as word2vec does, so that near words
            count more; None takes the whole one.

    Returns:
        Contexts of single words: at most 2 * window for each token, in the order of the text.

    Raises:
        ValueError: a window below 1, or ids of more axes than one.

    Example:
        >>> pairs = window_pairs([5, 6, 7], 1)
        >>> [*zip(pairs.words.tolist(), pairs.targets.tolist())]
        [(5, 6), (6, 5), (6, 7), (7, 6)]
    """
    ids, neighbours, near = _neighbourhoods(ids, window, key)
    rows, columns = np.nonzero(near)
    return Contexts(ids[rows], neighbours[rows, columns])


def window_bags(ids: Sequence[int], window: int, key: Key | None = None) -> Contexts:
    """The neighbours of each word, for CBOW.

    Args:
        ids: [T].
        window: the farthest neighbour on either side.
        key: draws a window of 1 to `window` for each word; None takes the whole one.

    Returns:
        Contexts of bags [T, 2 * window]; words beyond the ends are masked.

    Raises:
        ValueError: a window below 1, or ids of more axes than one.
    """
    ids, neighbours, near = _neighbourhoods(ids, window, key)
    return Contexts(neighbours, ids, near)


def cooccurrences(ids: Sequence[int], window: int, *, decay: bool = True) -> Cooccurrences:
    """How often words stand near each other, on either side.

    Args:
        ids: [T].
        window: the farthest neighbour.
        decay: whether a pair d words apart counts 1 / d (GloVe), or 1.

    Returns:
        Cooccurrences, sorted by word and context.

    Raises:
        ValueError: a window below 1, or ids of more axes than one.
    """
    ids, neighbours, near = _neighbourhoods(ids, window, None)
    rows, columns = np.nonzero(near)
    weights = 1 / np.abs(_offsets(window)[columns]) if decay else np.ones(len(rows))
    pairs = np.stack([ids[rows], neighbours[rows, columns]], -1).reshape(-1, 2)
    found, places = np.unique(pairs, axis=0, return_inverse=True)
    counts = np.bincount(places.ravel(), weights, len(found))
    return Cooccurrences(found[:, 0], found[:, 1], counts.astype(np.float32))


def subsampled(
    ids: Sequence[int],
    counts: Sequence[int],
    key: Key,
    *,
    threshold: float = 1e-5,
    rule: str = "paper",
) -> np.ndarray:
    """A text with most of its frequent words left out.

    Args:
        ids: [T].
        counts: [V], of the whole corpus.
        key: of what stays.
        threshold: t, the frequency up to which all stays.
        rule: "paper" keeps a word with probability sqrt(t / f), "code" with sqrt(t / f) + t / f.

    Returns:
        The ids that stay, in order.

    Raises:
        ValueError: another rule, or ids without a count.
    """
    if rule not in ("paper", "code"):
        raise ValueError(f"rule is 'paper' or 'code'; got {rule!r}")
    ids, counts = np.asarray(ids), np.asarray(counts, float)
    check_ids(ids, len(counts))
    ratio = threshold * counts.sum() / np.maximum(counts, 1e-12)
    keep = np.sqrt(ratio) + (ratio if rule == "code" else 0)
    return ids[np.asarray(jax.random.uniform(key, ids.shape)) < keep[ids]]


def noise_probabilities(counts: Sequence[int], *, power: float = 0.75) -> np.ndarray:
    """The distribution that negative samples are drawn from.

    Args:
        counts: [V].
        power: 1 is the frequency of words, 0 is uniform.

    Returns:
        [V] float32, of sum 1.

    Raises:
        ValueError: negative counts, or none at all.
    """
    counts = np.asarray(counts, float)
    if counts.size == 0 or counts.min() < 0 or counts.max() == 0:
        raise ValueError("counts are not negative, and some are positive")
    weights = np.where(counts > 0, counts, 1) ** power * (counts > 0)
    return (weights / weights.sum()).astype(np.float32)


def huffman(counts: Sequence[int]) -> HuffmanTree:
    """Huffman's tree: the two rarest are joined, again and again.

    Args:
        counts: [V], V >= 2.

    Returns:
        A HuffmanTree; the mean length of a path, weighed by counts, is the least of all trees.

    Raises:
        ValueError: fewer than two words.

    Example:
        >>> huffman([5, 2, 1]).signs.tolist()
        [[-1.0, 0.0], [1.0, -1.0], [1.0, 1.0]]
    """
    size = len(counts)
    if size < 2:
        raise ValueError(f"a tree takes two words or more; got {size}")
    heap = [(count, word) for word, count in enumerate(counts)]
    heapq.heapify(heap)
    parents = {}
    for inner in range(size - 1):  # numbered as they are made, so that the root is the last
        (first, a), (second, b) = heapq.heappop(heap), heapq.heappop(heap)
        parents[a], parents[b] = (inner, 1.0), (inner, -1.0)
        heapq.heappush(heap, (first + second, size + inner))
    paths = []
    for word in range(size):
        path, at = [], word
        while at in parents:
            path.append(parents[at])
            at = size + parents[at][0]
        paths.append(path[::-1])
    shape = [size, max(map(len, paths))]
    nodes, signs = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    for word, path in enumerate(paths):
        nodes[word, : len(path)], signs[word, : len(path)] = zip(*path, strict=True)
    return HuffmanTree(nodes, signs)


def _offsets(window):
    return np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])


def _neighbourhoods(ids, window, key):
    """Ids [T], the ids around each [T, 2 window], and where those are within reach."""
    ids = np.asarray(ids, np.int32)
    if window < 1 or ids.ndim != 1:
        raise ValueError(
            f"a window of 1 or more and ids [T] are needed; got {window} and {list(ids.shape)}"
        )
    offsets = _offsets(window)[None]
    places = np.arange(len(ids))[:, None] + offsets
    reach = np.full(len(ids), window)
    if key is not None:
        reach = np.asarray(jax.random.randint(key, ids.shape, 1, window + 1))
    near = (places >= 0) & (places < len(ids)) & (np.abs(offsets) <= reach[:, None])
    return ids, ids[np.where(near, places, 0)] if len(ids) else places, near
