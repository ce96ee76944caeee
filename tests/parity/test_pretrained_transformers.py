"""Text models of transformers, saved to safetensors, read here: the same outputs.

Fresh weights hide mistakes, so theirs are drawn anew: standard deviation 0.1, scales of norms about
1. All is computed in double precision, where a wrong GELU, epsilon or name is seen.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.pretrained import export, load_variables
from jdl.models.pretrained.maps.bert import BERT_HF, DISTILBERT_HF, ROBERTA_HF
from jdl.models.pretrained.maps.gpt import GPT2_HF, GPT_HF
from jdl.models.pretrained.maps.t5 import T5_HF
from jdl.models.pretrained.maps.xlnet import XLNET_HF
from jdl.models.transformers import bert_heads
from jdl.models.transformers.bert import bert
from jdl.models.transformers.gpt2 import gpt2
from jdl.models.transformers.t5 import t5
from jdl.models.transformers.xlnet import xlnet

pytestmark = pytest.mark.parity
# JAX's attention takes its softmax in single precision: rounding is 1e-8.
TOLERANCE, SEEN = 1e-7, 3e-6
SIZE = {"vocab_size": 17, "context": 10, "hidden_dim": 12, "num_layers": 2, "num_heads": 3}
THEIRS = {
    "vocab_size": 17,
    "max_position_embeddings": 10,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
}
MASK = np.array([[1] * 7, [1, 1, 1, 1, 1, 0, 0]], bool)
TOKENS = np.where(MASK, np.random.default_rng(0).integers(2, 17, size=[2, 7]), 1)
SEGMENTS = np.array([[0, 0, 0, 1, 1, 1, 1]] * 2)
TANH_GELU = partial(jax.nn.gelu, approximate=True)


def saved(oracle, folder, architecture, kind, **config):
    """A network of random weights, in evaluation, and saved."""
    torch, transformers = oracle("torch"), oracle("transformers")
    config = getattr(transformers, f"{architecture}Config")(**config)
    torch.manual_seed(0)
    network = getattr(transformers, kind)(config).double().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.normal_(0.0, 0.1)
            if "norm" in name.lower() or ".ln_" in name:
                parameter.add_(1.0 if name.endswith("weight") else 0.0)
    network.save_pretrained(folder)
    return network


def theirs_of(oracle, network, **inputs):
    torch = oracle("torch")
    with torch.no_grad():
        return network(**{name: torch.tensor(x) for name, x in inputs.items()})


def error(make, folder, key_map, inputs, expected, mask=MASK, **options):
    """The largest difference, relative to the largest output."""
    with jax.enable_x64(True):
        model = make(param_dtype=jnp.float64)
        variables = load_variables(model, folder, key_map)
        found = jax.tree.leaves(model.apply(variables, *inputs, **options)[0])
    assert len(found) == len(expected)
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = np.asarray(ours), theirs.numpy()
        assert ours.shape == theirs.shape
        if theirs.shape[:2] == mask.shape:  # what stands at padding is nobody's concern
            ours, theirs = ours[mask], theirs[mask]
        worst = max(worst, np.abs(ours - theirs).max() / np.abs(theirs).max())
    return float(worst)


def exchanged(key_map, one, other):
    """The map with two modules mistaken for each other."""
    names = {one: other, other: one}

    def renamed(ours):
        first, _, last = ours.rpartition(".")
        return f"{first}.{names.get(last, last)}" if first else ours

    rows = tuple((row[0], renamed(row[1]), *row[2:]) for row in key_map.rows)
    return key_map._replace(rows=rows)


def bert_inputs(segments=SEGMENTS):
    given = {"input_ids": TOKENS, "attention_mask": MASK.astype(int)}
    return given if segments is None else {**given, "token_type_ids": segments}


BERT = partial(bert, **SIZE, feed_forward_dim=20)


@pytest.mark.parametrize(
    ("kind", "head", "names"),
    [
        ("BertModel", None, ["last_hidden_state", "pooler_output"]),
        (
            "BertForPreTraining",
            bert_heads.pretraining(),
            ["prediction_logits", "seq_relationship_logits"],
        ),
        ("BertForMaskedLM", bert_heads.masked_words(), ["logits"]),
        ("BertForSequenceClassification", bert_heads.classifier(5), ["logits"]),
        ("BertForQuestionAnswering", bert_heads.span(), ["start_logits", "end_logits"]),
        ("BertForTokenClassification", bert_heads.tagger(5), ["logits"]),
    ],
)
def test_bert(oracle, tmp_path, kind, head, names):
    labels = {} if head is None or "start_logits" in names else {"num_labels": 5}
    network = saved(oracle, tmp_path, "Bert", kind, **THEIRS, **labels)
    found = theirs_of(oracle, network, **bert_inputs())
    expected = [found[name] for name in names]
    check = partial(
        error,
        folder=tmp_path,
        key_map=BERT_HF,
        inputs=(TOKENS, SEGMENTS, MASK),
        expected=expected,
    )
    assert check(partial(BERT, head=head)) < TOLERANCE
    if kind == "BertModel":
        for wrong in ({"activation": TANH_GELU}, {"epsilon": 1e-5}, {"pad_token": 0, "context": 9}):
            assert check(partial(BERT, **wrong)) > SEEN, wrong
        assert check(BERT, key_map=exchanged(BERT_HF, "query", "key")) > SEEN


def test_multiple_choice_of_bert(oracle, tmp_path):
    network = saved(oracle, tmp_path, "Bert", "BertForMultipleChoice", **THEIRS)
    inputs = {name: x[:, None].repeat(3, 1) for name, x in bert_inputs().items()}
    inputs["input_ids"] = (inputs["input_ids"] + np.arange(3)[None, :, None]) % 17
    expected = [theirs_of(oracle, network, **inputs).logits]
    ours = (inputs["input_ids"], inputs["token_type_ids"], inputs["attention_mask"] > 0)
    make = partial(BERT, head=bert_heads.multiple_choice())
    assert error(make, tmp_path, BERT_HF, ours, expected) < TOLERANCE


@pytest.mark.parametrize(
    ("kind", "head", "names"),
    [
        ("RobertaModel", None, ["last_hidden_state", "pooler_output"]),
        ("RobertaForMaskedLM", bert_heads.masked_words(), ["logits"]),
        ("RobertaForSequenceClassification", bert_heads.first_token(5), ["logits"]),
    ],
)
def test_roberta(oracle, tmp_path, kind, head, names):
    config = {**THEIRS, "max_position_embeddings": 12, "type_vocab_size": 1, "num_labels": 5}
    config["layer_norm_eps"] = 1e-5
    network = saved(oracle, tmp_path, "Roberta", kind, **config)
    found = theirs_of(oracle, network, **bert_inputs(None))
    expected = [found[name] for name in names]
    make = partial(BERT, num_segments=1, pad_token=1, epsilon=1e-5, head=head)
    inputs = (TOKENS, None, MASK)
    assert error(make, tmp_path, ROBERTA_HF, inputs, expected) < TOLERANCE
    wrong = partial(make, epsilon=1e-12)
    assert error(wrong, tmp_path, ROBERTA_HF, inputs, expected) > SEEN


@pytest.mark.parametrize(
    ("kind", "head", "names"),
    [
        ("DistilBertModel", None, ["last_hidden_state"]),
        ("DistilBertForMaskedLM", bert_heads.masked_words(), ["logits"]),
        (
            "DistilBertForSequenceClassification",
            bert_heads.first_token(5, jax.nn.relu),
            ["logits"],
        ),
    ],
)
def test_distilbert(oracle, tmp_path, kind, head, names):
    config = {"vocab_size": 17, "max_position_embeddings": 10, "dim": 12, "hidden_dim": 20}
    config |= {"n_layers": 2, "n_heads": 3, "num_labels": 5}
    network = saved(oracle, tmp_path, "DistilBert", kind, **config)
    found = theirs_of(oracle, network, **bert_inputs(None))
    expected = [found[name] for name in names]
    make = partial(BERT, num_segments=0, pooler=False, head=head)
    inputs = (TOKENS, None, MASK)
    assert error(make, tmp_path, DISTILBERT_HF, inputs, expected) < TOLERANCE


@pytest.mark.parametrize("kind", ["LMHeadModel", "Model"])
@pytest.mark.parametrize("name", ["GPT2", "OpenAIGPT"])
def test_gpt(oracle, tmp_path, name, kind):
    config = {"vocab_size": 17, "n_positions": 10, "n_embd": 12, "n_layer": 2, "n_head": 3}
    network = saved(oracle, tmp_path, name, name + kind, **config)
    found = theirs_of(oracle, network, input_ids=TOKENS)
    if kind == "Model":  # a body without the head, whose keys have no prefix
        expected = [found.last_hidden_state @ next(network.parameters()).detach().T]
    else:
        expected = [found.logits]
    first = name == "OpenAIGPT"
    make = partial(gpt2, **SIZE, norm_placement="post" if first else "pre")
    key_map = GPT_HF if first else GPT2_HF
    check = partial(error, folder=tmp_path, key_map=key_map, inputs=(TOKENS,), expected=expected)
    check = partial(check, mask=np.ones_like(MASK))
    assert check(make) < TOLERANCE
    assert check(make, key_map=exchanged(key_map, "attention_norm", "mlp_norm")) > SEEN


def test_t5(oracle, tmp_path):
    config = {"vocab_size": 17, "d_model": 12, "d_kv": 5, "d_ff": 20, "num_layers": 2}
    config |= {"num_heads": 3, "relative_attention_num_buckets": 8}
    config |= {"relative_attention_max_distance": 6, "decoder_start_token_id": 0}
    network = saved(oracle, tmp_path, "T5", "T5ForConditionalGeneration", **config)
    source, target = np.where(MASK, TOKENS, 0), TOKENS[:, ::-1].copy()
    inputs = {"input_ids": source, "attention_mask": MASK.astype(int), "decoder_input_ids": target}
    expected = [theirs_of(oracle, network, **inputs).logits]
    make = partial(t5, 17, 12, 2, 3, head_dim=5, feed_forward_dim=20, num_buckets=8)
    make = partial(make, longest_distance=6)
    check = partial(
        error,
        folder=tmp_path,
        key_map=T5_HF,
        inputs=(source, target),
        expected=expected,
        mask=np.ones_like(MASK),
    )
    assert check(make) < 10 * TOLERANCE  # their norms are in single precision too
    for wrong in ({"epsilon": 1e-4}, {"longest_distance": 12}, {"pad_token": 3}):
        assert check(partial(make, **wrong)) > SEEN, wrong
    assert check(make, key_map=exchanged(T5_HF, "attention_norm", "feed_forward_norm")) > SEEN


def test_xlnet(oracle, tmp_path):
    config = {"vocab_size": 17, "d_model": 12, "n_layer": 2, "n_head": 3, "d_inner": 20}
    network = saved(oracle, tmp_path, "XLNet", "XLNetLMHeadModel", **config)
    torch, waves = oracle("torch"), network.transformer.relative_positional_encoding
    network.transformer.relative_positional_encoding = lambda *args, **options: waves(
        *args, **options
    ).double()  # which they have in single precision alone
    order = np.array([[3, 1, 0, 6, 2, 5, 4], [2, 0, 4, 1, 3, 5, 6]])
    hidden = torch.tensor(order[:, None, :] >= order[:, :, None]).double()
    given = {"input_ids": TOKENS, "token_type_ids": SEGMENTS}
    padding = torch.tensor(MASK).double()
    every = torch.eye(7).double().repeat(2, 1, 1)
    inputs = {name: torch.tensor(x) for name, x in given.items()} | {"attention_mask": padding}
    with torch.no_grad():
        found = network(**inputs, perm_mask=hidden, target_mapping=every, use_mems=False).logits
        sequence = network.transformer(**inputs, use_mems=False).last_hidden_state
    make = partial(xlnet, 17, 12, 2, 3, feed_forward_dim=20)
    check = partial(error, folder=tmp_path, key_map=XLNET_HF)
    inputs = (TOKENS, SEGMENTS, MASK)
    whole = partial(check, inputs=inputs, expected=[sequence])
    assert whole(make) < 10 * TOLERANCE
    assert whole(partial(make, epsilon=1e-5)) > SEEN
    permuted = (TOKENS, order, SEGMENTS, MASK)
    told = MASK & (order > 0)  # the first of an order sees nothing here, and all there
    assert check(make, inputs=permuted, expected=[found], mask=told, method="permuted") < 1e-6
    other = (TOKENS, order[:, ::-1], SEGMENTS, MASK)
    assert check(make, inputs=other, expected=[found], mask=told, method="permuted") > SEEN


def test_memory_of_xlnet(oracle, tmp_path):
    """Three segments, whose memory of five places is filled and then overflows."""
    config = {"vocab_size": 17, "d_model": 12, "n_layer": 2, "n_head": 3, "d_inner": 20}
    config |= {"mem_len": 5, "reuse_len": 4}
    network = saved(oracle, tmp_path, "XLNet", "XLNetLMHeadModel", **config).transformer
    torch, waves = oracle("torch"), network.relative_positional_encoding
    network.relative_positional_encoding = lambda *args, **options: waves(*args, **options).double()
    segments, kinds, mems = (TOKENS, TOKENS[:, ::-1], 16 - TOKENS), 1 - SEGMENTS, None
    expected = []
    with torch.no_grad():
        for tokens in segments:
            given = {
                "input_ids": torch.tensor(tokens.copy()),
                "token_type_ids": torch.tensor(kinds),
            }
            found = network(**given, mems=mems, use_mems=True)
            mems = found.mems
            expected.append(found.last_hidden_state.numpy())

    def worst(**options):
        with jax.enable_x64(True):
            make = partial(xlnet, 17, 12, 2, 3, feed_forward_dim=20, param_dtype=jnp.float64)
            model = make(**{"reuse_length": 4, **options})
            variables = load_variables(model, tmp_path, XLNET_HF)
            memory, found = model.apply(variables, 2, 5, method="start")[0], []
            for tokens in segments:
                (content, memory), _ = model.apply(variables, tokens, kinds, memory=memory)
                found.append(np.asarray(content))
        streams = zip(memory.streams, mems, strict=True)
        pairs = [*zip(found, expected, strict=True), *((x, y.transpose(0, 1)) for x, y in streams)]
        return max(np.abs(np.asarray(x) - np.asarray(y)).max() for x, y in pairs)

    assert worst() < 10 * TOLERANCE
    assert worst(reuse_length=None) > SEEN


def test_what_is_exported_is_read_by_transformers(oracle, tmp_path):
    transformers = oracle("transformers")
    network = saved(oracle, tmp_path, "Bert", "BertForPreTraining", **THEIRS)
    model = BERT(head=bert_heads.pretraining())
    variables = model.init(jax.random.key(0))
    export(variables, BERT_HF, tmp_path / "model.safetensors")
    network = transformers.BertForPreTraining.from_pretrained(tmp_path).eval()
    found = theirs_of(oracle, network.double(), **bert_inputs())
    expected, _ = model.apply(variables, TOKENS, SEGMENTS, MASK)
    words = found.prediction_logits.numpy()
    np.testing.assert_allclose(words[MASK], np.asarray(expected.words)[MASK], rtol=1e-4, atol=1e-5)
