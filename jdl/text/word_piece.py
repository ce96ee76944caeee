"""WordPiece, as BERT has it: words cut into the longest pieces that the vocabulary knows.

    text -> clean, lower case, no accents -> words and punctuation marks        `basic_tokens`
    word -> its longest prefix in the vocabulary, then "##" + the longest of the rest, ...
            a rest without a piece, or a word of more than 100 characters: [UNK]

    unaffable -> un ##aff ##able

Source: Devlin, Chang, Lee, Toutanova 2019 and its released `tokenization.py`; Schuster and Nakajima
2012; 004 section 6.4. How the published vocabulary was trained is not published: take one that
exists (`read_word_pieces`). `train_word_pieces` merges the most frequent pairs, as the library
`tokenizers` does, which is the one for large texts.
"""

import collections
import os
import pathlib
import re
import unicodedata
from collections.abc import Iterable

from jdl.text.vocabulary import Vocabulary

UNKNOWN, CLS, SEP, MASK, PAD = "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]"

# The blocks that BERT takes for Chinese characters; each of those is a word.
CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def basic_tokens(
    text: str, *, lower_case: bool = True, strip_accents: bool | None = None
) -> list[str]:
    """BERT's words: control characters gone, Chinese characters and punctuation marks alone.

    Args:
        text: of any length.
        lower_case: whether to lower the case; the cased models do not.
        strip_accents: whether letters lose their accents; None does as `lower_case` says.

    Returns:
        The words in order.

    Example:
        >>> basic_tokens(" \\tHeLLo!how  \\n Are yoU? ")
        ['hello', '!', 'how', 'are', 'you', '?']
    """
    words = "".join(map(_cleaned, text))
    words = words.lower() if lower_case else words
    if lower_case if strip_accents is None else strip_accents:
        decomposed = unicodedata.normalize("NFD", words)
        words = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
    return "".join(f" {c} " if _is_punctuation(c) else c for c in words).split()


def word_pieces(
    vocabulary: Vocabulary, word: str, *, prefix: str = "##", max_characters: int = 100
) -> list[str]:
    """The pieces of a word, the longest first each time.

    Args:
        vocabulary: with a token for the unknown.
        word: without white space.
        prefix: of a piece that continues a word.
        max_characters: a longer word is unknown.

    Returns:
        The pieces, or the token for the unknown alone.

    Raises:
        ValueError: the vocabulary has no token for the unknown.

    Example:
        >>> pieces = ["[UNK]", "un", "##aff", "##able"]
        >>> word_pieces(Vocabulary.of(pieces, unknown="[UNK]"), "unaffable")
        ['un', '##aff', '##able']
    """
    if vocabulary.unknown is None:
        raise ValueError("WordPiece needs a token for the unknown: Vocabulary.of(..., unknown=)")
    pieces, start = [], 0
    while start < len(word) and len(word) <= max_characters:
        lead = prefix if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if lead + word[start:end] in vocabulary.ids), None)
        if end is None:
            return [vocabulary.unknown]
        pieces.append(lead + word[start:end])
        start = end
    return pieces or [vocabulary.unknown]


def train_word_pieces(
    texts: Iterable[str],
    size: int,
    *,
    min_count: int = 2,
    lower_case: bool = True,
    prefix: str = "##",
    specials: Iterable[str] = (PAD, UNKNOWN, CLS, SEP, MASK),
) -> Vocabulary:
    """Learns pieces: the characters, and then the most frequent pair of neighbours each time.

    Args:
        texts: documents.
        size: pieces to reach, specials included; fewer if pairs run out, more if the characters
            alone are more. Each new piece costs a pass over the distinct words.
        min_count: rarer pairs are not merged.
        lower_case: see `basic_tokens`.
        prefix: of a piece that continues a word.
        specials: the first pieces, one of them "[UNK]".

    Returns:
        The Vocabulary. Of pairs of one frequency the first in the alphabet is merged first.

    Example:
        >>> train_word_pieces(["low lower lowest"], 13, specials=[UNKNOWN]).tokens[-3:]
        ('##ow', 'low', 'lowe')
    """
    words = (basic_tokens(text, lower_case=lower_case) for text in texts)
    counts = collections.Counter(word for found in words for word in found)
    parts = {word: [word[0], *(prefix + letter for letter in word[1:])] for word in counts}
    pieces = [*specials, *sorted({piece for found in parts.values() for piece in found})]
    while len(pieces) < size:
        pairs = collections.Counter()
        for word, found in parts.items():
            for pair in zip(found, found[1:], strict=False):
                pairs[pair] += counts[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < min_count:
            break
        whole = best[0] + best[1].removeprefix(prefix)
        pieces += [] if whole in pieces else [whole]
        for word, found in parts.items():
            parts[word] = _merged(found, best, whole)
    return Vocabulary.of(pieces, unknown=UNKNOWN)


def piece_tokens(
    vocabulary: Vocabulary,
    text: str,
    *,
    lower_case: bool = True,
    strip_accents: bool | None = None,
    prefix: str = "##",
    specials: Iterable[str] = (UNKNOWN, CLS, SEP, MASK, PAD),
) -> list[str]:
    """The pieces of a text; `encode` of `jdl.text.vocabulary` gives their ids.

    Args:
        vocabulary: with a token for the unknown.
        text: of any length.
        lower_case: see `basic_tokens`.
        strip_accents: see `basic_tokens`.
        prefix: of a piece that continues a word.
        specials: names that stay whole where the text has them.

    Returns:
        The pieces in order; [CLS] and [SEP] are not added.

    Raises:
        ValueError: the vocabulary has no token for the unknown.
    """
    names = "|".join(map(re.escape, specials))
    pieces = []
    for number, part in enumerate(re.split(f"({names})", text) if names else [text]):
        if number % 2:
            pieces.append(part)
            continue
        for word in basic_tokens(part, lower_case=lower_case, strip_accents=strip_accents):
            pieces += word_pieces(vocabulary, word, prefix=prefix)
    return pieces


def joined_pieces(pieces: Iterable[str], *, prefix: str = "##") -> str:
    """Words again, with spaces between; what `basic_tokens` took away stays away.

    Args:
        pieces: in order.
        prefix: of a piece that continues a word.

    Returns:
        The text.

    Example:
        >>> joined_pieces(["he", "likes", "play", "##ing"])
        'he likes playing'
    """
    return " ".join(pieces).replace(" " + prefix, "")


def read_word_pieces(path: str | os.PathLike, *, unknown: str = UNKNOWN) -> Vocabulary:
    """Reads BERT's `vocab.txt`: a piece a line, the line's number its id.

    Args:
        path: of the file.
        unknown: the token for the unknown.

    Returns:
        The Vocabulary.

    Raises:
        ValueError: a piece twice, or no token for the unknown.
    """
    lines = pathlib.Path(path).read_text(encoding="utf-8").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    return Vocabulary.of([line.rstrip("\r") for line in lines], unknown=unknown)


def _merged(parts, pair, whole):
    out = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] = whole
        else:
            out.append(part)
    return out


def _cleaned(character):
    code = ord(character)
    if character in " \t\n\r" or unicodedata.category(character) == "Zs":
        return " "
    if code in (0, 0xFFFD) or unicodedata.category(character)[0] == "C":
        return ""
    return f" {character} " if any(a <= code <= b for a, b in CJK) else character


def _is_punctuation(character):
    """BERT counts ASCII's symbols too, such as $ and ^."""
    symbol = character.isascii() and character.isprintable() and not character.isalnum()
    return (symbol and character != " ") or unicodedata.category(character)[0] == "P"
