"""Byte-pair encoding of bytes, as GPT-2 has it: any text in a small vocabulary, nothing unknown.

    text -> runs of one category: letters, digits, other, white space; one space may lead a run
         -> the UTF-8 bytes of each run -> pairs merged, the earliest learned first -> ids

    training:   merge the most frequent pair of neighbours within runs; repeat

Merges never join categories, so that "dog", "dog!" and "dog?" share a token; a space may join the
word after it. Ids 0 .. 255 are the bytes in GPT-2's order, the printable ones first; merges follow
in the order learned, and special tokens end. Equally frequent pairs: the smaller pair of ids
first, as in the library `tokenizers`, whose training gives the same merges.

Source: Radford et al. 2019, section 2.2, and its released `encoder.py`; Sennrich, Haddow, Birch
2016, algorithm 1; 004 section 6.5. GPT-2 has 256 + 50,000 + 1 = 50,257 tokens. The library
`tokenizers` trains several times faster on one core and uses them all; this is the algorithm, to
read and to change. Categories are those of the Unicode version of this Python
(`unicodedata.unidata_version`).
"""

import collections
import functools
import heapq
import json
import os
import pathlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

END_OF_TEXT = "<|endoftext|>"

# GPT-2's pattern, over a text whose characters `_category` has replaced: L a letter, N a number,
# P other, n white space but " ". The letters of contractions stand for themselves.
RUNS = re.compile(r"'(?:[stmd]|re|ve|ll)| ?[Ldelmrstv]+| ?N+| ?[P']+|[ n]+(?![^ n])|[ n]+")


class BytePairs(NamedTuple):
    """A trained encoding.

    Attributes:
        tokens: bytes of each id; specials are their UTF-8.
        ids: of tokens.
        ranks: order of the merges, by the two tokens that one joins.
        specials: tokens that no merge makes: the last ones after training, any in a file.
    """

    tokens: tuple[bytes, ...]
    ids: Mapping[bytes, int]
    ranks: Mapping[tuple[bytes, bytes], int]
    specials: tuple[str, ...] = ()


def category_runs(text: str) -> list[str]:
    """Runs of one character category, with at most one space before: GPT-2's split of a text.

    Args:
        text: of any length.

    Returns:
        The runs; joined, they are the text.

    Example:
        >>> category_runs("We've 2 cats!  Yes")
        ['We', "'ve", ' 2', ' cats', '!', ' ', ' Yes']
    """
    marks = "".join(map(_category, text))
    return [text[run.start() : run.end()] for run in RUNS.finditer(marks)]


def train_byte_pairs(
    texts: Iterable[str],
    size: int,
    *,
    min_count: int = 2,
    specials: Sequence[str] = (END_OF_TEXT,),
    split: Callable[[str], list[str]] = category_runs,
) -> BytePairs:
    """Learns merges from texts.

    Args:
        texts: documents.
        size: tokens to reach, 256 bytes and specials included; fewer if pairs run out.
        min_count: rarer pairs are not merged.
        specials: tokens that no text makes, at the end of the vocabulary.
        split: a text into the parts within which merges stay.

    Returns:
        BytePairs.

    Raises:
        ValueError: a size below 256 and the specials.

    Example:
        >>> pairs = train_byte_pairs(["low lower lowest"], 259, specials=[])
        >>> pairs.tokens[256:]
        (b'lo', b'low', b' low')
    """
    if size < 256 + len(specials):
        raise ValueError(f"size is at least 256 bytes and {len(specials)} specials; got {size}")
    counts = collections.Counter(part for text in texts for part in split(text))
    merges = _Merges(_base(), counts)
    while len(merges.tokens) < size - len(specials):
        count, pair = merges.most_frequent()
        if count < min_count:
            break
        merges.merge(pair)
    return _byte_pairs(merges.tokens, merges.learned, specials)


def encode_bytes(
    pairs: BytePairs,
    text: str,
    *,
    parse_specials: bool = False,
    split: Callable[[str], list[str]] = category_runs,
) -> list[int]:
    """The ids of a text.

    Args:
        pairs: the encoding.
        text: of any length.
        parse_specials: whether the name of a special token in the text is that token. Off, since
            text is data; Hugging Face's tokenizers have it on.
        split: the one of the training.

    Returns:
        The ids.

    Raises:
        ValueError: a text that has no UTF-8 (lone surrogates), or that is no str.
    """
    if not isinstance(text, str):
        raise ValueError(f"a text is a str; got {type(text).__name__}")
    if parse_specials and pairs.specials:
        names = "|".join(map(re.escape, sorted(pairs.specials, key=len, reverse=True)))
        return [
            i
            for number, part in enumerate(re.split(f"({names})", text))
            for i in (
                [pairs.ids[part.encode()]] if number % 2 else encode_bytes(pairs, part, split=split)
            )
        ]
    known: dict[str, list[int]] = {}
    ids = []
    for part in split(text):
        if part not in known:
            known[part] = [pairs.ids[token] for token in _merged(part.encode(), pairs.ranks)]
        ids += known[part]
    return ids


def decode_bytes(pairs: BytePairs, ids: Iterable[int], *, errors: str = "replace") -> str:
    """The text of ids.

    Args:
        pairs: the encoding.
        ids: in order.
        errors: for bytes that are no UTF-8, as a cut sequence may end with: "replace" as GPT-2,
            or "strict", "ignore".

    Returns:
        The text; of the ids of a text, that text.

    Raises:
        ValueError: ids that the encoding does not have; bytes that are no UTF-8, if "strict".
    """
    ids = [int(i) for i in ids]
    if ids and not 0 <= min(ids) <= max(ids) < len(pairs.tokens):
        raise ValueError(f"ids are 0 to {len(pairs.tokens) - 1}; got {min(ids)} to {max(ids)}")
    return b"".join(pairs.tokens[i] for i in ids).decode("utf-8", errors)


def read_byte_pairs(vocab: str | os.PathLike, merges: str | os.PathLike) -> BytePairs:
    """Reads the files `vocab.json` and `merges.txt` of GPT-2 and its kin.

    Args:
        vocab: path of a JSON object: token -> id.
        merges: path of a text: two tokens a line, the first learned first.

    Returns:
        BytePairs; tokens that are no byte and no merge are the specials.

    Raises:
        ValueError: ids with gaps, or a merge whose result is no token.
    """
    try:
        names = json.loads(pathlib.Path(vocab).read_text(encoding="utf-8"))
        ids = sorted(names.values())
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{vocab} is no JSON object of tokens and ids: {error}") from error
    if ids != list(range(len(names))):
        raise ValueError(f"{vocab}: the ids are 0 to {len(names) - 1}, each once")
    # A lone "\r" and the like stand for bytes elsewhere, but here lines end with "\n" only.
    lines = pathlib.Path(merges).read_text(encoding="utf-8").split("\n")
    learned = [
        tuple(line.rstrip("\r").split(" "))
        for number, line in enumerate(lines)
        if line.strip() and not (number == 0 and line.startswith("#version"))
    ]
    made = {*byte_names(), *(a + b for a, b in learned)}
    if made - names.keys():
        raise ValueError(
            f"{vocab} lacks the tokens {sorted(made - names.keys())[:5]} of {merges}, as those of "
            "GPT and CLIP do, whose pairs are of characters: take their tokenizer.json"
        )
    ordered = sorted(names, key=names.get)
    tokens = tuple(_bytes_of(name) if name in made else name.encode() for name in ordered)
    ranks = {(_bytes_of(a), _bytes_of(b)): i for i, (a, b) in enumerate(learned)}
    specials = tuple(name for name in ordered if name not in made)
    return BytePairs(tokens, {token: i for i, token in enumerate(tokens)}, ranks, specials)


def write_byte_pairs(pairs: BytePairs, vocab: str | os.PathLike, merges: str | os.PathLike) -> None:
    """Writes the files that `read_byte_pairs` and other libraries read.

    Args:
        pairs: the encoding.
        vocab: path of the JSON object.
        merges: path of the list.
    """
    specials = {special.encode(): special for special in pairs.specials}
    content = {specials.get(x) or token_name(x): i for i, x in enumerate(pairs.tokens)}
    pathlib.Path(vocab).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    ordered = sorted(pairs.ranks, key=pairs.ranks.get)
    lines = ["#version: 0.2", *(f"{token_name(a)} {token_name(b)}" for a, b in ordered), ""]
    pathlib.Path(merges).write_text("\n".join(lines), encoding="utf-8")


@functools.cache
def byte_names() -> tuple[str, ...]:
    """GPT-2's characters for the 256 bytes, in the order of their ids.

    A printable byte of Latin-1 is itself; the others are the code points from 256 on.
    """
    return tuple(sorted(_characters().values()))


def token_name(token: bytes) -> str:
    """How GPT-2's files write a token: a character a byte, "Ġthe" for b" the"."""
    return "".join(_characters()[byte] for byte in token)


@functools.cache
def _characters():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {byte: chr(byte) for byte in printable}
    return names | {byte: chr(256 + i) for i, byte in enumerate(others)}


@functools.cache
def _bytes_by_name():
    return {name: byte for byte, name in _characters().items()}


def _bytes_of(name):
    return bytes(_bytes_by_name()[character] for character in name)


def _base():
    return [_bytes_of(name) for name in byte_names()]


@functools.lru_cache(1 << 12)
def _category(character):
    """The mark of a character in `RUNS`."""
    if character in "delmrstv' ":
        return character
    kind = unicodedata.category(character)[0]
    # Python counts the separators U+001C to U+001F as white space, Unicode does not.
    if character.isspace() and character not in "\x1c\x1d\x1e\x1f":
        return "n"
    return kind if kind in "LN" else "P"


def _byte_pairs(tokens, learned, specials):
    tokens = (*tokens, *(special.encode() for special in specials))
    ids = {token: i for i, token in enumerate(tokens)}
    if len(ids) != len(tokens):
        raise ValueError(f"special tokens differ from each other and the text's; got {specials}")
    return BytePairs(tokens, ids, {pair: i for i, pair in enumerate(learned)}, tuple(specials))


def _merged(word, ranks):
    """The tokens of a run: of all neighbours that merge, the earliest learned first."""
    parts = [bytes([byte]) for byte in word]
    while len(parts) > 1:
        best = min(zip(parts, parts[1:], strict=False), key=lambda p: ranks.get(p, len(ranks)))
        if best not in ranks:
            break
        parts = _joined(parts, best, best[0] + best[1])
    return parts


def _joined(parts, pair, whole):
    """Parts with each occurrence of a pair, from the left, made one."""
    out, i = [], 0
    while i < len(parts):
        found = i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair
        out.append(whole if found else parts[i])
        i += 2 if found else 1
    return out


class _Merges:
    """Runs of a text as ids, with the counts of their pairs kept up as they merge."""

    def __init__(self, base, counts):
        self.tokens, self.learned = list(base), []
        self.ids = {token: i for i, token in enumerate(base)}
        self.words = [[self.ids[bytes([b])] for b in word.encode()] for word in counts]
        self.weights = list(counts.values())
        self.counts, self.places = collections.Counter(), collections.defaultdict(set)
        for number, word in enumerate(self.words):
            for pair in zip(word, word[1:], strict=False):
                self.counts[pair] += self.weights[number]
                self.places[pair].add(number)
        self.heap = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.heap)

    def most_frequent(self):
        """(count, pair); entries of the heap that are out of date are passed over."""
        while self.heap:
            count, pair = self.heap[0]
            if self.counts[pair] == -count:
                return -count, pair
            heapq.heappop(self.heap)
        return 0, None

    def merge(self, pair):
        a, b = (self.tokens[i] for i in pair)
        self.learned.append((a, b))
        if a + b not in self.ids:
            self.ids[a + b] = len(self.tokens)
            self.tokens.append(a + b)
        changed = set()
        for number in self.places.pop(pair):
            before = self.words[number]
            after = _joined(before, pair, self.ids[a + b])
            for word, sign in ((before, -1), (after, 1)):
                for neighbours in zip(word, word[1:], strict=False):
                    self.counts[neighbours] += sign * self.weights[number]
                    changed.add(neighbours)
                    if sign > 0:
                        self.places[neighbours].add(number)
            self.words[number] = after
        for neighbours in changed:
            if self.counts[neighbours] > 0:
                heapq.heappush(self.heap, (-self.counts[neighbours], neighbours))
