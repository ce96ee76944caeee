"""The vision encoder-decoder: its count, what a token sees, and writing token by token."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.decoding import bound, generate
from jdl.models.multimodal.captioner import captioner
from jdl.models.transformers.encoder_decoder import translation
from jdl.models.transformers.vit import ViTConfig
from tests.models.convnets.abstract import abstract, count, random_variables
from tests.models.transformers.test_vit import block_count
from tests.nn.test_convolution import normal, quick

ENCODER = ViTConfig(4, 6, 1, 2, image_size=8)
SMALL = functools.partial(captioner, 11, 6, 8, 1, 2, encoder=ENCODER)
IMAGES = normal(2, 8, 8, 3)
TOKENS = np.array([[1, 5, 6, 2], [1, 4, 4, 2]])


def test_vit_b_16_and_gpt_2_have_this_count():
    one = captioner(num_layers=1, encoder=ViTConfig(num_layers=1))
    crossed = 4 * (768**2 + 768) + 2 * 768
    assert count(one) + 22 * block_count(768) + 11 * crossed == 238_605_312


@pytest.fixture(scope="module")
def small():
    model = SMALL()
    return model, random_variables(model)


def test_tokens_see_the_image_and_no_token_the_future(small):
    model, variables = small
    run = jax.jit(lambda *x: model.apply(variables, *x)[0])
    logits = run(IMAGES, TOKENS)
    later = run(IMAGES, np.where(np.arange(4)[None] >= 2, 3, TOKENS))
    np.testing.assert_allclose(later[:, :2], logits[:, :2], rtol=1e-4, atol=1e-4)
    assert np.abs(later[:, 2:] - logits[:, 2:]).max() > 1e-2
    other = run(IMAGES[::-1], TOKENS)
    assert np.abs(other[:, 0] - logits[:, 0]).max() > 1e-2


def test_a_token_looks_at_all_of_the_image(small):
    model, variables = small
    maps = quick(lambda v: model.apply(v, IMAGES, TOKENS, method="attention_maps")[0], variables)
    assert maps.shape == (1, 2, 2, 4, 5)  # layers, images, heads, tokens, 1 + patches
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)


def test_token_by_token_it_says_what_it_says_at_once(small):
    model, variables = small

    def both(variables):
        carry, _ = model.apply(variables, IMAGES, 4, method="start")
        written = []
        for tokens in TOKENS.T:
            (logits, carry), _ = model.apply(variables, carry, tokens, method="decode")
            written.append(logits)
        (beyond, _), _ = model.apply(variables, carry, TOKENS[:, 0], method="decode")
        return jnp.stack(written, 1), model.apply(variables, IMAGES, TOKENS)[0], carry, beyond

    written, logits, carry, beyond = quick(both, variables)
    assert np.isnan(beyond).all()  # there is no place left
    np.testing.assert_allclose(written, logits, rtol=1e-4, atol=1e-4)
    assert carry.position.tolist() == [4, 4]
    assert {x.shape[0] for x in jax.tree.leaves(carry)} == {2}  # a beam can be reordered


def test_a_caption_is_taught_behind_a_start_token(small):
    model, variables = small
    wanted = np.array([[5, 6, 2, 0], [4, 4, 2, 0]])
    objective = translation(model, 1, label_smoothing=0.0)

    def both(variables):
        loss, _ = objective(*variables, (IMAGES, wanted), jax.random.key(0))
        inputs = jnp.concatenate([jnp.ones([2, 1], int), wanted[:, :-1]], axis=1)
        logits = model.apply(variables, IMAGES, inputs, key=jax.random.key(0), train=True)[0]
        chances = jax.nn.log_softmax(logits)
        chosen = jnp.take_along_axis(chances, wanted[..., None], -1)[..., 0]
        return loss, -chosen[:, :3].mean()

    loss, expected = quick(both, variables)
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_captions_are_written_by_the_decoders_of_the_library(small):
    model, variables = small

    def written(variables, images):
        carry, _ = model.apply(variables, images, 6, method="start")
        return generate(bound(model, variables), carry, jnp.ones([2, 1], int), length=4).tokens

    assert jax.eval_shape(written, variables, IMAGES).shape == (2, 4)


def test_bfloat16_goes_through():
    model = SMALL(dtype=jnp.bfloat16)
    logits = jax.eval_shape(model.apply, abstract(model), IMAGES, TOKENS)[0]
    assert logits.dtype == jnp.bfloat16


def test_mistakes_say_what_to_do(small):
    model, variables = small
    with pytest.raises(ValueError, match="1 to 6 tokens, the context; got 7"):
        model.apply(variables, IMAGES, 7, method="start")
    with pytest.raises(ValueError, match="at most 6 tokens"):
        model.apply(variables, IMAGES, np.ones([2, 7], int))
