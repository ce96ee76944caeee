import jax
import numpy as np
import pytest

from jdl.text.vectors import (
    WordVectors,
    analogy,
    embedding_table,
    nearest,
    read_glove,
    read_word2vec,
)
from jdl.text.vocabulary import Vocabulary

VECTORS = np.array([[1.5, -2.0, 0.25], [0.0, 3.0, 1e-3]], np.float32)
WORDS = ("the", "caf\u00e9")


def text_lines(words=WORDS):
    return [f"{w} {' '.join(map(str, row))}" for w, row in zip(words, VECTORS, strict=True)]


@pytest.mark.parametrize("words", [WORDS, (". . .", "at name@x")])
def test_a_text_file_of_glove_is_read(tmp_path, words):
    """GloVe's largest files have words with spaces in them, but not in the first line."""
    path = tmp_path / "glove.txt"
    path.write_text("\n".join(["first 0 0 0", *text_lines(words)]) + "\n", encoding="utf-8")
    found = read_glove(path)
    assert found.words == ("first", *words)
    np.testing.assert_array_equal(found.vectors[1:], VECTORS)
    assert read_glove(path, limit=1).words == ("first",)


def test_a_text_file_of_word2vec_is_read(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(["2 3", *text_lines()]), encoding="utf-8")
    found = read_word2vec(path, binary=False)
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_binary_file_of_word2vec_is_read(tmp_path, end):
    path = tmp_path / "vectors.bin"
    rows = [w.encode() + b" " + v.tobytes() + end for w, v in zip(WORDS, VECTORS, strict=True)]
    path.write_bytes(b"2 3\n" + b"".join(rows))
    found = read_word2vec(path)
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert read_word2vec(path, limit=1).words == WORDS[:1]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="ends after 1 of 2"):
        read_word2vec(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x"
    path.write_text("the 1 2\na 1\n")
    with pytest.raises(ValueError, match="word 2 has no 2"):
        read_glove(path)
    with pytest.raises(ValueError, match="does not begin"):
        read_word2vec(path)
    path.write_text("3 2\na 1 2\n")
    with pytest.raises(ValueError, match="ends after 1 of 3"):
        read_word2vec(path, binary=False)
    path.write_text("")
    with pytest.raises(ValueError, match="no vectors"):
        read_glove(path)


@pytest.fixture(scope="module")
def royals():
    """Vectors made of gender and rank, of different lengths."""
    parts = {"man": (1, 0), "woman": (-1, 0), "king": (1, 1), "queen": (-1, 1), "apple": (0, -1)}
    vectors = [[gender, rank, 0.5] for gender, rank in parts.values()]
    return WordVectors(tuple(parts), np.array(vectors, np.float32) * [[1], [2], [3], [4], [5]])


def test_king_minus_man_plus_woman_is_queen(royals):
    assert analogy(royals, "man", "king", "woman")[0][0] == "queen"
    words = [word for word, _ in analogy(royals, "man", "king", "woman", count=9)]
    assert sorted(words) == ["apple", "queen"]  # the three do not count


def test_nearest_goes_by_cosine_not_by_length(royals):
    words = nearest(royals, royals.vectors[2], 2)
    assert words[0] == ("king", pytest.approx(1.0)) and words[1][0] == "man"
    unit = [v / np.linalg.norm(v) for v in royals.vectors]
    assert words[1][1] == pytest.approx(unit[2] @ unit[0])
    assert nearest(royals, np.zeros(3), 1)[0][1] == 0


def test_a_table_takes_rows_of_the_file_and_draws_the_others(royals):
    words = Vocabulary.of(["<pad>", "queen", "zebra", "man"])
    table, known = embedding_table(royals, words, jax.random.key(0))
    assert known.tolist() == [False, True, False, True]
    np.testing.assert_array_equal(table[known], royals.vectors[[3, 0]])
    assert np.abs(table[~known]).min() > 0 and table.dtype == np.float32


def test_mistakes_are_named(royals):
    with pytest.raises(ValueError, match="no vector of"):
        analogy(royals, "man", "duke", "woman")
    with pytest.raises(ValueError, match="query is"):
        nearest(royals, np.zeros(2))
