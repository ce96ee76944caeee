"""The tokenizers of checkpoints and our own behind one interface: text -> ids -> text.

    read_tokenizer("tokenizer.json")         any: T5, XLNet, GPT-2, BERT, RoBERTa, CLIP have one
    read_tokenizer("spiece.model")           SentencePiece's own file, Unigram or byte pairs
    read_tokenizer("vocab.json")             byte pairs of GPT-2 and RoBERTa, merges.txt beside it
    read_tokenizer("vocab.txt")              WordPiece of BERT, in lower case
    read_tokenizer("folder")                 the first of these that it has

tokenizer.json is read by the library `tokenizers`, SentencePiece's file by `sentencepiece`, both in
the extra `text`; the others are `jdl.text.byte_pair` and `jdl.text.word_piece`, and need nothing.

tokenizer.json is the whole of what a checkpoint was trained with. Other files lack a part of it:
T5's sentinels <extra_id_0>, ..., and what XLNet does to accents; what stands around a text is told
by the names in the vocabulary: [CLS] x [SEP], <s> x </s>, x </s> of T5, x <sep> <cls> of XLNet.

Source: Kudo 2018 (Unigram); Kudo and Richardson 2018 (SentencePiece); Hugging Face's tokenizers
0.23 and transformers 5.24 for the files.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from jdl.text.byte_pair import (
    BytePairs,
    decode_bytes,
    encode_bytes,
    read_byte_pairs,
    token_name,
)
from jdl.text.vocabulary import Vocabulary, check_ids
from jdl.text.vocabulary import encode as ids_of
from jdl.text.word_piece import (
    CLS,
    MASK,
    PAD,
    SEP,
    UNKNOWN,
    joined_pieces,
    piece_tokens,
    read_word_pieces,
)

FILES = ("tokenizer.json", "spiece.model", "vocab.json", "vocab.txt")
KINDS = ("BPE", "Unigram", "WordLevel", "WordPiece")
FRAMES = ((("[CLS]",), ("[SEP]",)), (("<s>",), ("</s>",)))  # around a text: BERT, RoBERTa
ENDS = (("<sep>", "<cls>"), ("</s>",))  # XLNet, T5


class Tokenizer(NamedTuple):
    """What makes ids of a text and a text of ids.

    Attributes:
        encode: (text, add_specials=True) -> the ids, with the special tokens that a model wants
            around a text unless they are refused.
        decode: (ids, skip_specials=True) -> the text; ValueError for ids that it does not have.
        ids: of all tokens by their names, as the file has them.
        specials: names of the tokens that no text makes.
    """

    encode: Callable[..., list[int]]
    decode: Callable[..., str]
    ids: Mapping[str, int]
    specials: tuple[str, ...] = ()

    def id_of(self, token: str) -> int:
        """The id of a token, such as the end of a text for a decoder.

        Raises:
            ValueError: there is no such token; names the special ones.
        """
        if token not in self.ids:
            raise ValueError(
                f"this tokenizer has no token {token!r}; its special ones are "
                f"{', '.join(self.specials) or 'none'}"
            )
        return self.ids[token]


def read_tokenizer(path: str | os.PathLike, *, size: int | None = None) -> Tokenizer:
    """Reads the tokenizer of a checkpoint.

    Args:
        path: of a file, or of a folder with one, such as the one that `load` of
            `jdl.models.pretrained` tells.
        size: V of the model, whose table may have more rows than the tokenizer has tokens; None
            does not look.

    Returns:
        The Tokenizer.

    Raises:
        FileNotFoundError: there is no such file, or none of these in the folder.
        ValueError: the file is no tokenizer, or has ids that the model lacks.
        ImportError: a library of the extra `text` is missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pieces = ["[UNK]", "[CLS]", "[SEP]", "play", "##ing"]
        ...     _ = Path(f"{folder}/vocab.txt").write_text("\\n".join(pieces))
        ...     tokenizer = read_tokenizer(folder)
        >>> tokenizer.encode("Playing")
        [1, 3, 4, 2]
        >>> tokenizer.decode([1, 3, 4, 2])
        'playing'
    """
    file = _file(Path(path).expanduser())
    if file.name.endswith(".model"):
        found = _sentence_pieces(file)
    elif file.name == "vocab.txt":
        found = word_piece_tokenizer(read_word_pieces(file))
    elif file.name == "vocab.json":
        found = byte_pair_tokenizer(read_byte_pairs(file, file.parent / "merges.txt"))
    else:
        found = _library(file)
    if size is not None and max(found.ids.values()) >= size:
        raise ValueError(
            f"{file} has ids up to {max(found.ids.values())}, the model only {size} tokens: "
            "the file is that of another model"
        )
    return found


def byte_pair_tokenizer(pairs: BytePairs) -> Tokenizer:
    """Our byte pairs as a Tokenizer; names of special tokens in a text are those tokens.

    Args:
        pairs: trained or read; with <s> and </s> among its specials they stand around a text.

    Returns:
        The Tokenizer. The name of a token is its bytes as GPT-2 writes them.
    """
    specials = {pairs.ids[name.encode()]: name for name in pairs.specials}
    ids = {specials.get(i) or token_name(x): i for i, x in enumerate(pairs.tokens)}

    def encode(text, add_specials=True):
        found = encode_bytes(pairs, text, parse_specials=True)
        return _framed(found, ids) if add_specials else found

    def decode(found, skip_specials=True):
        return decode_bytes(pairs, _kept(found, specials, skip_specials, len(ids)))

    return Tokenizer(encode, decode, ids, pairs.specials)


def word_piece_tokenizer(vocabulary: Vocabulary, *, lower_case: bool = True) -> Tokenizer:
    """Our WordPiece as a Tokenizer; its decoding gives words with spaces between.

    Args:
        vocabulary: with a token for the unknown; with [CLS] and [SEP] they stand around a text.
        lower_case: whether the model is an uncased one.

    Returns:
        The Tokenizer.
    """
    names = (PAD, UNKNOWN, CLS, SEP, MASK)
    specials = tuple(name for name in names if name in vocabulary.ids)
    numbers = {vocabulary.ids[name] for name in specials}

    def encode(text, add_specials=True):
        pieces = piece_tokens(vocabulary, text, lower_case=lower_case, specials=specials)
        found = ids_of(vocabulary, pieces)
        return _framed(found, vocabulary.ids) if add_specials else found

    def decode(found, skip_specials=True):
        kept = _kept(found, numbers, skip_specials, len(vocabulary.tokens))
        return joined_pieces(vocabulary.tokens[i] for i in kept)

    return Tokenizer(encode, decode, vocabulary.ids, specials)


def _file(path):
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if path.is_dir():
        found = [path / name for name in FILES if (path / name).exists()]
        if not found and not (path / "sentencepiece.bpe.model").exists():
            raise FileNotFoundError(f"{path} has none of {', '.join(FILES)}")
        path = found[0] if found else path / "sentencepiece.bpe.model"
    if path.name == "sentencepiece.bpe.model":
        # XLM-R and its kin moved the ids of this file, each by a number of its own.
        raise ValueError(
            f"the ids of {path.name} are not those of its model; take tokenizer.json of the same "
            "repository"
        )
    return path


def _library(file):
    from tokenizers import Tokenizer as Library

    content = file.read_text(encoding="utf-8")
    try:
        kind = json.loads(content)["model"]["type"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is no tokenizer.json, which has a model: {error!r}") from error
    if kind not in KINDS:
        raise ValueError(f"{file} has a model of type {kind!r}; known are {', '.join(KINDS)}")
    theirs = Library.from_str(content)
    # A file may tell to cut and to fill up, which is for who makes batches to do.
    theirs.no_truncation()
    theirs.no_padding()
    ids = theirs.get_vocab()
    most = max(ids.values()) + 1
    added = theirs.get_added_tokens_decoder()
    specials = tuple(added[i].content for i in sorted(added) if added[i].special)

    def encode(text, add_specials=True):
        return theirs.encode(text, add_special_tokens=add_specials).ids

    def decode(found, skip_specials=True):
        found = _kept(found, (), False, most)
        return theirs.decode(found, skip_special_tokens=skip_specials)

    return Tokenizer(encode, decode, ids, specials)


def _sentence_pieces(file):
    from sentencepiece import SentencePieceProcessor

    try:
        theirs = SentencePieceProcessor(model_file=str(file))
    except RuntimeError as error:
        raise ValueError(f"{file} is no model of SentencePiece: {error}") from error
    names = [theirs.id_to_piece(i) for i in range(len(theirs))]
    ids = {name: i for i, name in enumerate(names)}
    numbers = {i for i in range(len(names)) if theirs.is_control(i) or theirs.is_unknown(i)}
    end = next((end for end in ENDS if all(ids.get(name) in numbers for name in end)), ())

    def encode(text, add_specials=True):
        return theirs.encode(text) + [ids[name] for name in end if add_specials]

    def decode(found, skip_specials=True):
        return theirs.decode(_kept(found, numbers, skip_specials, len(names)))

    return Tokenizer(encode, decode, ids, tuple(names[i] for i in sorted(numbers)))


def _framed(found, ids):
    for before, behind in FRAMES:
        if all(name in ids for name in before + behind):
            return [ids[x] for x in before] + found + [ids[x] for x in behind]
    return found


def _kept(found: Iterable[int], specials, skip, size):
    found = list(found)
    check_ids(found, size)
    return [int(i) for i in found if not (skip and i in specials)]
