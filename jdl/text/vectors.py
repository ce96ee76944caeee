"""Word vectors of files, the words nearest to a vector, and analogies.

    cosine(u, v) = u . v / (|u| |v|)
    "a is to b as c is to ?"  ->  the word nearest to  b - a + c  of unit length, none of the three

Files, as their authors publish them: GloVe's text (a word and D numbers a line), word2vec's text
(the same below a line "V D") and word2vec's binary (float32, little-endian).

Source: Mikolov, Yih, Zweig 2013 for analogies; Pennington, Socher, Manning 2014.

Axes: V words, D features.
"""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jdl.core import Key
from jdl.text.vocabulary import Vocabulary


class WordVectors(NamedTuple):
    """A vector for each word.

    Attributes:
        words: V of them.
        vectors: [V, D] float32.
    """

    words: tuple[str, ...]
    vectors: np.ndarray


def read_glove(path: str | os.PathLike, *, limit: int | None = None) -> WordVectors:
    """Reads a text file of GloVe.

    Args:
        path: of the file, such as `glove.6B.100d.txt`.
        limit: the number of words to read, which come by frequency; None for all.

    Returns:
        WordVectors.

    Raises:
        ValueError: an empty file, or a line with another number of features.
    """
    with open(path, encoding="utf-8", newline="\n") as lines:
        return _read_text(path, lines, None, limit)


def read_word2vec(
    path: str | os.PathLike, *, binary: bool = True, limit: int | None = None
) -> WordVectors:
    """Reads a file of word2vec.

    Args:
        path: of the file, such as `GoogleNews-vectors-negative300.bin`.
        binary: whether it holds float32 numbers, or text.
        limit: the number of words to read; None for all.

    Returns:
        WordVectors.

    Raises:
        ValueError: no line "V D" at the start, or a file that ends too early.
    """
    with open(path, "rb") as file:
        try:
            count, features = map(int, file.readline().split())
        except ValueError as error:
            raise ValueError(
                f"{path} does not begin with the line 'words features' of word2vec"
            ) from error
        count = count if limit is None else min(count, limit)
        if binary:
            return _read_binary(path, file, count, features)
        lines = (line.decode("utf-8") for line in file)
        found = _read_text(path, lines, features, count)
    if len(found.words) < count:
        raise ValueError(f"{path} ends after {len(found.words)} of {count} words")
    return found


def nearest(
    vectors: WordVectors, query: np.ndarray, count: int = 10, *, exclude: Iterable[str] = ()
) -> list[tuple[str, float]]:
    """The words of the largest cosine to a vector.

    Args:
        vectors: to look in.
        query: [D].
        count: of words.
        exclude: words that do not count.

    Returns:
        (word, cosine), the nearest first; a vector of length 0 has cosine 0.

    Raises:
        ValueError: a query of another shape.

    Example:
        >>> plane = WordVectors(("x", "y", "xy"), np.array([[1, 0], [0, 1], [1, 1]], np.float32))
        >>> [word for word, _ in nearest(plane, np.array([1.0, 0.5]), 2)]
        ['xy', 'x']
    """
    query = np.asarray(query, np.float32)
    if query.shape != vectors.vectors.shape[1:]:
        raise ValueError(f"query is [{vectors.vectors.shape[1]}]; got {list(query.shape)}")
    cosines = _unit(vectors.vectors) @ _unit(query)
    exclude = set(exclude)
    order = (i for i in np.argsort(-cosines, stable=True) if vectors.words[i] not in exclude)
    return [
        (vectors.words[i], float(cosines[i])) for i, _ in zip(order, range(count), strict=False)
    ]


def analogy(
    vectors: WordVectors, a: str, b: str, c: str, count: int = 1
) -> list[tuple[str, float]]:
    """Words d so that a is to b as c is to d: the nearest to b - a + c but those three.

    Args:
        vectors: to look in; each counts with unit length.
        a: "man".
        b: "king".
        c: "woman".
        count: of words.

    Returns:
        (word, cosine), the nearest first.

    Raises:
        ValueError: a word that is not there.
    """
    places = {word: i for i, word in enumerate(vectors.words)}
    missing = [word for word in (a, b, c) if word not in places]
    if missing:
        raise ValueError(f"there is no vector of {missing}")
    start, end, other = (_unit(vectors.vectors[places[word]]) for word in (a, b, c))
    return nearest(vectors, end - start + other, count, exclude=(a, b, c))


def embedding_table(
    vectors: WordVectors, vocabulary: Vocabulary, key: Key
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of an embedding layer: vectors of a file where it has them.

    Args:
        vectors: of a file.
        vocabulary: of the model.
        key: draws the other rows, from a Gaussian of the standard deviation of the vectors.

    Returns:
        [V, D] float32, and [V] of booleans: the words that the file has. To freeze those, stop
        their gradients with that mask.
    """
    places = {word: i for i, word in enumerate(vectors.words)}
    known = np.array([token in places for token in vocabulary.tokens])
    shape = [len(vocabulary.tokens), vectors.vectors.shape[1]]
    table = np.array(jax.random.normal(key, shape)) * vectors.vectors.std()
    table[known] = vectors.vectors[[places[t] for t in vocabulary.tokens if t in places]]
    return table.astype(np.float32), known


def _unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def _read_text(path: str | os.PathLike, lines: Iterable[str], features, limit):
    words: list[str] = []
    rows: list[Sequence[float]] = []
    for number, line in enumerate(lines):
        if limit is not None and number >= limit:
            break
        line = line.rstrip(" \r\n")
        features = line.count(" ") if features is None else features
        word, *values = line.rsplit(" ", features)  # some words of GloVe have spaces in them
        if len(values) != features or not features:
            raise ValueError(f"{path}: word {number + 1} has no {features} features")
        words.append(word)
        rows.append(np.array(values, np.float32))
    if not rows:
        raise ValueError(f"{pathlib.Path(path)} has no vectors")
    return WordVectors(tuple(words), np.stack(rows))


def _read_binary(path, file, count, features):
    words, vectors = [], np.empty([count, features], np.float32)
    for row in vectors:
        name = bytearray()
        while (byte := file.read(1)) not in (b" ", b""):
            name += byte if byte != b"\n" else b""  # word2vec ends a vector with one, others do not
        content = file.read(4 * features)
        if len(content) < 4 * features:
            raise ValueError(f"{path} ends after {len(words)} of {count} words")
        row[:] = np.frombuffer(content, "<f4")
        words.append(name.decode("utf-8", "replace"))
    return WordVectors(tuple(words), vectors)
