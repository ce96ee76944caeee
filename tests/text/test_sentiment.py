import math

import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from jdl.text.sentiment import vader


def compound(total):
    return total / math.sqrt(total**2 + 15)


def test_the_sentences_of_the_book():
    """004 section 3.8."""
    assert vader("The hotel stay was horrible and uncomfortable.") == (0.55, 0.45, 0.0, -0.7269)
    found = vader("Always :) and be :D !", single_characters=False)
    assert found == (0.0, 0.291, 0.709, 0.8087)


@pytest.mark.parametrize("text", ["Always :) and be :D !", "a BAD day but I smiled \U0001f600", ""])
def test_the_authors_count_every_token(text):
    theirs = SentimentIntensityAnalyzer().polarity_scores(text)
    assert vader(text) == tuple(theirs[name] for name in ("neg", "neu", "pos", "compound"))


def test_the_compound_is_the_normalised_sum():
    """Lexicon: ":)" 2.0, ":D" 2.3; capitals among lower case add 0.733, "!" 0.292."""
    total = 2.0 + 2.3 + 0.733 + 0.292
    assert vader("Always :) and be :D !").compound == pytest.approx(compound(total), abs=1e-4)


@pytest.mark.parametrize(
    "sentence, valence",
    [
        ("it was great", 3.1),
        ("it was very great", 3.1 + 0.293),
        ("it was very, very great", 3.1 + 0.293 + 0.95 * 0.293),
        ("it was slightly great", 3.1 - 0.293),
        ("it was not great", 3.1 * -0.74),
        ("it was GREAT", 3.1 + 0.733),
        ("IT WAS GREAT", 3.1),
        ("it was great!!!", 3.1 + 3 * 0.292),
        ("it was great!!!!!!", 3.1 + 4 * 0.292),
        ("it was great but it was horrible", 0.5 * 3.1 + 1.5 * -2.5),
        ("it was a table", 0.0),
    ],
)
def test_each_rule_moves_the_sum_as_the_paper_says(sentence, valence):
    assert vader(sentence).compound == pytest.approx(compound(valence), abs=1e-4)


def test_a_lexicon_is_added_for_the_call_alone():
    assert vader("a laggy film").compound == 0
    assert vader("a laggy film", lexicon={"laggy": -2.0}).compound < -0.4
    assert vader("a laggy film").compound == 0
