"""EfficientNet: published counts and shapes, the rule of scaling, and its layers one by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.models.convnets.efficientnet import (
    EFFICIENTNETS,
    STAGES,
    STEM,
    TOP,
    efficientnet,
    scaled,
)
from jdl.models.convnets.inverted_residual_net import InvertedResidualNet, rounded
from jdl.nn.inverted_residual import InvertedResidual
from tests.conformance.case import quick
from tests.nn.test_convolution import EXACT, normal

PUBLISHED = {
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
    "efficientnet_l2": 480_309_308,
}
TINY = functools.partial(efficientnet, 0.25, stages=[(1, 3, 1, 8, 1), (2, 5, 2, 32, 2)])


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def added_up(width, depth, classes=1000):
    """Parameters by the tables of the paper alone."""
    channels, top = rounded(STEM * width), rounded(TOP * width)
    total = 27 * channels + 2 * channels
    for expansion, kernel, _, maps, layers in scaled(STAGES, width, depth):
        for _ in range(layers):
            inside, units = channels * expansion, channels // 4
            total += (channels + 2) * inside * (expansion > 1)
            total += (kernel**2 + 2) * inside + 2 * inside * units + units + inside
            total += (inside + 2) * maps
            channels = maps
    return total + (channels + 2) * top + (top + 1) * classes


def test_the_scaled_tables_add_up_to_the_published_counts():
    found = {name: added_up(*build.args) for name, build in EFFICIENTNETS.items()}
    assert found == PUBLISHED


def test_b0_has_the_published_count_and_the_stages_of_table_1():
    model = EFFICIENTNETS["efficientnet_b0"]()
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert size(variables.params) == PUBLISHED["efficientnet_b0"]
    assert size(variables.params) + size(variables.buffers) == 5_330_571 - 7  # Keras scales by 7
    images = jax.ShapeDtypeStruct([1, 224, 224, 3], jnp.float32)
    apply = functools.partial(model.apply, method="features")
    maps, _ = jax.eval_shape(apply, variables, images)
    sizes = [(112, 16), (56, 24), (28, 40), (14, 80), (14, 112), (7, 192), (7, 320), (7, 1280)]
    assert [x.shape for x in maps] == [(1, rows, rows, channels) for rows, channels in sizes]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_b1", "efficientnet_b4"])
def test_the_networks_have_the_counts_of_their_tables(name):
    variables = jax.eval_shape(EFFICIENTNETS[name]().init, jax.random.key(0))
    assert size(variables.params) == PUBLISHED[name]


def test_maps_are_rounded_to_the_next_eight_but_never_below_nine_tenths():
    assert [rounded(x) for x in (1, 12, 16 * 1.1, 24 * 1.4, 40 * 1.4, 11.9)] == [
        8,
        16,
        16,
        32,
        56,
        16,
    ]


def test_the_network_is_its_layers_one_by_one():
    model = TINY(num_classes=3)
    variables = model.init(jax.random.key(0))
    params, buffers = variables
    images = normal(2, 9, 9, 3)

    def norm(name, x):
        scale, bias = params[name]["scale"], params[name]["bias"]
        return jax.nn.silu(x / np.sqrt(1 + 1e-3) * scale[None, None, None] + bias[None, None, None])

    def conv(name, x, stride):
        return jax.lax.conv_general_dilated(
            x, params[name]["kernel"], (stride, stride), "SAME", dimension_numbers=NHWC
        )

    def block(stage, number, x, *sizes):
        build = functools.partial(InvertedResidual, *sizes[:-1], expansion=sizes[-1])
        part = functional(lambda rngs: build(rngs=rngs))
        at = [tree["stages"][str(stage)][str(number)] for tree in variables]
        return part.apply(type(variables)(*at), x)[0]

    def by_hand(images):
        x = norm("stem_norm", conv("stem", images, 2))
        x = block(0, 0, x, 8, 8, 3, 1, 1)
        x = block(1, 0, x, 8, 8, 5, 2, 2)
        x = block(1, 1, x, 8, 8, 5, 1, 2)
        x = norm("top_norm", conv("top", x, 1)).mean((1, 2))
        head = params["head"]["linear"]
        return x @ head["kernel"] + head["bias"][None]

    expected, found = quick(lambda images: (by_hand(images), model.apply(variables, images)[0]))(
        images
    )
    np.testing.assert_allclose(found, expected, **EXACT)


NHWC = ("NHWC", "HWIO", "NHWC")


def test_branches_are_left_out_more_often_the_deeper_they_lie():
    network = nnx.eval_shape(
        lambda: InvertedResidualNet(STAGES, 3, 8, 8, 2, drop_path_rate=0.2, rngs=nnx.Rngs(0))
    )
    rates = [block.dropout.rate for stage in network.stages for block in stage]
    np.testing.assert_allclose(rates, 0.2 * np.arange(16) / 16)


def test_the_two_paddings_differ_on_even_images_alone():
    images, odd = normal(1, 8, 8, 3), normal(1, 9, 9, 3)
    one = functools.partial(efficientnet, 0.25, stages=[(1, 3, 1, 8, 1)], num_classes=2)
    same, symmetric = one(), one(padding="symmetric")
    variables = same.init(jax.random.key(0))

    def both(images, odd):
        return [model.apply(variables, x)[0] for x in (images, odd) for model in (same, symmetric)]

    even_same, even_symmetric, odd_same, odd_symmetric = quick(both)(images, odd)
    assert not np.allclose(even_same, even_symmetric, atol=1e-6)
    np.testing.assert_allclose(odd_same, odd_symmetric, **EXACT)


def test_without_a_head_the_outputs_are_the_pooled_features_in_half_precision_too():
    model = TINY(num_classes=None, dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([2, 8, 8, 3], jnp.float32)
    outputs, _ = jax.eval_shape(model.apply, variables, images)
    assert outputs.shape == (2, 320) and outputs.dtype == jnp.bfloat16
    assert "head" not in variables.params or not jax.tree.leaves(variables.params["head"])


def test_images_of_other_channels_are_refused():
    model = TINY()
    variables = jax.eval_shape(model.init, jax.random.key(0))
    with pytest.raises(ValueError, match="Channels come last"):
        jax.eval_shape(model.apply, variables, jax.ShapeDtypeStruct([2, 3, 8, 8], jnp.float32))
