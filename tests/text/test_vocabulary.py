import json

import numpy as np
import pytest

from jdl.text.vocabulary import (
    Vocabulary,
    build_vocabulary,
    check_ids,
    decode,
    encode,
    load_vocabulary,
    save_vocabulary,
)

REVIEWS = [
    "this movie was thrilling it was good".split(),
    "I hated the movie the ending of it was horrible".split(),
]


def test_ids_go_by_frequency_then_first_appearance():
    """004 example 5.8.1, with 0 left for the padding."""
    words = build_vocabulary(REVIEWS, specials=["<pad>"], unknown=None)
    assert words.tokens[1:] == tuple(
        "was movie it the this thrilling good I hated ending of horrible".split()
    )


def test_ties_by_the_alphabet_do_not_depend_on_the_order_of_documents():
    options = {"ties": "alphabet", "specials": ["<unk>"]}
    one, other = (build_vocabulary(d, **options) for d in (REVIEWS, REVIEWS[::-1]))
    assert one.tokens == other.tokens
    assert build_vocabulary(REVIEWS).tokens != build_vocabulary(REVIEWS[::-1]).tokens


def test_rare_words_and_words_beyond_the_size_are_unknown():
    words = build_vocabulary(REVIEWS, min_count=2, max_size=5)
    assert words.tokens == ("<pad>", "<unk>", "was", "movie", "it")
    assert encode(words, ["was", "the", "film"]) == [2, 1, 1]
    assert len(build_vocabulary(REVIEWS, min_count=2).tokens) == 6


def test_a_special_token_in_the_text_is_not_counted_twice():
    words = build_vocabulary([["<unk>", "a", "<unk>"]], specials=["<unk>"])
    assert words.tokens == ("<unk>", "a")


def test_decoding_inverts_encoding_and_stops_at_the_end():
    words = build_vocabulary(REVIEWS, specials=["<pad>", "<unk>", "<eos>"])
    assert decode(words, encode(words, REVIEWS[1])) == REVIEWS[1]
    ids = np.array([words.ids["was"], 0, words.ids["it"], 2, words.ids["of"]])
    assert decode(words, ids, skip=["<pad>"], end="<eos>") == ["was", "it"]


def test_a_saved_vocabulary_loads_as_it_was(tmp_path):
    words = build_vocabulary([["\u00e9t\u00e9", '"', "\n", "a b"]])
    save_vocabulary(words, tmp_path / "words.json")
    assert load_vocabulary(tmp_path / "words.json", size=6) == words
    assert [p.name for p in tmp_path.iterdir()] == ["words.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "words.json"
    save_vocabulary(Vocabulary.of(["a"]), path)
    with pytest.raises(TypeError):
        save_vocabulary(Vocabulary((b"bytes",), {}), path)
    assert load_vocabulary(path).tokens == ("a",)
    assert [p.name for p in tmp_path.iterdir()] == ["words.json"]


@pytest.mark.parametrize("content", ["[]", "{", '{"tokens": ["a"]}'])
def test_another_file_is_refused(content, tmp_path):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ValueError, match="no vocabulary of"):
        load_vocabulary(tmp_path / "x.json")


def test_a_vocabulary_of_another_model_is_refused(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"tokens": ["a", "b"], "unknown": None}))
    with pytest.raises(ValueError, match="2 tokens, the model 3"):
        load_vocabulary(tmp_path / "x.json", size=3)
    words = load_vocabulary(tmp_path / "x.json", size=2)
    for ids in ([0, 2], [-1], np.array([[5]]).ravel()):
        with pytest.raises(ValueError, match="another vocabulary"):
            decode(words, ids)
    check_ids(np.zeros([2, 2], int), 2)
    check_ids([], 2)


@pytest.mark.parametrize(
    "mistake, said",
    [
        (lambda: build_vocabulary([["a"]], unknown="<oov>"), "none of the specials"),
        (lambda: build_vocabulary([["a"]], max_size=1), "no room"),
        (lambda: build_vocabulary([["a"]], ties="random"), "ties"),
        (lambda: build_vocabulary("a text"), "sequences of tokens"),
        (lambda: build_vocabulary([], specials=["a", "a"], unknown=None), "twice"),
        (lambda: Vocabulary.of(["a"], unknown="b"), "none of the tokens"),
        (lambda: encode(Vocabulary.of(["a"]), ["b"]), "has no"),
        (lambda: encode(Vocabulary.of(["a"]), "a"), "cut the text"),
        (lambda: decode(Vocabulary.of(["a"]), [0], end="<eos>"), "has no"),
        (lambda: decode(Vocabulary.of(["a"]), [0], skip=["<pad>"]), "has no"),
    ],
)
def test_mistakes_are_named(mistake, said):
    with pytest.raises(ValueError, match=said):
        mistake()
