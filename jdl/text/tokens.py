"""Texts cut into tokens: at spaces, words, punctuation, sentences and characters.

    "Don't panic, Mr. Dent."
      space_tokens        Don't | panic, | Mr. | Dent.
      word_tokens         Don't | panic | , | Mr | . | Dent | .
      punctuation_tokens  Don | ' | t | panic | , | Mr | . | Dent | .
      filtered_words      don't | panic | mr | dent
      treebank_tokens     Do | n't | panic | , | Mr. | Dent | .          (NLTK's; extra `text`)
      character_tokens    D | o | n | ' | t | ...

Source: 004 sections 3.7 and 5.7. Sub-words are in `jdl.text.byte_pair` and `jdl.text.word_piece`.
NLTK's sentence splitter, Punkt, is trained on text; `sentence_tokens` knows a list instead.
"""

import re
from collections.abc import Iterable

WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
RUN = re.compile(r"\w+|[^\w\s]+")
SENTENCE_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]]*(?=\s+[\"'\u201c\u2018(\[]*[A-Z0-9])")

# What `keras.preprocessing.text.Tokenizer` takes for spaces: punctuation without the apostrophe.
KERAS_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'

# In lower case and without the last stop; a single letter counts as one too.
ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr vs etc e.g i.e eq eqs fig figs sec vol ch ed eds al cf p pp".split()
)


def space_tokens(text: str) -> list[str]:
    """What stands between white space; punctuation stays with its word.

    Args:
        text: of any length.

    Returns:
        The tokens in order.
    """
    return text.split()


def word_tokens(text: str, *, lower_case: bool = False) -> list[str]:
    """Words, and each punctuation mark alone; an apostrophe within a word belongs to it.

    Args:
        text: of any length.
        lower_case: whether to lower the case first.

    Returns:
        The tokens in order.

    Example:
        >>> word_tokens("How are you doing?")
        ['How', 'are', 'you', 'doing', '?']
    """
    return WORD.findall(text.lower() if lower_case else text)


def punctuation_tokens(text: str) -> list[str]:
    """Runs of letters, digits and underscores, and runs of anything else but white space.

    As NLTK's `wordpunct_tokenize`.

    Args:
        text: of any length.

    Returns:
        The tokens in order.

    Example:
        >>> punctuation_tokens("It's 3.5%...")
        ['It', "'", 's', '3', '.', '5', '%...']
    """
    return RUN.findall(text)


def filtered_words(
    text: str, *, filters: str = KERAS_FILTERS, lower_case: bool = True
) -> list[str]:
    """Words between spaces, once some characters have become spaces: Keras's tokenizer.

    Args:
        text: of any length.
        filters: the characters that become spaces.
        lower_case: whether to lower the case first.

    Returns:
        The tokens in order.

    Example:
        >>> filtered_words("The cat, isn't it?")
        ['the', 'cat', "isn't", 'it']
    """
    text = text.lower() if lower_case else text
    return text.translate(dict.fromkeys(map(ord, filters), " ")).split()


def treebank_tokens(text: str) -> list[str]:
    """Words as the Penn Treebank cuts them: contractions apart, a stop within the text kept.

    What NLTK's `word_tokenize` does to a sentence, by NLTK. Needs the extra `text`.

    Args:
        text: a sentence.

    Returns:
        The tokens in order.
    """
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer().tokenize(text)


def character_tokens(text: str) -> list[str]:
    """The code points of a text, white space too.

    Args:
        text: of any length.

    Returns:
        The tokens in order; joined, they are the text.
    """
    return list(text)


def sentence_tokens(text: str, *, abbreviations: Iterable[str] = ABBREVIATIONS) -> list[str]:
    """Sentences: they end with . ! ? or an ellipsis before a space and a capital or a digit.

    A single stop after an abbreviation or an initial ends nothing.

    Args:
        text: of any length.
        abbreviations: in lower case, without their last stop.

    Returns:
        The sentences in order, stripped of the space around them.

    Example:
        >>> sentence_tokens("Dr. A. Dent left. Where to? He (e.g. Ford) knew.")
        ['Dr. A. Dent left.', 'Where to?', 'He (e.g. Ford) knew.']
    """
    known, sentences, start = set(abbreviations), [], 0
    for end in SENTENCE_END.finditer(text):
        before = text[start : end.start()].split()
        word = before[-1].lstrip("\"'([\u201c\u2018").lower() if before else ""
        initial = len(word) == 1 and word.isalpha() and word != "i"
        if end.group() == "." and (word in known or initial):
            continue
        sentences.append(text[start : end.end()].strip())
        start = end.end()
    return [sentence for sentence in [*sentences, text[start:].strip()] if sentence]
