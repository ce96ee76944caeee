import pytest

from jdl.text.tokens import (
    character_tokens,
    filtered_words,
    punctuation_tokens,
    sentence_tokens,
    space_tokens,
    treebank_tokens,
    word_tokens,
)

PHRASE = "Don't panic, Mr. Dent."


@pytest.mark.parametrize(
    "cut, expected",
    [
        (space_tokens, "Don't|panic,|Mr.|Dent."),
        (word_tokens, "Don't|panic|,|Mr|.|Dent|."),
        (punctuation_tokens, "Don|'|t|panic|,|Mr|.|Dent|."),
        (filtered_words, "don't|panic|mr|dent"),
        (treebank_tokens, "Do|n't|panic|,|Mr.|Dent|."),
    ],
)
def test_each_convention_cuts_as_the_page_shows(cut, expected):
    assert cut(PHRASE) == expected.split("|")


def test_the_words_of_the_book():
    expected = ["How", "are", "you", "doing", "?"]
    assert word_tokens("How are you doing?") == treebank_tokens("How are you doing?") == expected


def test_the_sentences_of_the_book():
    text = "Tell me and I forget. Teach me and I remember. Involve me and I learn."
    assert [s.split()[0] for s in sentence_tokens(text)] == ["Tell", "Teach", "Involve"]


@pytest.mark.parametrize(
    "text, count",
    [
        ("Dr. Smith left. He ran.", 2),
        ("It costs 3.5 euros. Cheap!", 2),
        ("So did I. He too.", 2),
        ("He said: \u201cGo!\u201d She went.", 2),
        ("J. R. Hartley wrote it.", 1),
        ("no capitals. none at all.", 1),
        ("", 0),
    ],
)
def test_stops_end_a_sentence_unless_they_abbreviate(text, count):
    assert len(sentence_tokens(text)) == count


def test_abbreviations_are_an_argument():
    assert len(sentence_tokens("See Abb. 3. Then go.", abbreviations=["abb"])) == 2
    assert len(sentence_tokens("See Abb. 3. Then go.", abbreviations=[])) == 3


def test_characters_are_the_text():
    text = "na\u00efve \U0001f600\n"
    assert "".join(character_tokens(text)) == text and len(character_tokens(text)) == 8


def test_case_and_letters_of_other_scripts():
    assert word_tokens("\u00c9t\u00e9 \u041c\u0438\u0440", lower_case=True) == [
        "\u00e9t\u00e9",
        "\u043c\u0438\u0440",
    ]
