"""BERT, RoBERTa and DistilBERT against published counts; padding, segments, positions, heads."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.transformers.bert import SIZES, BertOutput, bert
from jdl.models.transformers.bert_heads import (
    Span,
    best_span,
    classifier,
    first_token,
    masked_words,
    multiple_choice,
    pretraining,
    span,
    span_extraction,
    tagger,
)
from tests.conformance.case import quick

SMALL = {"vocab_size": 13, "context": 8, "hidden_dim": 8, "num_layers": 1, "num_heads": 2}


def count(name, **options):
    params = jax.eval_shape(SIZES[name](**options).init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


@functools.cache
def count_of_a_block(name):
    return count(name, num_layers=1) - count(name, num_layers=0)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("bert-base-uncased", {}, 109_482_240),
        ("bert-base-uncased", {"pooler": False}, 108_891_648),
        ("bert-base-uncased", {"head": pretraining()}, 110_106_428),
        ("bert-base-uncased", {"head": masked_words()}, 109_514_298),
        ("bert-base-uncased", {"head": classifier(2)}, 109_483_778),
        ("bert-base-uncased", {"head": classifier(8)}, 109_488_392),
        ("bert-base-uncased", {"head": span()}, 108_893_186),
        ("bert-base-uncased", {"head": tagger(9)}, 108_898_569),
        ("bert-base-uncased", {"head": multiple_choice()}, 109_483_009),
        ("bert-base-cased", {}, 108_310_272),
        ("bert-large-uncased", {}, 335_141_888),
        ("bert-large-uncased", {"pooler": False}, 334_092_288),
        ("bert-large-uncased", {"head": pretraining()}, 336_226_108),
        ("bert-large-uncased", {"head": masked_words()}, 335_174_458),
        ("bert-large-uncased", {"head": classifier(2)}, 335_143_938),
        ("roberta-base", {}, 124_645_632),
        ("distilbert-base-uncased", {}, 66_362_880),
    ],
)
def test_params_equal_the_published_count(name, options, expected):
    # All blocks are alike: tracing 24 of them would take seconds.
    depth = {"bert-large-uncased": 24, "distilbert-base-uncased": 6}.get(name, 12)
    assert count(name, **options, num_layers=0) + depth * count_of_a_block(name) == expected
    assert SIZES[name] is bert or SIZES[name].keywords.get("num_layers", 12) == depth


@pytest.fixture(scope="module")
def model():
    return bert(**SMALL, dropout_rate=0.0)


@pytest.fixture(scope="module")
def variables(model):
    """Weights far larger than the initial ones, so that no part can hide."""
    random = np.random.default_rng(0)
    like = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), like)


@pytest.fixture(scope="module")
def outputs_of(model):
    return quick(lambda variables, *inputs: model.apply(variables, *inputs)[0])


TOKENS = np.random.default_rng(1).integers(0, 13, size=[2, 6]).astype(np.int32)
SEGMENTS = np.array([[0, 0, 0, 1, 1, 1]] * 2, np.int32)


def test_forward_pass_equals_numpy(variables, outputs_of):
    mask = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], bool)
    found = outputs_of(variables, TOKENS, SEGMENTS, mask)
    expected = numpy_bert(variables.params, TOKENS, SEGMENTS, mask)
    np.testing.assert_allclose(found.sequence, expected.sequence, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.pooled, expected.pooled, rtol=1e-4, atol=1e-5)
    # What is hidden changes nothing elsewhere.
    other = outputs_of(variables, np.where(mask, TOKENS, (TOKENS + 1) % 13), SEGMENTS, mask)
    np.testing.assert_array_equal(other.sequence[mask], found.sequence[mask])
    # Later tokens change earlier ones, unlike in GPT.
    later = outputs_of(variables, np.where(np.arange(6)[None] == 3, 0, TOKENS), SEGMENTS, mask)
    assert np.abs(later.sequence[:, 0] - found.sequence[:, 0]).min() > 1e-5
    nothing = outputs_of(variables, TOKENS, SEGMENTS, np.zeros_like(mask))
    assert np.isfinite(nothing.sequence).all()


def numpy_bert(p, tokens, segments, mask):
    from scipy.special import erf, softmax

    def dense(p, x):
        return x @ p["kernel"] + p["bias"]

    def norm(p, x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12) * p["scale"] + p["bias"]

    def heads(x):
        return x.reshape(*x.shape[:2], 2, -1).transpose(0, 2, 1, 3)

    x = p["tokens"]["embedding"][tokens] + p["segments"]["embedding"][segments]
    x = norm(p["norm"], x + p["positions"]["embedding"][: tokens.shape[1]])
    for block in p["blocks"].values():
        a = block["attention"]
        q, k, v = (heads(dense(a[name], x)) for name in ("query", "key", "value"))
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
        summed = softmax(np.where(mask[:, None, None], scores, -np.inf), -1) @ v
        x = x + dense(a["project"], summed.transpose(0, 2, 1, 3).reshape(x.shape))
        x = norm(block["attention_norm"], x)
        hidden = dense(block["feed_forward"]["expand"], x)
        hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
        x = norm(block["feed_forward_norm"], x + dense(block["feed_forward"]["project"], hidden))
    return BertOutput(x, np.tanh(dense(p["pooler"], x[:, 0])))


def test_positions_of_roberta_count_tokens_from_two():
    model = bert(**SMALL, num_segments=1, pad_token=1, dropout_rate=0.0)
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    assert params["positions"]["embedding"].shape == (2 + 8, 8)
    tokens = np.array([[0, 5, 1, 7, 1]], np.int32)

    def moved(params):
        outputs, _ = model.apply(Variables(params), tokens, None, tokens != 1)
        return jnp.sum(outputs.sequence**3)

    random = np.random.default_rng(0)
    params = jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), params)
    gradient = quick(jax.grad(moved))(params)["positions"]["embedding"]
    assert [i for i in range(10) if np.abs(gradient[i]).max() > 0] == [1, 2, 3, 4]


def test_shapes_of_the_heads_are_those_of_their_tasks():
    text, choices = jnp.ones([3, 5], int), jnp.ones([3, 4, 5], int)
    for head, tokens, shapes in [
        (masked_words(), text, [(3, 5, 13)]),
        (pretraining(), text, [(3, 5, 13), (3, 2)]),
        (classifier(8), text, [(3, 8)]),
        (multiple_choice(), choices, [(3, 4)]),
        (span(), text, [(3, 5), (3, 5)]),
        (tagger(9), text, [(3, 5, 9)]),
        (first_token(4), text, [(3, 4)]),
        (masked_words(), choices, [(3, 4, 5, 13)]),
    ]:
        model = bert(**SMALL, head=head, dtype=jnp.bfloat16)
        variables = jax.eval_shape(model.init, jax.random.key(0))
        outputs = jax.tree.leaves(jax.eval_shape(model.apply, variables, tokens, tokens * 0)[0])
        assert [x.shape for x in outputs] == shapes
        assert all(x.dtype == jnp.bfloat16 for x in outputs)


def test_a_span_that_ends_before_it_starts_is_none():
    random = np.random.default_rng(0)
    start, end = random.normal(size=[2, 20, 6])
    for longest in (None, 2):
        first, last = best_span(Span(jnp.asarray(start), jnp.asarray(end)), longest=longest)
        for b in range(20):
            pairs = [(i, j) for i in range(6) for j in range(i, min(6, i + (longest or 6)))]
            best = max(pairs, key=lambda pair: start[b, pair[0]] + end[b, pair[1]])
            assert best == (first[b], last[b])


def test_the_objective_of_spans_adds_two_log_likelihoods():
    logits = Span(*np.random.default_rng(0).normal(size=[2, 3, 5]).astype(np.float32))
    model = bert(**SMALL)._replace(apply=lambda variables, *inputs, **options: (logits, ()))
    batch = ((), np.array([0, 1, 2]), np.array([1, 2, 4]))
    loss, _ = span_extraction(model)({}, (), batch, None)
    expected = 0
    for x, places in zip(logits, batch[1:], strict=True):
        expected -= np.log(np.exp(x) / np.exp(x).sum(1, keepdims=True))[range(3), places].mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_bad_input_is_told(model):
    variables = jax.eval_shape(model.init, jax.random.key(0))

    def outputs(*inputs, model=model, variables=variables):
        return jax.eval_shape(lambda v: model.apply(v, *inputs), variables)

    for inputs, said in [
        ((np.full([2, 3], 13),), "token ids are 0 to 12"),
        ((np.ones([2, 9], int),), "at most 8 tokens"),
        ((np.ones([2, 3], int), np.ones([2, 4], int)), "segments are for each token"),
        ((np.ones([2, 3], int), np.full([2, 3], 2)), "ids are 0 to 1"),
        ((np.ones([2, 3], int), None, np.ones([3], bool)), "mask are for each token"),
    ]:
        with pytest.raises(ValueError, match=said):
            outputs(*inputs)
    with pytest.raises(ValueError, match="pooled feature"):
        bert(**SMALL, pooler=False, head=classifier(2))
    bare = bert(**SMALL, num_segments=0)
    like = jax.eval_shape(bare.init, jax.random.key(0))
    with pytest.raises(ValueError, match="no segments"):
        outputs(TOKENS, SEGMENTS, model=bare, variables=like)
    choice = bert(**SMALL, head=multiple_choice())
    like = jax.eval_shape(choice.init, jax.random.key(0))
    with pytest.raises(ValueError, match="a sequence for each of C choices"):
        outputs(TOKENS, model=choice, variables=like)
