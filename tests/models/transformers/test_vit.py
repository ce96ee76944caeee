"""Vision Transformers: published counts, patches at their places, other resolutions, mistakes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.models.transformers.hybrid_vit import HYBRID_VITS, hybrid_vit
from jdl.models.transformers.vit import VITS, at_resolution, vit
from jdl.nn.transformer_block import TransformerBlock
from tests.models.convnets.abstract import abstract, count, random_variables
from tests.nn.test_convolution import normal, quick

COUNTS = {
    "vit_base_patch16_224": 86_567_656,
    "vit_base_patch32_224": 88_224_232,
    "vit_large_patch16_224": 304_326_632,
    "vit_large_patch32_224": 306_535_400,
    "vit_huge_patch14_224": 632_045_800,
    "vit_base_patch16_384": 86_859_496,
    "vit_large_patch32_384": 306_632_680,
}
HYBRID_COUNTS = {
    "vit_base_r50_s16_224": 98_659_112,
    "vit_base_r50_s16_384": 98_950_952,
    "vit_large_r50_s32_224": 328_994_856,
}
DEPTHS = {"base": 12, "large": 24, "huge": 32}
SMALL = functools.partial(vit, 4, 8, 2, 2, image_size=(8, 12), num_classes=3)
IMAGES = normal(2, 8, 12, 3)


def depth(name):
    return DEPTHS[name.split("_")[1]]


@functools.cache
def block_count(features):
    block = functional(lambda rngs: TransformerBlock(features, 16, dropout_rate=0, rngs=rngs))
    return count(block)


@pytest.mark.parametrize("name", COUNTS)
def test_the_published_networks_have_these_counts(name):
    one = VITS[name](num_layers=1)
    blocks = depth(name) - 1
    features = abstract(one).params["class_token"].shape[0]
    assert count(one) + blocks * block_count(features) == COUNTS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", HYBRID_COUNTS)
def test_the_hybrids_have_these_counts(name):
    assert count(HYBRID_VITS[name]()) == HYBRID_COUNTS[name]


def test_without_a_head_and_with_a_pooler_the_base_has_these_counts():
    one = functools.partial(VITS["vit_base_patch16_224"], num_layers=1, num_classes=None)
    rest = 11 * block_count(768)
    assert count(one()) + rest == 85_798_656
    assert count(one(pooler=True)) + rest == 86_389_248


@pytest.fixture(scope="module")
def small():
    model = SMALL()
    return model, random_variables(model)


def test_patches_row_by_row_a_class_token_blocks_norm_and_head(small):
    model, variables = small
    block = functional(
        lambda rngs: TransformerBlock(
            8,
            2,
            norm_placement="pre",
            activation=lambda x: x * jax.scipy.stats.norm.cdf(x),
            dropout_rate=0,
            epsilon=1e-6,
            rngs=rngs,
        )
    )
    patches = np.stack(
        [
            IMAGES[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(2, -1)
            for row in range(2)
            for column in range(3)
        ],
        axis=1,
    )

    def expected(variables):
        params = variables.params
        x = patches @ params["patches"]["kernel"].reshape(48, 8)
        x = x + params["patches"]["bias"][None, None]
        first = jnp.broadcast_to(params["class_token"][None, None], (2, 1, 8))
        x = jnp.concatenate([first, x], 1) + params["positions"][None]
        for index in "01":
            x, _ = block.apply(variables._replace(params=params["blocks"][index]), x)
        x = x[:, 0]
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-6)
        x = x * params["norm"]["scale"][None] + params["norm"]["bias"][None]
        return x @ params["head"]["kernel"] + params["head"]["bias"][None]

    def found(variables):
        logits = model.apply(variables, IMAGES)[0]
        tokens = model.apply(variables, IMAGES, method="encode")[0]
        maps = model.apply(variables, IMAGES, method="features")[0]
        weights = model.apply(variables, IMAGES, method="attention_maps")[0]
        return expected(variables), logits, tokens, maps, weights

    wanted, logits, tokens, maps, weights = quick(found, variables)
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-5)
    assert [x.shape for x in maps] == [(2, 2, 3, 8)] * 2
    np.testing.assert_allclose(maps[-1].reshape(2, 6, 8), tokens[:, 1:], rtol=1e-5)
    assert weights.shape == (2, 2, 2, 7, 7)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


def test_logits_are_0_at_first():
    kernel = quick(lambda key: SMALL().init(key).params["head"]["kernel"], jax.random.key(0))
    assert not kernel.any()


def test_at_another_resolution_positions_alone_are_others(small):
    model, variables = small
    params = at_resolution(variables.params, (4, 6), old_grid=(2, 3))
    larger = abstract(SMALL(image_size=(16, 24))).params
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, larger)
    np.testing.assert_array_equal(params["positions"][0], variables.params["positions"][0])
    back = at_resolution(variables.params, (2, 3), old_grid=(2, 3))
    np.testing.assert_allclose(back["positions"], variables.params["positions"], atol=1e-6)


def test_the_hybrid_reads_maps_in_place_of_pixels():
    norm = functools.partial(nnx.GroupNorm, num_groups=2)
    sizes = {"widths": (2, 2, 2), "norm": norm, "image_size": 32, "num_classes": 3}
    model = hybrid_vit((1, 1, 1), 8, 1, 2, **sizes)
    images = jax.ShapeDtypeStruct([2, 32, 32, 3], jnp.float32)
    params = abstract(model).params
    assert params["positions"].shape == (1 + 2 * 2, 8)
    assert params["patches"]["kernel"].shape == (1, 1, 8, 8)
    maps = jax.eval_shape(
        lambda v, x: model.apply(v, x, method="features")[0], abstract(model), images
    )
    assert [x.shape for x in maps] == [(2, 2, 2, 8)]


def test_the_hybrids_strides_pad_below_and_to_the_right():
    """TensorFlow's "SAME": of the four rows that conv1 sees past an even image, three lie below."""
    norm = functools.partial(nnx.GroupNorm, num_groups=1)
    model = hybrid_vit((1,), 4, 1, 2, widths=(2,), norm=norm, image_size=8, num_classes=2)
    text = str(
        jax.make_jaxpr(lambda v: model.apply(v, jnp.zeros([1, 8, 8, 3]))[0])(abstract(model))
    )
    assert "padding=((2, 3), (2, 3))" in text


def test_bfloat16_goes_through():
    model = SMALL(dtype=jnp.bfloat16)
    assert jax.eval_shape(model.apply, abstract(model), IMAGES)[0].dtype == jnp.bfloat16


def test_mistakes_say_what_to_do(small):
    model, variables = small
    with pytest.raises(ValueError, match=r"images are 8 x 12.*at_resolution"):
        model.apply(variables, jnp.zeros([1, 12, 12, 3]))
    with pytest.raises(ValueError, match="Channels come last"):
        model.apply(variables, jnp.zeros([1, 3, 8, 12]))
    with pytest.raises(ValueError, match="patches of 16 x 16 pixels.*got image_size 20 x 20"):
        vit(image_size=20)
    with pytest.raises(ValueError, match="grid of 3 x 3"):
        at_resolution(variables.params, 4, old_grid=3)
