"""Words cut to their stems, by NLTK; needs the extra `text`.

    porter_stem      connected, connecting, connection, connections -> connect;  caring -> care
    lancaster_stem   the same with a heavier hand:                                caring -> car

Lemmatisation needs a dictionary and the word class, so it is a call to a library that has both:
`nltk.stem.WordNetLemmatizer` after `nltk.download("wordnet")`, or spaCy. Neither dictionary comes
with its package.

Source: Porter 1980, "An algorithm for suffix stripping"; Paice 1990, "Another stemmer"; 004
section 3.7.
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


@functools.cache
def _porter(variant):
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer(mode=variant)


@functools.cache
def _lancaster():
    from nltk.stem.lancaster import LancasterStemmer

    return LancasterStemmer()
