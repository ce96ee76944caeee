"""Tokenizers of files that the test makes, as checkpoints have them."""

import io

import pytest

from jdl.text.byte_pair import END_OF_TEXT, encode_bytes, train_byte_pairs, write_byte_pairs
from jdl.text.tokenizer import byte_pair_tokenizer, read_tokenizer, word_piece_tokenizer
from jdl.text.vocabulary import Vocabulary

tokenizers = pytest.importorskip("tokenizers")
TEXTS = ["the cat sat on the mat", "a dog and a cat", "he likes playing in the house"] * 5
SPECIALS = ["<pad>", "</s>", "<unk>"]


@pytest.fixture(scope="module")
def unigram():
    """Unigram, as T5 has it: the end behind a text."""
    theirs = tokenizers.Tokenizer(tokenizers.models.Unigram())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    theirs.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=40, special_tokens=SPECIALS, unk_token="<unk>", show_progress=False
    )
    theirs.train_from_iterator(TEXTS, trainer)
    theirs.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return theirs


@pytest.fixture
def folder(unigram, tmp_path):
    unigram.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_a_unigram_has_the_ids_of_the_library(unigram, folder):
    for path in (folder, folder / "tokenizer.json", str(folder)):
        ours = read_tokenizer(path, size=unigram.get_vocab_size())
        for text in ("the cat likes a mouse", "", "zebra", "  in the  house"):
            assert ours.encode(text) == unigram.encode(text).ids
            whole = ours.encode(text, add_specials=False)
            assert [*whole, 1] == ours.encode(text)
        assert ours.decode(ours.encode("the cat sat")) == "the cat sat"
        assert ours.decode([*whole, 1], skip_specials=False).endswith("</s>")
        assert ours.specials == tuple(SPECIALS) and ours.id_of("</s>") == 1


def test_a_text_is_whole_though_the_file_says_to_cut_it(unigram, tmp_path):
    cut = tokenizers.Tokenizer.from_str(unigram.to_str())
    cut.enable_truncation(3)
    cut.enable_padding(length=9)
    cut.save(str(tmp_path / "tokenizer.json"))
    assert read_tokenizer(tmp_path).encode(TEXTS[0]) == unigram.encode(TEXTS[0]).ids


def test_the_file_of_another_model_is_refused(folder, unigram):
    count = unigram.get_vocab_size()
    with pytest.raises(ValueError, match=f"ids up to {count - 1}, the model only 9 tokens"):
        read_tokenizer(folder, size=9)
    ours = read_tokenizer(folder)
    for ids in ([count], [-1], [0, 10**9]):
        with pytest.raises(ValueError, match=f"ids are 0 to {count - 1}.*another vocabulary"):
            ours.decode(ids)
    with pytest.raises(ValueError, match="no token '<mask>'; its special ones are <pad>, </s>"):
        ours.id_of("<mask>")


def test_what_is_no_tokenizer_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="has none of tokenizer.json, spiece.model"):
        read_tokenizer(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        read_tokenizer(tmp_path / "absent")
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"")
    with pytest.raises(ValueError, match="take tokenizer.json of the same"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="is no tokenizer.json"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Other"}}')
    with pytest.raises(ValueError, match="type 'Other'; known are BPE, Unigram"):
        read_tokenizer(tmp_path)
    pytest.importorskip("sentencepiece")
    (tmp_path / "spiece.model").write_bytes(b"other")
    with pytest.raises(ValueError, match="is no model of SentencePiece"):
        read_tokenizer(tmp_path / "spiece.model")


@pytest.mark.parametrize(
    "controls, end", [([], ["</s>"]), (["<cls>", "<sep>"], ["<sep>", "<cls>"])]
)
def test_sentence_pieces_have_the_ids_of_their_library(tmp_path, controls, end):
    library, model = pytest.importorskip("sentencepiece"), io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=model,
        vocab_size=24 + len(controls),
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        control_symbols=controls,
        minloglevel=2,
    )
    (tmp_path / "spiece.model").write_bytes(model.getvalue())
    ours, theirs = (
        read_tokenizer(tmp_path),
        library.SentencePieceProcessor(model_proto=model.getvalue()),
    )
    ids = ours.encode("the cat sat on a mat")
    assert ids == theirs.encode("the cat sat on a mat") + [theirs.piece_to_id(x) for x in end]
    assert ours.decode(ids) == "the cat sat on a mat"
    assert ours.id_of("<pad>") == 0
    with pytest.raises(ValueError, match="another vocabulary"):
        ours.decode([len(theirs)])


def test_our_byte_pairs_have_the_interface_and_the_ids_of_the_library(tmp_path):
    for specials, around in (([END_OF_TEXT], None), (["<s>", "<pad>", "</s>"], ("<s>", "</s>"))):
        pairs = train_byte_pairs(TEXTS, 290, specials=specials)
        files = tmp_path / "vocab.json", tmp_path / "merges.txt"
        write_byte_pairs(pairs, *files)
        for ours in (read_tokenizer(tmp_path), byte_pair_tokenizer(pairs)):
            text = "the cat \u00e9" + specials[0]
            plain = ours.encode(text, add_specials=False)
            assert plain == encode_bytes(pairs, text, parse_specials=True)
            ids = [] if around is None else [ours.id_of(x) for x in around]
            assert ours.encode(text) == [*ids[:1], *plain, *ids[1:]]
            assert ours.decode(ours.encode(text)) == "the cat \u00e9"
            assert ours.decode(plain, skip_specials=False) == text
            assert ours.ids["\u0120the"] == pairs.ids[b" the"]
            with pytest.raises(ValueError, match="another vocabulary"):
                ours.decode([len(pairs.tokens)])


def test_our_word_pieces_have_the_interface():
    ours = word_piece_tokenizer(
        Vocabulary.of(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing"], unknown="[UNK]")
    )
    assert ours.encode("Playing [SEP] chess") == [2, 4, 5, 3, 1, 3]
    assert ours.encode("playing", add_specials=False) == [4, 5]
    assert ours.decode([2, 4, 5, 3, 0]) == "playing"
    assert ours.decode([2, 4], skip_specials=False) == "[CLS] play"
    with pytest.raises(ValueError, match="no token '<mask>'"):
        ours.id_of("<mask>")
