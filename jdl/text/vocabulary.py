"""A vocabulary: the tokens that a model knows, each with its number.

    ids 0 .. S-1        the special tokens, in the order given
    ids S .. V-1        the tokens of the text, the most frequent first

Tokens of equal frequency keep the order of their first appearance, or the alphabet's: either way
the same text gives the same numbers on every machine. Source: 004 examples 5.7.2, 5.8.1, 6.2.4.
"""

import collections
import json
import os
import pathlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<sos>", "<eos>"


class Vocabulary(NamedTuple):
    """Tokens and their numbers. `Vocabulary.of` builds one of a list of tokens.

    Attributes:
        tokens: V of them; the place is the id.
        ids: of each token.
        unknown: the token that stands for all others; None if there is none.
    """

    tokens: tuple[str, ...]
    ids: Mapping[str, int]
    unknown: str | None = None

    @classmethod
    def of(cls, tokens: Sequence[str], *, unknown: str | None = None) -> "Vocabulary":
        """A vocabulary of tokens in the order of their ids.

        Args:
            tokens: all different.
            unknown: one of them, that stands for all others.

        Returns:
            The Vocabulary.

        Raises:
            ValueError: a token twice, or `unknown` is none of them.
        """
        ids = {token: i for i, token in enumerate(tokens)}
        if len(ids) != len(tokens):
            twice = next(token for i, token in enumerate(tokens) if ids[token] != i)
            raise ValueError(f"the tokens of a vocabulary differ; got {twice!r} twice")
        if unknown is not None and unknown not in ids:
            raise ValueError(f"unknown={unknown!r} is none of the tokens; add it to the specials")
        return cls(tuple(tokens), ids, unknown)


def build_vocabulary(
    documents: Iterable[Iterable[str]],
    *,
    specials: Sequence[str] = (PAD, UNKNOWN),
    unknown: str | None = UNKNOWN,
    min_count: int = 1,
    max_size: int | None = None,
    ties: str = "first",
) -> Vocabulary:
    """The vocabulary of a text.

    Args:
        documents: sequences of tokens.
        specials: the first tokens, whether or not the text has them.
        unknown: the special token for words out of the vocabulary; None to refuse those.
        min_count: rarer tokens are left out.
        max_size: the largest V, specials included; None for no limit.
        ties: "first" or "alphabet": the order of equally frequent tokens.

    Returns:
        The Vocabulary.

    Raises:
        ValueError: `unknown` is no special token, a special twice, a limit below the number of
            specials, or another `ties`.

    Example:
        >>> words = build_vocabulary([["a", "b", "a"]], specials=["<unk>"])
        >>> words.tokens
        ('<unk>', 'a', 'b')
    """
    if isinstance(documents, str):
        raise ValueError("documents are sequences of tokens; cut the text with jdl.text.tokens")
    if ties not in ("first", "alphabet"):
        raise ValueError(f"ties is 'first' or 'alphabet'; got {ties!r}")
    if max_size is not None and max_size < len(specials):
        raise ValueError(f"max_size={max_size} has no room for {len(specials)} special tokens")
    if unknown is not None and unknown not in specials:
        raise ValueError(f"unknown={unknown!r} is none of the specials {list(specials)}")
    counts = collections.Counter(token for document in documents for token in document)
    found = [token for token, count in counts.items() if count >= min_count]
    found = sorted(found) if ties == "alphabet" else found
    found = sorted(found, key=counts.get, reverse=True)
    known = [token for token in found if token not in set(specials)]
    return Vocabulary.of([*specials, *known][:max_size], unknown=unknown)


def encode(vocabulary: Vocabulary, tokens: Iterable[str]) -> list[int]:
    """The ids of tokens.

    Args:
        vocabulary: that knows them, or has a token for the unknown.
        tokens: in order.

    Returns:
        As many ids.

    Raises:
        ValueError: a token that it does not know, where it has none for the unknown.
    """
    if isinstance(tokens, str):
        raise ValueError("tokens are a sequence of strings; cut the text with jdl.text.tokens")
    if vocabulary.unknown is not None:
        other = vocabulary.ids[vocabulary.unknown]
        return [vocabulary.ids.get(token, other) for token in tokens]
    tokens = list(tokens)
    missing = sorted({token for token in tokens if token not in vocabulary.ids})
    if missing:
        raise ValueError(
            f"the vocabulary has no {missing[:5]}; give it a token for the unknown, or the text "
            "it was built of"
        )
    return [vocabulary.ids[token] for token in tokens]


def decode(
    vocabulary: Vocabulary, ids: Iterable[int], *, skip: Iterable[str] = (), end: str | None = None
) -> list[str]:
    """The tokens of ids.

    Args:
        vocabulary: that gave the ids.
        ids: in order.
        skip: tokens to leave out, such as the padding.
        end: a token to stop before, such as the end of a sentence.

    Returns:
        The tokens.

    Raises:
        ValueError: ids out of 0 .. V-1, as those of another vocabulary are, or a token to skip or
            to stop at that it does not know.
    """
    skip = set(skip)
    strange = (skip | {end} - {None}) - set(vocabulary.ids)
    if strange:
        raise ValueError(f"the vocabulary has no {sorted(strange)}, so no id is one of them")
    ids = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids))
    if ids.ndim != 1:
        raise ValueError(f"the ids of one text are [T]; got {list(ids.shape)}")
    check_ids(ids, len(vocabulary.tokens))
    ids = ids.tolist()
    if end is not None and vocabulary.ids[end] in ids:
        ids = ids[: ids.index(vocabulary.ids[end])]
    return [vocabulary.tokens[i] for i in ids if vocabulary.tokens[i] not in skip]


def check_ids(ids: Iterable[int] | np.ndarray, size: int) -> None:
    """Refuses ids that a vocabulary or a table of `size` rows does not have.

    JAX takes an index out of range for the nearest row, silently; look at data once, on the host.

    Args:
        ids: of any shape.
        size: V.

    Raises:
        ValueError: an id out of 0 .. V-1, or one that is no integer.
    """
    ids = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids))
    if ids.size and not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"ids are integers; got {ids.dtype}")
    if ids.size and not 0 <= ids.min() <= ids.max() < size:
        raise ValueError(
            f"ids are 0 to {size - 1}; got {ids.min()} to {ids.max()}: "
            "they come from another vocabulary"
        )


def save_vocabulary(vocabulary: Vocabulary, path: str | os.PathLike) -> None:
    """Writes a vocabulary as JSON: the file is whole or not there.

    Args:
        vocabulary: to write.
        path: of the file.
    """
    path = pathlib.Path(path)
    content = {"tokens": vocabulary.tokens, "unknown": vocabulary.unknown}
    part = tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=path.name, suffix=".part", delete=False, encoding="utf-8"
    )
    try:
        with part:
            json.dump(content, part, ensure_ascii=False, indent=0)
        os.replace(part.name, path)
    except BaseException:
        pathlib.Path(part.name).unlink(missing_ok=True)
        raise


def load_vocabulary(path: str | os.PathLike, *, size: int | None = None) -> Vocabulary:
    """Reads what `save_vocabulary` wrote.

    Args:
        path: of the file.
        size: V of the model that it is for; None to take any.

    Returns:
        The Vocabulary.

    Raises:
        ValueError: the file is no vocabulary, or one of another size.
    """
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        tokens, unknown = content["tokens"], content["unknown"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no vocabulary of `save_vocabulary`: {error!r}") from error
    if size is not None and len(tokens) != size:
        raise ValueError(f"{path} has {len(tokens)} tokens, the model {size}: not its vocabulary")
    return Vocabulary.of(tokens, unknown=unknown)
