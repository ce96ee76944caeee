"""MobileNets: published counts and shapes, and the separable unit by its formula."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.functional import functional
from jdl.models.convnets.inverted_residual_net import rounded
from jdl.models.convnets.mobilenet import (
    MOBILENETS,
    V1_STAGES,
    V2_STAGES,
    SeparableUnit,
    mobilenet_v1,
    mobilenet_v2,
)
from jdl.nn.inverted_residual import EFFICIENTNET_NORM, InvertedResidual
from tests.conformance.case import quick
from tests.models.convnets.test_efficientnet import size
from tests.nn.test_convolution import EXACT, normal
from tests.nn.test_residual import X, conv, made, norm

PUBLISHED = {
    "mobilenet_v1_100": 4_231_976,
    "mobilenet_v1_075": 2_585_560,
    "mobilenet_v1_050": 1_331_592,
    "mobilenet_v1_025": 470_072,
    "mobilenet_v2_140": 6_108_776,
    "mobilenet_v2_100": 3_504_872,
    "mobilenet_v2_075": 2_636_424,
    "mobilenet_v2_050": 1_968_680,
    "mobilenet_v2_035": 1_677_128,
}
SHRUNK = 1 / np.sqrt(1 + 1e-3)
FORM = {"padding": "SAME", "activation": jax.nn.relu6, "norm": EFFICIENTNET_NORM}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    variables = jax.eval_shape(MOBILENETS[name]().init, jax.random.key(0))
    assert size(variables.params) == PUBLISHED[name]


def test_widths_of_v2_add_up_to_the_published_counts():
    for name in [name for name in PUBLISHED if "v2" in name]:
        (width,) = MOBILENETS[name].args
        channels, top = rounded(32 * width), rounded(1280 * max(1.0, width))
        total = 29 * channels
        for expansion, _, maps, blocks in V2_STAGES:
            for _ in range(blocks):
                inside, maps_out = expansion * channels, rounded(maps * width)
                total += (channels + 2) * inside * (expansion > 1)
                total += 11 * inside + (inside + 2) * maps_out
                channels = maps_out
        assert total + (channels + 2) * top + 1000 * top + 1000 == PUBLISHED[name]


def test_widths_of_v1_add_up_to_the_published_counts():
    for name in [name for name in PUBLISHED if "v1" in name]:
        (width,) = MOBILENETS[name].args
        channels = int(32 * width)
        total = 29 * channels
        for _, maps, units in V1_STAGES:
            for _ in range(units):
                maps_out = int(maps * width)
                total += 11 * channels + (channels + 2) * maps_out  # 9 + 2 of a norm
                channels = maps_out
        assert total + 1000 * channels + 1000 == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("mobilenet_v1_025", [(112, 16), (56, 32), (28, 64), (14, 128), (7, 256)]),
        (
            "mobilenet_v2_100",
            [(112, 16), (56, 24), (28, 32), (14, 64), (14, 96), (7, 160), (7, 320), (7, 1280)],
        ),
    ],
)
def test_counts_and_maps_are_those_of_the_papers_tables(name, sizes):
    model = MOBILENETS[name]()
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert size(variables.params) == PUBLISHED[name]
    images = jax.ShapeDtypeStruct([1, 224, 224, 3], jnp.float32)
    apply = functools.partial(model.apply, method="features")
    maps, _ = jax.eval_shape(apply, variables, images)
    assert [x.shape for x in maps] == [(1, rows, rows, channels) for rows, channels in sizes]


def test_a_separable_unit_is_its_formula():
    unit = functools.partial(SeparableUnit, 4, 6, 1, dtype=None, param_dtype=jnp.float32, **FORM)
    p, apply = made(unit)

    def relu6(x):
        return np.clip(x, 0, 6)

    y = relu6(norm(p["depthwise_norm"], conv(p["depthwise"], X, groups=4), SHRUNK))
    y = relu6(norm(p["pointwise_norm"], conv(p["pointwise"], y), SHRUNK))
    np.testing.assert_allclose(apply(p, X), y, rtol=1e-4, atol=1e-4)


def test_the_networks_are_their_layers_one_by_one():
    images = normal(2, 8, 8, 3)
    one = mobilenet_v1(0.25, stages=[(2, 16, 1)], num_classes=3)
    two = mobilenet_v2(0.25, stages=[(2, 2, 16, 1)], num_classes=3)
    all_variables = [model.init(jax.random.key(i)) for i, model in enumerate([one, two])]
    blocks = [
        lambda rngs: SeparableUnit(8, 8, 2, dtype=None, param_dtype=jnp.float32, **FORM, rngs=rngs),
        lambda rngs: InvertedResidual(
            8, 8, 3, 2, expansion=2, se_ratio=0, activation=jax.nn.relu6, rngs=rngs
        ),
    ]

    def unit(p, name, x, stride):
        x = jax.lax.conv_general_dilated(
            x, p[name]["kernel"], (stride,) * 2, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        scaled = x * SHRUNK * p[name + "_norm"]["scale"][None, None, None]
        return jnp.clip(scaled + p[name + "_norm"]["bias"][None, None, None], 0, 6)

    def by_hand(variables, block, images):
        p = variables.params
        x = unit(p, "stem", images, 2)
        at = type(variables)(*[tree["stages"]["0"]["0"] for tree in variables])
        x = functional(block).apply(at, x)[0]
        x = unit(p, "top", x, 1) if "top" in p else x
        return x.mean((1, 2)) @ p["head"]["linear"]["kernel"] + p["head"]["linear"]["bias"][None]

    def both(images):
        found = [m.apply(v, images)[0] for m, v in zip([one, two], all_variables, strict=True)]
        cases = zip(all_variables, blocks, strict=True)
        return found, [by_hand(variables, block, images) for variables, block in cases]

    found, expected = quick(both)(images)
    np.testing.assert_allclose(found, expected, **EXACT)


@pytest.mark.parametrize("factory", [mobilenet_v1, mobilenet_v2])
def test_symmetric_padding_and_half_precision_go_through_without_a_head(factory):
    stages = {mobilenet_v1: [(2, 16, 1)], mobilenet_v2: [(2, 2, 16, 1)]}[factory]
    model = factory(0.5, stages=stages, num_classes=None, padding="symmetric", dtype=jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct([2, 9, 8, 3], jnp.float32)
    outputs, _ = jax.eval_shape(model.apply, variables, images)
    assert outputs.dtype == jnp.bfloat16
    assert outputs.shape == (2, {mobilenet_v1: 8, mobilenet_v2: 1280}[factory])
