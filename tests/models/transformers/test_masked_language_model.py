"""The shares of masked tokens, what the loss sees, and pairs of sentences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.core import Model
from jdl.models.transformers.bert import bert
from jdl.models.transformers.bert_heads import PretrainingLogits, masked_words, pretraining
from jdl.models.transformers.masked_language_model import (
    Masked,
    TextPairs,
    masked_cross_entropy,
    masked_language_modelling,
    masked_tokens,
    packed_pair,
    sentence_pairs,
)

MASK = 4


def test_fifteen_in_a_hundred_are_chosen_and_eight_in_ten_of_them_masked():
    tokens = np.random.default_rng(0).integers(5, 1000, size=[400, 500]).astype(np.int32)
    tokens[:, 0] = 1
    found = masked_tokens(
        jax.random.key(0), jnp.asarray(tokens), tokens == 1, mask_token=MASK, vocab_size=1000
    )
    inputs, labels, mask = map(np.asarray, found)
    np.testing.assert_array_equal(labels, tokens)
    np.testing.assert_array_equal(inputs[~mask], tokens[~mask])
    assert not mask[:, 0].any() and inputs.dtype == tokens.dtype
    count, chosen = tokens[:, 1:].size, mask.sum()

    def near(found, share, of):
        """Within four standard deviations of a count."""
        return abs(found - share * of) < 4 * np.sqrt(share * (1 - share) * of)

    assert near(chosen, 0.15, count)
    masked = inputs[mask] == MASK
    same = inputs[mask] == labels[mask]
    assert near(masked.sum(), 0.8001, chosen)
    assert near(same.sum(), 0.1001, chosen)  # a random token is the true one once in 1000
    random = inputs[mask][~masked & ~same]
    assert near((random < 500).sum(), 0.5, len(random))
    # Neighbours are chosen independently of each other.
    assert near((mask[:, 1:-1] & mask[:, 2:]).sum(), 0.15**2, mask[:, 2:].size)


def test_unchosen_places_have_no_gradient():
    random = np.random.default_rng(0)
    logits = random.normal(size=[2, 3, 5]).astype(np.float32)
    labels = random.integers(0, 5, size=[2, 3])
    mask = np.array([[1, 0, 0], [1, 0, 1]], bool)
    masked = Masked(labels, labels, mask)
    loss, gradient = jax.value_and_grad(masked_cross_entropy)(logits, masked)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    picked = np.take_along_axis(probabilities, labels[..., None], -1)[..., 0]
    np.testing.assert_allclose(loss, -np.log(picked)[mask].mean(), rtol=1e-5)
    assert not np.asarray(gradient)[~mask].any()
    expected = (probabilities - np.eye(5)[labels])[mask] / 3
    np.testing.assert_allclose(np.asarray(gradient)[mask], expected, atol=1e-6)
    nothing = masked._replace(mask=np.zeros_like(mask))
    assert masked_cross_entropy(jnp.asarray(logits), nothing) == 0


BATCH = TextPairs(
    tokens=np.array([[1, 5, 6, 2, 7, 2, 0, 0]] * 2, np.int32),
    segments=np.array([[0, 0, 0, 0, 1, 1, 0, 0]] * 2, np.int32),
    is_token=np.array([[1, 1, 1, 1, 1, 1, 0, 0]] * 2, bool),
    not_next=np.array([0, 1], np.int32),
)
OPTIONS = {"vocab_size": 8, "mask_token": MASK, "special_tokens": [1, 2]}


def test_the_objective_hides_words_and_adds_both_losses():
    seen = []

    def apply(variables, tokens, segments, mask, key, train):
        seen.append((tokens, segments, mask))
        words = jnp.zeros([*tokens.shape, 8])
        return PretrainingLogits(words, jnp.array([[0.0, 1.0]] * 2)), ()

    objective = masked_language_modelling(Model(None, apply), **OPTIONS, rate=1.0)
    loss, (_, info) = objective({}, (), BATCH, jax.random.key(0))
    np.testing.assert_allclose(info["words"], np.log(8), rtol=1e-6)
    pairs = np.mean([np.log(1 + np.e), np.log(1 + np.exp(-1))])
    np.testing.assert_allclose(info["pairs"], pairs, rtol=1e-6)
    np.testing.assert_allclose(loss, info["words"] + info["pairs"])
    (tokens, segments, mask), *_ = seen
    kept = np.isin(BATCH.tokens, [0, 1, 2])
    np.testing.assert_array_equal(np.asarray(tokens)[kept], BATCH.tokens[kept])
    assert (np.asarray(tokens) == MASK).any()
    assert segments is BATCH.segments and mask is BATCH.is_token


@pytest.mark.parametrize("head", [pretraining(), masked_words()])
def test_bert_takes_the_objective(head):
    model = bert(8, 8, 4, 1, 2, head=head)
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    objective = masked_language_modelling(model, **OPTIONS)
    loss, (_, info) = jax.eval_shape(objective, params, (), BATCH, jax.random.key(0))
    assert loss.shape == info["words"].shape == info["pairs"].shape == ()


def test_half_of_the_pairs_follow_and_the_others_are_of_another_document():
    documents = np.repeat([7, 3, 5], [200, 50, 150])
    first, second, not_next = sentence_pairs(jax.random.key(0), documents)
    assert len(first) == 400 - 3
    assert abs(not_next.sum() - len(first) / 2) < 4 * np.sqrt(len(first)) / 2
    follows = not_next == 0
    np.testing.assert_array_equal(second[follows], first[follows] + 1)
    assert (documents[first] == documents[first + 1]).all()
    assert (documents[first] != documents[second])[~follows].all()
    assert second.max() < 400 and len(set(documents[second[~follows]])) == 3
    for wrong in ([0, 0, 0], [0, 1, 0]):
        with pytest.raises(ValueError, match="document"):
            sentence_pairs(jax.random.key(0), wrong)


def test_the_example_of_the_paper_is_packed():
    # [CLS] my dog is cute [SEP] he likes play ##ing [SEP]
    options = {"cls_token": 1, "sep_token": 2}
    tokens, segments, is_token = packed_pair([5, 6, 7, 8], [9, 10, 11, 12], length=11, **options)
    assert tokens.tolist() == [1, 5, 6, 7, 8, 2, 9, 10, 11, 12, 2]
    assert segments.tolist() == [0] * 6 + [1] * 5 and is_token.all()
    tokens, *_ = packed_pair([5, 6, 7, 8], [9], length=6, **options)
    assert tokens.tolist() == [1, 5, 6, 2, 9, 2]
    tokens, segments, is_token = packed_pair([5], length=4, **options)
    assert tokens.tolist() == [1, 5, 2, 0] and is_token.tolist() == [True] * 3 + [False]
    with pytest.raises(ValueError, match="need more"):
        packed_pair([5], length=1, **options)


def test_bad_shares_and_shapes_are_told():
    tokens, key = jnp.ones([2, 3], int), jax.random.key(0)
    with pytest.raises(ValueError, match="at most 1 together"):
        masked_tokens(key, tokens, tokens < 1, mask_token=4, vocab_size=5, random_share=0.3)
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        masked_tokens(key, tokens, tokens[0] < 1, mask_token=4, vocab_size=5)
