"""Text made ready for counting: markup and stop words taken out.

The pipeline of 004 example 5.8.1 is `without_markup`, then tokens in lower case, then
`without_stop_words`, then `jdl.text.stemming.porter_stem`, then `jdl.text.vocabulary`.
"""

import re
from collections.abc import Iterable
from html.parser import HTMLParser

# Elements whose text nobody reads, and those that a reader sees as a new line.
UNSEEN = frozenset(["script", "style", "template"])
BREAKS = frozenset(
    "address article aside blockquote br dd div dl dt figure footer form h1 h2 h3 h4 h5 h6 header "
    "hr li main nav ol p pre section table td th title tr ul".split()
)


def without_markup(text: str) -> str:
    """The text of HTML: no tags, comments, scripts or styles; entities become characters.

    Args:
        text: HTML, or a text with some tags in it.

    Returns:
        The text, in which white space is one space.

    Example:
        >>> without_markup("A <b>great</b> film.<br /><br />See it &amp; laugh!")
        'A great film. See it & laugh!'
    """
    parts, unseen = [], []

    def start(tag, attributes):
        parts.append(" " if tag in BREAKS else "")
        if tag in UNSEEN:
            unseen.append(tag)

    def end(tag):
        parts.append(" " if tag in BREAKS else "")
        if unseen and unseen[-1] == tag:
            unseen.pop()

    def data(found):
        if not unseen:
            parts.append(found)

    parser = HTMLParser(convert_charrefs=True)
    parser.handle_starttag, parser.handle_endtag, parser.handle_data = start, end, data
    parser.feed(text)
    parser.close()
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def english_stop_words() -> frozenset[str]:
    """The 318 English words that scikit-learn leaves out: `ENGLISH_STOP_WORDS`.

    They are the list of the Glasgow information retrieval group. Needs the extra `data`.

    Returns:
        The words, in lower case.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return ENGLISH_STOP_WORDS


def without_stop_words(tokens: Iterable[str], stop_words: Iterable[str]) -> list[str]:
    """Tokens that are no stop words, in the case that they have.

    Args:
        tokens: in order.
        stop_words: in lower case; tokens are compared in lower case.

    Returns:
        The tokens that are left.

    Example:
        >>> without_stop_words(["What", "is", "NLP", "?"], {"what", "is"})
        ['NLP', '?']
    """
    stop_words = set(stop_words)
    return [token for token in tokens if token.lower() not in stop_words]
