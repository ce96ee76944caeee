"""Sentence-BERT: its poolings, its objectives against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.transformers.bert import bert
from jdl.models.transformers.sentence_bert import (
    Texts,
    pair_classification,
    pair_classifier,
    pair_regression,
    pooled,
    sentence_encoder,
    triplets,
)
from tests.conformance.case import quick

BERT = bert(9, 5, 4, 1, 2, pooler=False, dropout_rate=0.0)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
TOKENS = np.random.default_rng(0).integers(0, 9, [3, 2, 5]).astype(np.int32)
KEY = jax.random.key(0)


def test_poolings_see_no_padding_and_nothing_of_nothing():
    features = np.random.default_rng(1).normal(size=[2, 5, 3]).astype(np.float32)
    for name, oracle in (("mean", np.mean), ("max", np.max), ("first", lambda x, axis: x[0])):
        expected = [oracle(x[seen], axis=0) for x, seen in zip(features, MASK, strict=True)]
        np.testing.assert_allclose(pooled(features, MASK, name), expected, rtol=1e-6)
    for name in ("mean", "max"):
        assert not np.any(pooled(features, np.zeros_like(MASK), name))
        np.testing.assert_allclose(pooled(features, None, name)[0], pooled(features, MASK, name)[0])
    with pytest.raises(ValueError, match="pooling is one of"):
        sentence_encoder(BERT, "median")


def test_the_objectives_are_their_formulas():
    encoder = sentence_encoder(BERT)
    classifier = pair_classifier(encoder, 4)
    labels, scores = np.array([2, 0]), np.array([0.5, -1.0], np.float32)
    texts = [Texts(tokens, MASK) for tokens in TOKENS]

    @quick
    def program(key):
        variables = classifier.init(key)
        own = variables._replace(params=variables.params["encoder"])
        found = [encoder.apply(own, tokens, None, MASK)[0] for tokens in TOKENS]
        losses = (
            pair_classification(classifier)(*variables, (*texts[:2], labels), KEY)[0],
            pair_regression(encoder)(*own, (*texts[:2], scores), KEY)[0],
            triplets(encoder)(*own, texts, KEY)[0],
        )
        return found, variables.params["head"], losses

    (u, v, w), head, losses = jax.tree.map(np.asarray, program(KEY))
    logits = np.concatenate([u, v, np.abs(u - v)], axis=1) @ head
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cosines = (u * v).sum(1) / np.sqrt((u**2).sum(1) * (v**2).sum(1))
    near, far = (np.linalg.norm(u - x, axis=1) for x in (v, w))
    expected = (
        -np.log(chances[np.arange(2), labels]).mean(),
        ((cosines - scores) ** 2).mean(),
        np.maximum(0, near - far + 1).mean(),
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_embeddings_have_length_one_if_asked_and_padding_does_not_count():
    model = sentence_encoder(BERT, unit_length=True)
    run = quick(lambda variables, tokens: model.apply(variables, tokens, None, MASK)[0])
    variables = quick(model.init)(KEY)
    found = run(variables, TOKENS[0])
    np.testing.assert_allclose(jnp.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    other = run(variables, np.where(MASK, TOKENS[0], TOKENS[1]))
    np.testing.assert_allclose(other, found, rtol=1e-5, atol=1e-6)
