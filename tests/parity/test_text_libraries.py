"""Sub-words, padding, and scores of texts against the libraries that are known for them."""

import random

import numpy as np
import pytest

from jdl.data.texts import python_documentation, zen_of_python
from jdl.metrics.text import bleu, rouge_l, rouge_n, sentence_bleu
from jdl.text.byte_pair import (
    category_runs,
    decode_bytes,
    encode_bytes,
    read_byte_pairs,
    train_byte_pairs,
)
from jdl.text.vocabulary import encode
from jdl.text.windows import padded
from jdl.text.word_piece import piece_tokens, read_word_pieces

pytestmark = pytest.mark.parity
ALPHABETS = ["abc\u00e9'1", "st red'vlm!? 12\n", "\u4e00\u0431 aA.\u00df\u0301\U0001f600"]


def made(seed, alphabet, length):
    random_ = random.Random(seed)
    return "".join(random_.choice(alphabet + "  ") for _ in range(length))


def words(seed, count):
    return random.Random(seed).choices("a b c d e".split(), k=count)


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_byte_pairs_train_and_encode_as_tokenizers(oracle, tmp_path, alphabet):
    theirs = oracle("tokenizers").ByteLevelBPETokenizer()
    texts = [made(seed, alphabet, 400) for seed in range(4)]
    options = {"min_frequency": 2, "show_progress": False, "special_tokens": []}
    theirs.train_from_iterator(texts, vocab_size=380, **options)
    theirs.save_model(str(tmp_path))
    read = read_byte_pairs(tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert train_byte_pairs(texts, 380, specials=[]) == read
    for seed in range(10, 30):
        text = made(seed, alphabet, 60)
        ids = encode_bytes(read, text)
        assert ids == theirs.encode(text).ids
        assert decode_bytes(read, ids) == theirs.decode(ids) == text


def test_byte_pairs_of_real_text_are_those_of_tokenizers(oracle, tmp_path):
    texts = python_documentation(["argparse", "datetime", "textwrap"]).texts
    theirs = oracle("tokenizers").ByteLevelBPETokenizer()
    options = {"min_frequency": 2, "show_progress": False, "special_tokens": []}
    theirs.train_from_iterator(texts, vocab_size=1500, **options)
    theirs.save_model(str(tmp_path))
    read = read_byte_pairs(tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert len(read.tokens) == 1500 and train_byte_pairs(texts, 1500, specials=[]) == read
    unseen = zen_of_python()
    assert encode_bytes(read, unseen) == theirs.encode(unseen).ids


def test_runs_are_those_of_gpt2s_pattern(oracle):
    pattern = oracle("regex").compile(
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    )
    for seed in range(200):
        for alphabet in (*ALPHABETS, "\u00a0\u2028\x1c\x85\u00bd\u2167\u4e00_\u02b0\u0300'ld \t"):
            text = made(seed, alphabet, 30)
            assert category_runs(text) == pattern.findall(text)


@pytest.mark.parametrize("lower_case", [True, False])
def test_word_pieces_are_those_of_tokenizers(oracle, tmp_path, lower_case):
    theirs = oracle("tokenizers").BertWordPieceTokenizer(lowercase=lower_case)
    texts = [made(seed, alphabet, 300) for seed in range(3) for alphabet in ALPHABETS]
    theirs.train_from_iterator(texts, vocab_size=60, min_frequency=1, show_progress=False)
    theirs.save_model(str(tmp_path))
    ours = read_word_pieces(tmp_path / "vocab.txt")
    for seed in range(20, 40):
        for alphabet in (*ALPHABETS, "aB\u00e9\u0130$\u200b\u00ad\t[]q"):
            text = made(seed, alphabet, 60)
            tokens = piece_tokens(ours, text, lower_case=lower_case)
            expected = theirs.encode(text, add_special_tokens=False)
            assert tokens == expected.tokens and encode(ours, tokens) == expected.ids


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("length", [None, 1, 4])
def test_padding_is_kerass(oracle, monkeypatch, padding, truncating, length):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = oracle("keras")
    sequences = [[1], [2, 3, 4, 5, 6], [], [7, 8]]
    sides = {"padding": padding, "truncating": truncating, "value": 9}
    expected = keras.utils.pad_sequences(sequences, maxlen=length, **sides)
    np.testing.assert_array_equal(padded(sequences, length, **sides), expected)


@pytest.mark.parametrize("smoothing", ["none", "floor", "add-k", "exp"])
def test_bleu_is_sacrebleus(oracle, smoothing):
    theirs = oracle("sacrebleu").BLEU
    options = {"smooth_method": smoothing, "tokenize": "none", "force": True}
    for seed in range(20):
        lengths = random.Random(seed).choices(range(1, 9), k=6)
        candidates = [words(seed + i, n) for i, n in enumerate(lengths)]
        references = [[words(seed + 9 * i, n + 1), words(seed - i, n)] for i, n in
                      enumerate(lengths)]  # fmt: skip
        streams = [[" ".join(texts[j]) for texts in references] for j in range(2)]
        expected = theirs(**options).corpus_score([" ".join(c) for c in candidates], streams)
        found = bleu(candidates, references, smoothing=smoothing)
        assert 100 * found.score == pytest.approx(expected.score, abs=1e-9)
        np.testing.assert_allclose(100 * np.array(found.precisions), expected.precisions)
        assert (found.candidate_length, found.reference_length) == (
            expected.sys_len,
            expected.ref_len,
        )
        one = theirs(effective_order=True, **options)
        for candidate, texts in zip(candidates, references, strict=True):
            expected = one.sentence_score(" ".join(candidate), [" ".join(t) for t in texts])
            found = sentence_bleu(candidate, texts, smoothing=smoothing)
            assert 100 * found.score == pytest.approx(expected.score, abs=1e-9)


def test_rouge_is_rouge_scores(oracle):
    scorer = oracle("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL"])
    for seed in range(50):
        candidate, reference = words(seed, 1 + seed % 7), words(-seed - 1, 1 + seed % 5)
        expected = scorer.score(" ".join(reference), " ".join(candidate))
        found = [rouge_n(candidate, [reference], 1), rouge_n(candidate, [reference], 2)]
        found.append(rouge_l(candidate, [reference]))
        for ours, name in zip(found, ("rouge1", "rouge2", "rougeL"), strict=True):
            theirs = expected[name]
            np.testing.assert_allclose(ours, (theirs.precision, theirs.recall, theirs.fmeasure))


def test_special_tokens_of_a_file_are_found(oracle, tmp_path):
    theirs = oracle("tokenizers").ByteLevelBPETokenizer()
    options = {"show_progress": False, "special_tokens": ["<|endoftext|>"]}
    theirs.train_from_iterator(["low lower lowest"] * 3, vocab_size=265, **options)
    theirs.save_model(str(tmp_path))
    ours = read_byte_pairs(tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert ours.specials == ("<|endoftext|>",) and ours.tokens[0] == b"<|endoftext|>"
    text = "low<|endoftext|>lowest"
    assert encode_bytes(ours, text, parse_specials=True) == theirs.encode(text).ids
