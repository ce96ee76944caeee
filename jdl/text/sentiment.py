"""VADER: the sentiment of a sentence by a lexicon and rules, without training.

    valence of a word = lexicon,  raised by degree words and capitals, turned by negations
    s = sum of valences, with "but" weighing what follows, plus emphasis of "!" and "?"
    compound = s / sqrt(s^2 + 15),       in [-1, 1]
    negative, neutral, positive          shares of the words, that add up to 1

Source: Hutto and Gilbert 2014; 004 section 3.8. The rules and the lexicon of 7,500 words are those
of the authors' package, `vaderSentiment`, in the extra `text`.

Departs from the numbers printed in 004, which are NLTK's, in the shares where a token has one
character, such as a "!" alone: NLTK leaves those out, the authors count them as neutral. An
argument; the compound is the same.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple


class Sentiment(NamedTuple):
    """What a sentence expresses.

    Attributes:
        negative: share in [0, 1].
        neutral: share in [0, 1].
        positive: share in [0, 1].
        compound: in [-1, 1]; positive from 0.05, negative up to -0.05, as the authors say.
    """

    negative: float
    neutral: float
    positive: float
    compound: float


def vader(
    sentence: str, *, lexicon: Mapping[str, float] | None = None, single_characters: bool = True
) -> Sentiment:
    """The sentiment of a sentence; average over the sentences of a longer text.

    Args:
        sentence: with its capitals, punctuation and emoticons, which count.
        lexicon: words in lower case -> valence in [-4, 4]; added to the authors', where it goes
            before.
        single_characters: whether tokens of one character count in the shares; NLTK leaves them
            out.

    Returns:
        A Sentiment, rounded to 3 and 4 digits as the package does; all 0 without words.

    Raises:
        ImportError: the extra `text` is missing.
    """
    from vaderSentiment.vaderSentiment import SentiText

    analyser, score = _analyser(None if lexicon is None else tuple(sorted(lexicon.items())))
    valences, text = analyser.polarity_scores(sentence)
    if not single_characters:
        words = SentiText(text).words_and_emoticons
        pairs = zip(words, valences, strict=True)
        valences = [valence for word, valence in pairs if len(word) > 1]
    scores = score(valences, text)
    return Sentiment(scores["neg"], scores["neu"], scores["pos"], scores["compound"])


@functools.lru_cache(8)
def _analyser(additions):
    """An analyser that stops before the scores, at (valences of words, text); and its scores."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    analyser.lexicon.update(additions or ())
    score = analyser.score_valence
    analyser.score_valence = lambda valences, text: (valences, text)
    return analyser, score
