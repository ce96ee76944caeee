"""DenseNets: published counts and shapes, and the network of its blocks one by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.functional import functional
from jdl.models.convnets.densenet import DENSENETS, cifar_densenet, densenet
from jdl.nn.dense_block import DenseBlock, Transition
from jdl.nn.pooling import max_pool
from tests.conformance.case import quick
from tests.models.convnets.test_efficientnet import size
from tests.nn.test_convolution import EXACT, normal
from tests.nn.test_residual import SHRUNK

PUBLISHED = {
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "densenet264": 33_337_704,
    "densenet161": 28_681_000,
    "densenet_bc_100_12": 769_162,
    "densenet_bc_250_24": 15_324_406,
    "densenet_bc_190_40": 25_624_430,
    "densenet_40_12": 1_019_722,
}


def added_up(block_sizes, growth_rate, stem, classes, bottleneck=4, compression=0.5):
    """Parameters by the text of the paper alone."""
    channels = stem
    total = (49 * 3 + 2) * stem if classes == 1000 else 9 * 3 * stem
    for number, layers in enumerate(block_sizes):
        if number > 0:
            fewer = int(compression * channels)
            total, channels = total + 2 * channels + channels * fewer, fewer
        for _ in range(layers):
            if bottleneck is None:
                total += 2 * channels + 9 * channels * growth_rate
            else:
                inside = bottleneck * growth_rate
                total += 2 * channels + channels * inside + 2 * inside + 9 * inside * growth_rate
            channels += growth_rate
    return total + 2 * channels + (channels + 1) * classes


def test_the_published_tables_add_up_to_the_published_counts():
    big = ["densenet121", "densenet169", "densenet201", "densenet264"]
    found = {name: added_up(*DENSENETS[name].args, 32, 64, 1000) for name in big}
    found["densenet161"] = added_up(*DENSENETS["densenet161"].args, 96, 1000)
    for name, layers, rate in [
        ("densenet_bc_100_12", 16, 12),
        ("densenet_bc_250_24", 41, 24),
        ("densenet_bc_190_40", 31, 40),
    ]:
        found[name] = added_up((layers,) * 3, rate, 2 * rate, 10)
    found["densenet_40_12"] = added_up((12,) * 3, 12, 16, 10, None, 1.0)
    assert found == PUBLISHED


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["densenet121", "densenet161", "densenet264", "densenet_bc_100_12", "densenet_40_12"]
)
def test_the_networks_have_the_counts_of_their_tables(name):
    variables = jax.eval_shape(DENSENETS[name]().init, jax.random.key(0))
    assert size(variables.params) == PUBLISHED[name]


def test_networks_of_few_layers_have_the_counts_of_the_same_sum():
    for model, counted in [
        (densenet((1, 2), 8, stem_features=6), added_up((1, 2), 8, 6, 1000)),
        (cifar_densenet(16, 4), added_up((2,) * 3, 4, 8, 10)),
        (cifar_densenet(7, 4, bottleneck=None), added_up((1,) * 3, 4, 16, 10, None)),
    ]:
        assert size(jax.eval_shape(model.init, jax.random.key(0)).params) == counted


def test_maps_have_the_sizes_of_table_1():
    model = densenet((1, 2, 1, 3), 32)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([1, 224, 224, 3], jnp.float32)
    apply = functools.partial(model.apply, method="features")
    maps, _ = jax.eval_shape(apply, variables, images)
    sizes = [(56, 96), (28, 48 + 64), (14, 56 + 32), (7, 44 + 96)]
    assert [x.shape for x in maps] == [(1, rows, rows, channels) for rows, channels in sizes]


def test_the_network_is_its_blocks_one_by_one():
    model = densenet([1, 2], 4, stem_features=6, num_classes=3)
    variables = model.init(jax.random.key(0))
    p, images = variables.params, normal(2, 17, 16, 3)

    def norm(p, x):
        return jax.nn.relu(x * SHRUNK * p["scale"][None, None, None] + p["bias"][None, None, None])

    def part(name, number, build, x):
        at = type(variables)(*[tree[name][number] for tree in variables])
        return functional(lambda rngs: build(rngs=rngs)).apply(at, x)[0]

    def by_hand(images):
        x = jax.lax.conv_general_dilated(
            images,
            p["stem"]["kernel"],
            (2, 2),
            [(3, 3), (3, 3)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = max_pool(norm(p["stem_norm"], x), 3, 2, padding=1)
        x = part("blocks", "0", functools.partial(DenseBlock, 6, 1, 4), x)
        x = part("transitions", "0", functools.partial(Transition, 10), x)
        x = part("blocks", "1", functools.partial(DenseBlock, 5, 2, 4), x)
        head = p["head"]["linear"]
        return norm(p["norm"], x).mean((1, 2)) @ head["kernel"] + head["bias"][None]

    found, expected = quick(lambda images: (model.apply(variables, images)[0], by_hand(images)))(
        images
    )
    np.testing.assert_allclose(found, expected, **EXACT)


def test_half_precision_goes_through_without_a_head():
    model = densenet([1, 1], 4, stem_features=4, num_classes=None, dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([2, 8, 8, 3], jnp.float32)
    outputs, _ = jax.eval_shape(model.apply, variables, images)
    assert outputs.shape == (2, 8) and outputs.dtype == jnp.bfloat16


def test_small_images_and_odd_depths_are_refused():
    model = densenet([1, 1, 1, 1], 4, stem_features=4)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    smallest = jax.ShapeDtypeStruct([1, 29, 29, 3], jnp.float32)
    assert jax.eval_shape(model.apply, variables, smallest)[0].shape == (1, 1000)
    with pytest.raises(ValueError, match="29 rows and columns"):
        jax.eval_shape(model.apply, variables, jax.ShapeDtypeStruct([1, 28, 29, 3], jnp.float32))
    with pytest.raises(ValueError, match="4 \\+ 6 layers of each block; got 101"):
        cifar_densenet(101)
