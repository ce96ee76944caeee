"""CLIP: published counts, the token that is read, its own GELU."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.multimodal.clip import CLIPS, clip, clip_text, quick_gelu
from tests.models.convnets.abstract import abstract, count, random_variables
from tests.models.transformers.test_vit import block_count
from tests.nn.test_convolution import normal, quick

COUNTS = {
    "clip-vit-base-patch32": 151_277_313,
    "clip-vit-base-patch16": 149_620_737,
    "clip-vit-large-patch14": 427_616_513,
    "clip-vit-large-patch14-336": 427_944_193,
}
TEXT = functools.partial(clip_text, 9, 6, 8, 1, 2)
TOKENS = np.array([[7, 1, 2, 8, 0, 0], [7, 3, 8, 8, 8, 8]])


@pytest.mark.parametrize("name", COUNTS)
def test_the_published_pairs_have_these_counts(name):
    one = CLIPS[name](num_layers=1, text_num_layers=1)
    params = abstract(one).params
    widths = (params["image"]["class_token"].shape[0], params["text"]["positions"].shape[1])
    depth = 23 if "large" in name else 11
    rest = depth * block_count(widths[0]) + 11 * block_count(widths[1])
    assert count(one) + rest == COUNTS[name]


def test_the_text_tower_of_the_large_one_has_this_count():
    one = clip_text(hidden_dim=768, num_layers=1, num_heads=12, embedding_dim=None)
    assert count(one) + 11 * block_count(768) == 123_060_480


def test_the_end_token_is_read_and_nothing_behind_it_counts():
    model = TEXT(embedding_dim=None)
    variables = random_variables(model)

    def found(variables, tokens):
        encoded = model.apply(variables, tokens, method="encode")[0]
        return model.apply(variables, tokens)[0], encoded

    features, encoded = quick(found, variables, TOKENS)
    np.testing.assert_allclose(features, encoded[np.arange(2), [3, 2]], rtol=1e-5)
    behind = TOKENS.copy()
    behind[0, 4:] = 5
    np.testing.assert_allclose(quick(found, variables, behind)[0], features, rtol=1e-4, atol=1e-5)


def test_the_gelu_is_within_two_hundredths_of_the_exact_one():
    x = np.linspace(-6, 6, 97, dtype=np.float32)
    exact = jax.nn.gelu(x, approximate=False)
    assert 0.02 < np.abs(quick_gelu(x) - exact).max() < 0.021


def test_logits_are_in_single_precision_whatever_the_towers_compute_in():
    sizes = {"text_hidden_dim": 8, "text_num_layers": 1, "text_num_heads": 2, "embedding_dim": 3}
    model = clip(4, 8, 1, 2, image_size=8, vocab_size=9, context=6, **sizes, dtype=jnp.bfloat16)
    images = normal(2, 8, 8, 3)
    logits = jax.eval_shape(model.apply, abstract(model), images, TOKENS)[0]
    embedded = jax.eval_shape(
        lambda v, x: model.apply(v, x, method="encode_text")[0], abstract(model), TOKENS
    )
    assert logits.dtype == jnp.float32 and embedded.dtype == jnp.bfloat16


def test_mistakes_say_what_to_do():
    model = TEXT()
    with pytest.raises(ValueError, match="vocabulary of 9"):
        model.apply(random_variables(model), TOKENS + 1)
    with pytest.raises(ValueError, match="at most 6 tokens"):
        model.apply(random_variables(model), np.ones([1, 7], int))
