"""DALL-E: its count, who sees whom, codes drawn one after the other, the best of them by CLIP."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import greedy
from jdl.models.mlp import mlp
from jdl.models.multimodal.dalle import (
    dalle,
    draw_codes,
    kinds_of_layers,
    rerank,
    text_and_image_likelihood,
)
from jdl.models.multimodal.discrete_vae import discrete_vae
from jdl.models.multimodal.two_towers import two_towers
from tests.conformance.case import quick

SMALL = functools.partial(dalle, 6, 5, 3, 3, 8, 2, 2, kernel_size=3)
TEXT = np.array([[3, 1, 0], [2, 2, 5]], np.int32)
CODES = np.random.default_rng(0).integers(0, 5, [2, 3, 3]).astype(np.int32)


def normal(model, std, seed=1):
    """Params far larger than the initial ones, so that no part of a formula can hide."""
    like = jax.eval_shape(model.init, jax.random.key(0))
    random = np.random.default_rng(seed)
    params = jax.tree.map(lambda x: random.normal(0, std, x.shape).astype(np.float32), like.params)
    return like._replace(params=params)


def count(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


def test_it_has_twelve_billion_parameters():
    one, two = (count(dalle(num_layers=layers)) for layers in (1, 2))
    total = one + 63 * (two - one)
    features = 62 * 64
    tables = (16384 + 256 + 1 + 257 + 8192 + 2 * 32) * features
    heads = (features + 1) * (16384 + 8192)
    assert total == 64 * (12 * features**2 + 13 * features) + 2 * features + tables + heads
    assert total == 12_292_840_960
    kinds = kinds_of_layers(64)
    assert [kinds[i - 1] for i in (1, 2, 3, 4, 6, 62, 63, 64)] == [
        *("row", "column", "row", "row", "column", "column", "row", "convolution")
    ]


@pytest.fixture(scope="module")
def variables():
    return normal(SMALL(), 1.0)


@pytest.fixture(scope="module")
def run():
    return quick(SMALL().apply)


def test_a_code_sees_its_text_and_the_codes_before_it_and_padding_has_no_word(variables, run):
    def moved(text, codes):
        found = [run(variables, *given)[0] for given in ((TEXT, CODES), (text, codes))]
        pairs = zip(*found, strict=True)
        return [np.abs(np.asarray(a) - b).max(axis=-1)[0].ravel() > 1e-6 for a, b in pairs]

    other = CODES.copy()
    other[0, 1, 1] = (other[0, 1, 1] + 1) % 5
    words, codes = moved(TEXT, other)
    assert not words.any() and not codes[:5].any() and codes[5]
    words, codes = moved(np.where(TEXT == 1, 4, TEXT), CODES)
    assert words.tolist() == [False, False, True] and codes.all()
    # What stands for no word is the padding of the place, not the word of that id.
    changed = jax.tree.map(lambda x: x, variables)
    changed.params["words"]["embedding"] = variables.params["words"]["embedding"].copy()
    changed.params["words"]["embedding"][0] += 1
    for a, b in zip(run(changed, TEXT, CODES)[0], run(variables, TEXT, CODES)[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_codes_drawn_one_after_the_other_are_the_most_probable_of_all_at_once(variables, run):
    drawn = quick(
        lambda variables, text: draw_codes(SMALL(), variables, text, None, grid=3, choose=greedy)
    )(variables, TEXT)
    logits = run(variables, TEXT, np.asarray(drawn))[0].codes
    np.testing.assert_array_equal(drawn, np.argmax(logits, axis=-1))
    assert len(np.unique(drawn)) > 1


def test_the_objective_weighs_codes_seven_times_and_counts_no_padding(variables, run):
    output = run(variables, TEXT, CODES)[0]

    def mean(logits, labels, counts):
        logits = np.asarray(logits, np.float64)
        chances = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return -np.take_along_axis(chances, labels[..., None], -1)[..., 0][counts].mean()

    words = mean(output.words, TEXT, TEXT != 0)
    codes = mean(output.codes, CODES, np.ones_like(CODES, bool))
    objective = quick(text_and_image_likelihood(SMALL()))
    loss, (_, info) = objective(*variables, (TEXT, CODES), jax.random.key(0))
    assert float(info["text"]) == pytest.approx(words, rel=1e-4)
    assert float(info["image"]) == pytest.approx(codes, rel=1e-4)
    assert float(loss) == pytest.approx(words / 8 + 7 * codes / 8, rel=1e-4)


def test_texts_become_images_and_the_towers_put_the_best_first(variables):
    vae = discrete_vae(5, 4, first_features=3, num_groups=1, blocks_per_group=1, channels=1)
    towers = two_towers(mlp([9, 2]), mlp([3, 2]))
    texts = TEXT.astype(np.float32)

    @quick
    def program(variables, of_vae, of_towers, key):
        codes = draw_codes(SMALL(), variables, jnp.repeat(TEXT, 3, axis=0), key, grid=3)
        images, _ = vae.apply(of_vae, codes, method="decode")
        candidates = images.reshape(2, 3, 9)
        ranked = rerank(towers, of_towers, candidates, texts)
        seen, _ = towers.apply(of_towers, candidates[1], method="encode_image")
        read, _ = towers.apply(of_towers, texts, method="encode_text")
        return codes, images, ranked, seen @ read[1]

    others = normal(vae, 0.5), normal(towers, 1.0)
    codes, images, ranked, scores = program(variables, *others, jax.random.key(0))
    assert codes.shape == (6, 3, 3) and images.shape == (6, 3, 3, 1)
    assert images.min() >= 0 and images.max() <= 1
    np.testing.assert_allclose(ranked.scores[1], scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(ranked.order[1], np.argsort(-scores, stable=True))


def test_bad_texts_and_codes_are_told(variables):
    model = SMALL()
    with pytest.raises(ValueError, match="a text has 3 places"):
        jax.eval_shape(model.apply, variables, TEXT[:, :2], CODES)
    with pytest.raises(ValueError, match=r"codes are \[2, 3, 3\]"):
        jax.eval_shape(model.apply, variables, TEXT, CODES[:, :2])
    with pytest.raises(ValueError, match="token ids are 0 to 4"):
        model.apply(variables, TEXT, CODES + 5)
