"""Words cut to their stems, by NLTK, or brought to their dictionary form; needs the extra `text`.

    porter_stem      connected, connecting, connection, connections -> connect;  caring -> care
    lancaster_stem   the same with a heavier hand:                                caring -> car
    lemma            a word of the dictionary:    caring -> care;  mice -> mouse;  was -> be

A lemma is looked up, by simplemma, whose dictionaries of some fifty languages are in its package;
nothing is downloaded. It sees the word alone, not its class in the sentence: "leaves" is always
"leave". Where that matters, spaCy tags the sentence, and has a model to download.

Source: Porter 1980, "An algorithm for suffix stripping"; Paice 1990, "Another stemmer"; Barbaresi,
simplemma 2.0; 004 section 3.7.
"""

import functools

VARIANTS = ("ORIGINAL_ALGORITHM", "MARTIN_EXTENSIONS", "NLTK_EXTENSIONS")


def porter_stem(word: str, *, variant: str = "ORIGINAL_ALGORITHM") -> str:
    """Porter's stem of an English word.

    Args:
        word: in any case; the stem is in lower case.
        variant: of NLTK: the paper's "ORIGINAL_ALGORITHM", "MARTIN_EXTENSIONS" for the author's
            later departures, or "NLTK_EXTENSIONS".

    Returns:
        The stem, which need not be a word.

    Raises:
        ValueError: another variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant is one of {VARIANTS}; got {variant!r}")
    return _porter(variant).stem(word)


def lancaster_stem(word: str) -> str:
    """The stem of an English word by the 115 rules of Paice and Husk.

    Args:
        word: in any case; the stem is in lower case.

    Returns:
        The stem, which need not be a word.
    """
    return _lancaster().stem(word)


def lemma(word: str, *, language: str = "en") -> str:
    """The dictionary form of a word.

    Args:
        word: in any case; a capital at the beginning of a sentence may stay or go.
        language: of two letters.

    Returns:
        The lemma; the word itself where the dictionary has none.

    Raises:
        ValueError: a language that the package does not have, or more than one word.
    """
    from simplemma import lemmatize

    if not word or word.split() != [word]:
        raise ValueError(f"a lemma is that of one word; got {word!r}. Cut with jdl.text.tokens")
    return lemmatize(word, lang=language)


@functools.cache
def _porter(variant):
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer(mode=variant)


@functools.cache
def _lancaster():
    from nltk.stem.lancaster import LancasterStemmer

    return LancasterStemmer()
