"""What sequence models and decoders say of tokens, masks and lengths that they cannot take.

Tokens are known while shapes are traced, so that nothing here is compiled but what is told.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.decoding import beam_search, bound, consume, filled_behind, generate
from jdl.models.convnets.text_cnn import text_cnn
from jdl.models.multimodal.captioner import captioner
from jdl.models.multimodal.clip import clip_text
from jdl.models.recurrent.language_model import recurrent_language_model
from jdl.models.recurrent.rnnsearch import rnnsearch
from jdl.models.recurrent.sequence_to_sequence import sequence_to_sequence
from jdl.models.recurrent.text import next_word_network, recurrent_text_classifier
from jdl.models.transformers.attention_language_model import attention_language_model
from jdl.models.transformers.bert import bert
from jdl.models.transformers.bert_heads import Span, best_span
from jdl.models.transformers.encoder_decoder import encoder_decoder
from jdl.models.transformers.gpt2 import gpt2
from jdl.models.transformers.language_model import language_model
from jdl.models.transformers.masked_language_model import masked_tokens
from jdl.models.transformers.t5 import t5
from jdl.models.transformers.vit import ViTConfig
from jdl.models.transformers.xlnet import xlnet
from jdl.nn.attention_cache import AttentionCache, Past, stopped
from jdl.nn.token_layers import Embed
from jdl.text.byte_pair import encode_bytes, train_byte_pairs
from jdl.text.tokenizer import read_tokenizer
from jdl.text.vocabulary import Vocabulary, decode
from jdl.text.windows import padded

V, KNOWN = 11, np.array([[1, 2, 3], [4, 5, 6]])
IMAGES = np.ones([2, 8, 8, 3], np.float32)
IMAGE = ViTConfig(
    patch_size=4, hidden_dim=8, num_layers=1, num_heads=2, image_size=8, num_classes=None
)
READERS = {
    "recurrent_language_model": recurrent_language_model(V, 4),
    "recurrent_text_classifier": recurrent_text_classifier(V, 2, 4, 4, 1),
    "next_word_network": next_word_network(V, 4, bidirectional_dim=4, hidden_dim=4, dense_dim=4),
    "text_cnn": text_cnn(V, embedding_dim=4, features=3),
    "attention_language_model": attention_language_model(V, 6, 2, 3),
    "language_model": language_model(V, 5, 8, 1, 2),
    "gpt2": gpt2(V, 5, 8, 1, 2),
    "bert": bert(V, 5, 8, 1, 2),
    "xlnet": xlnet(V, 8, 1, 2),
    "clip_text": clip_text(V, 5, 8, 1, 2, embedding_dim=3),
}
WRITERS = {
    "sequence_to_sequence": sequence_to_sequence(V, V, 4, 4, 1),
    "rnnsearch": rnnsearch(V, V, 4, 4, alignment_dim=3, maxout_dim=3),
    "encoder_decoder": encoder_decoder(V, 8, 1, 2, feed_forward_dim=6),
    "t5": t5(V, 8, 1, 2, head_dim=4),
}
CAPTIONER = captioner(V, 5, 8, 1, 2, encoder=IMAGE)
MISTAKES = {
    "token ids are 0 to 10, of a vocabulary of 11; got 1 to 11": [[1, 2, V], [4, 5, 6]],
    "token ids are 0 to 10, of a vocabulary of 11; got -1 to 6": [[1, 2, -1], [4, 5, 6]],
    "tokens are integers .*float": [[1.0, 2.0, 3.0]] * 2,
    "tokens are integers .*bool": [[True, True, False]] * 2,
    r"tokens are integers \[B, T\], one at least.*\[3\]": [1, 2, 3],
    r"tokens are integers \[B, T\], one at least.*\[2, 0\]": np.zeros([2, 0], int),
}


def step(carry, tokens):
    return jax.nn.one_hot(tokens, V), carry


def read(model, *inputs):
    variables = jax.eval_shape(model.init, jax.random.key(0))
    return jax.eval_shape(lambda variables: model.apply(variables, *inputs)[0], variables)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_says_what_is_wrong_with_its_tokens(name):
    model = READERS[name]
    read(model, KNOWN)
    for said, tokens in MISTAKES.items():
        with pytest.raises(ValueError, match=said):
            read(model, np.array(tokens))
    if name in ("language_model", "gpt2", "bert", "clip_text"):
        with pytest.raises(ValueError, match="at most 5 tokens, the context; got 6"):
            read(model, np.ones([2, 6], int))


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_says_what_is_wrong_with_its_tokens(name):
    model = WRITERS[name]
    for said, tokens in MISTAKES.items():
        for inputs in ((np.array(tokens), KNOWN), (KNOWN, np.array(tokens))):
            with pytest.raises(ValueError, match=said):
                read(model, *inputs)
    with pytest.raises(ValueError, match="each source has a target; got 2 sources and 3 targets"):
        read(model, KNOWN, np.ones([3, 3], int))


def test_a_captioner_says_what_is_wrong_with_its_tokens():
    for said, tokens in MISTAKES.items():
        with pytest.raises(ValueError, match=said):
            read(CAPTIONER, IMAGES, np.array(tokens))
    with pytest.raises(ValueError, match="got 2 sources and 3 targets"):
        read(CAPTIONER, IMAGES, np.ones([3, 3], int))


def test_lists_are_to_be_filled_up():
    with pytest.raises(ValueError, match="an array.*got a list.*jdl.text.padded"):
        read(READERS["gpt2"], [[1, 2], [3]])
    with pytest.raises(ValueError, match="several lengths are filled up behind.*padding='post'"):
        generate(step, (), [[1, 2], [3]], length=2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: sequence_to_sequence(V, V, pad_token=V),
        lambda: rnnsearch(V, V, pad_token=V),
        lambda: encoder_decoder(V, pad_token=V),
        lambda: t5(V, pad_token=V),
        lambda: text_cnn(V, pad_id=V),
    ],
)
def test_a_filling_that_no_vocabulary_has_is_refused(make):
    with pytest.raises(ValueError, match=f"={V} is none of the {V} tokens of the vocabulary"):
        make()


def test_a_mask_token_that_no_vocabulary_has_is_refused():
    with pytest.raises(ValueError, match=f"mask_token={V} is none of the {V} tokens"):
        masked_tokens(jax.random.key(0), KNOWN, np.zeros([2, 3], bool), mask_token=V, vocab_size=V)


def test_ids_that_a_table_lacks_are_nan_where_their_values_are_not_known():
    embed = Embed(V, 2, rngs=nnx.Rngs(0))
    rows = jax.jit(embed)(np.array([0, V - 1, -1, -V, V, V + 5]))
    assert np.isfinite(rows[:2]).all() and np.isnan(rows[2:]).all()


def test_a_prompt_that_finds_no_place_is_refused_without_being_told_the_context():
    """GPT-2's logits would be nan, and the words behind them all 0."""
    for name, start in (("gpt2", (2,)), ("encoder_decoder", (KNOWN, 5))):
        model = {**READERS, **WRITERS}[name]
        variables = jax.eval_shape(model.init, jax.random.key(0))

        def write(variables, length, model=model, start=start):
            carry, _ = model.apply(variables, *start, method="start")
            asked = (bound(model, variables), carry, np.ones([2, 3], int))
            return generate(*asked, length=length), beam_search(*asked, width=2, length=length)

        jax.eval_shape(lambda variables, write=write: write(variables, 3), variables)
        with pytest.raises(ValueError, match="read 6 of them, and the carry has 5 places"):
            jax.eval_shape(lambda variables, write=write: write(variables, 4), variables)


def test_a_prompt_of_no_tokens_has_no_logits():
    lengths = jnp.array([0, 2, 4])
    found, _ = jax.jit(lambda n: consume(step, (), jnp.ones([3, 3], int), n))(lengths)
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
    cache = AttentionCache(jnp.zeros([3, 1, 3, 1]), jnp.zeros([3, 1, 3, 1]))
    past = Past((cache,), jnp.zeros(3, int))
    found, _ = stopped(jnp.ones([3, 3, 2]), past, past, lengths)
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all() and np.isnan(found[2]).all()


def test_no_answer_stands_where_all_is_hidden():
    scores = Span(*jnp.ones([2, 2, 3]))
    first, last = best_span(scores, mask=np.array([[False] * 3, [False, True, False]]))
    assert first.tolist() == [-1, 1] and last.tolist() == [-1, 1]


def test_texts_and_ids_that_are_none_are_told(tmp_path):
    words = Vocabulary.of(["a", "b", "c"])
    with pytest.raises(ValueError, match="ids are integers; got float64"):
        decode(words, [1.5])
    with pytest.raises(ValueError, match=r"one text are \[T\]; got \[1, 2\]"):
        decode(words, np.array([[1, 2]]))
    with pytest.raises(ValueError, match="float64 would be cut to int32"):
        padded([[1], [], [1.5]])
    with pytest.raises(ValueError, match="length counts tokens; got -1"):
        padded([[1]], -1)
    with pytest.raises(ValueError, match="a text is a str; got bytes"):
        encode_bytes(train_byte_pairs([], 256, specials=[]), b"text")
    (tmp_path / "merges.txt").write_text("#version: 0.2\ni n</w>\n")
    for content, said in {
        "junk": "no JSON object",
        "[1]": "no JSON object",
        '{"in</w>": 0}': "take their tokenizer.json",
    }.items():
        (tmp_path / "vocab.json").write_text(content)
        with pytest.raises(ValueError, match=said):
            read_tokenizer(tmp_path)


def test_lengths_are_integers():
    with pytest.raises(ValueError, match="one length, an integer; got float32"):
        generate(step, (), KNOWN, length=2, lengths=jnp.ones(2))


def test_masks_of_numbers_are_those_of_truth():
    """Other libraries' are integers, some floats."""
    mask = np.array([[1, 1, 0], [0, 1, 1]])
    expected = filled_behind(KNOWN, mask.astype(bool))
    for kind in (int, np.float32):
        for found, wanted in zip(filled_behind(KNOWN, mask.astype(kind)), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        for name in ("bert", "xlnet"):
            read(READERS[name], KNOWN, None, mask.astype(kind))
