"""How varied texts are.

    distinct-n = different n-grams / all n-grams

Source: Li, Galley, Brockett, Gao, Dolan 2016, section 5.2, of n = 1 and 2.
"""

from collections.abc import Sequence

from jdl.text.bag_of_words import ngrams


def distinct_ngrams(texts: Sequence[Sequence[str]], order: int = 2) -> float:
    """The share of the n-grams of texts, taken together, that are new as they come.

    Longer texts have a lower share, since words come again: compare texts of one length.

    Args:
        texts: tokens of each; a string is its characters.
        order: n.

    Returns:
        In (0, 1]; NaN if no text has an n-gram.

    Raises:
        ValueError: an order below 1.

    Example:
        >>> distinct_ngrams([["a", "b", "a", "b"], ["a", "b"]])  # a b, b a; of four
        0.5
    """
    found = [gram for text in texts for gram in ngrams(text, order)]
    return len(set(found)) / len(found) if found else float("nan")
