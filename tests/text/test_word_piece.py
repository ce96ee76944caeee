import pytest

from jdl.text.vocabulary import Vocabulary, encode
from jdl.text.word_piece import (
    basic_tokens,
    joined_pieces,
    piece_tokens,
    read_word_pieces,
    train_word_pieces,
    word_pieces,
)

# The vocabulary and the cases are those of BERT's tokenization_test.py.
PIECES = ["[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed", "wa", "un", "runn", "##ing", ",",
          "low", "##est", "##able", "##aff"]  # fmt: skip


@pytest.fixture
def vocabulary():
    return Vocabulary.of(PIECES, unknown="[UNK]")


@pytest.mark.parametrize(
    "word, expected",
    [
        ("unwanted", ["un", "##want", "##ed"]),
        ("unaffable", ["un", "##aff", "##able"]),
        ("running", ["runn", "##ing"]),
        ("unwantedX", ["[UNK]"]),
        ("", ["[UNK]"]),
        ("want" + "want" * 24, ["want"] + ["##want"] * 24),
        ("want" + "want" * 25, ["[UNK]"]),
    ],
)
def test_the_longest_piece_comes_first(vocabulary, word, expected):
    assert word_pieces(vocabulary, word) == expected


def test_the_text_of_the_released_test(vocabulary):
    tokens = piece_tokens(vocabulary, "UNwant\u00e9d,running")
    assert tokens == ["un", "##want", "##ed", ",", "runn", "##ing"]
    assert encode(vocabulary, tokens) == [7, 4, 5, 10, 8, 9]
    assert joined_pieces(tokens) == "unwanted , running"


@pytest.mark.parametrize(
    "text, options, expected",
    [
        ("ah\u535a\u63a8zz", {}, "ah|\u535a|\u63a8|zz"),
        (" \tHeLLo!how  \n Are yoU?  ", {}, "hello|!|how|are|you|?"),
        (" \tHeLLo!how  \n Are yoU?  ", {"lower_case": False}, "HeLLo|!|how|Are|yoU|?"),
        ("H\u00e9llo", {}, "hello"),
        ("H\u00e9llo", {"strip_accents": False}, "h\u00e9llo"),
        ("H\u00e9llo", {"lower_case": False}, "H\u00e9llo"),
        ("H\u00e9llo", {"lower_case": False, "strip_accents": True}, "Hello"),
        ("a\u00a0b\x00\ufffd\u200b c$d", {}, "a|b|c|$|d"),
        ("it's [x]", {}, "it|'|s|[|x|]"),
    ],
)
def test_basic_tokens(text, options, expected):
    assert basic_tokens(text, **options) == expected.split("|")


def test_specials_stay_whole(vocabulary):
    tokens = piece_tokens(vocabulary, "[CLS] lowest [SEP]")
    assert tokens == ["[CLS]", "low", "##est", "[SEP]"]
    assert "[CLS]" not in piece_tokens(vocabulary, "[CLS] lowest", specials=[])


def test_the_input_of_the_paper():
    """004 section 6.4: [CLS] my dog is cute [SEP] he likes play ##ing [SEP], 11 tokens."""
    names = "[UNK] [CLS] [SEP] my dog is cute he likes play ##ing".split()
    tokens = piece_tokens(
        Vocabulary.of(names, unknown="[UNK]"), "[CLS] my dog is cute [SEP] he likes playing [SEP]"
    )
    assert len(tokens) == 11 and tokens[-3:] == ["play", "##ing", "[SEP]"]


def test_a_file_of_pieces_is_read(tmp_path, vocabulary):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    assert read_word_pieces(path) == vocabulary
    path.write_text("a\nb\n")
    with pytest.raises(ValueError, match="UNK"):
        read_word_pieces(path)
    with pytest.raises(ValueError, match="needs a token for the unknown"):
        word_pieces(Vocabulary.of(["a"]), "a")


def test_pieces_are_learned_by_the_most_frequent_pairs():
    # Once "low" is one piece, "low" and "##e" are the only pair that occurs twice.
    found = train_word_pieces(["low low lower Lowest"], 99, specials=["[UNK]"])
    assert found.tokens[-3:] == ("##ow", "low", "lowe")
    assert word_pieces(found, "lowest") == ["lowe", "##s", "##t"]
    assert word_pieces(found, "slow") == ["[UNK]"]  # no word began with s
    assert (
        len(train_word_pieces(["low low lower Lowest"], 10).tokens) == 12
    )  # the characters and five specials
