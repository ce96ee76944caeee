"""VGG against torchvision's counts, the shapes of its table, and its formula."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.convnets.vgg import VGGS, vgg, vgg16
from tests.conformance.case import quick
from tests.models.convnets.abstract import abstract, count, map_shapes, output, random_variables
from tests.nn.test_convolution import normal
from tests.nn.test_residual import conv, relu

PUBLISHED = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
}
TABLE = {"kernel_sizes": ((3,), (3, 1)), "features": (2, 4)}
TINY = functools.partial(vgg, **TABLE, num_classes=3, in_channels=4, hidden_dim=5, grid=2)


def test_counts_of_torchvision():
    assert {name: count(VGGS[name]()) for name in PUBLISHED} == PUBLISHED


def test_counts_of_the_paper_in_millions():
    millions = {"vgg11": 133, "vgg13": 133, "vgg16_c": 134, "vgg16": 138, "vgg19": 144}  # table 2
    assert {name: round(count(VGGS[name]()) / 1e6) for name in millions} == millions


def test_without_a_head_there_are_the_convolutions_and_the_outputs_are_means():
    headless = vgg16(num_classes=None)
    assert count(headless) == 14_714_688  # keras, include_top=False
    assert output(headless, 64, 96, 3).shape == (2, 512)


def test_maps_of_the_table_and_logits_of_any_size():
    model = vgg16()
    sizes, maps = [224, 112, 56, 28, 14, 7], [64, 128, 256, 512, 512, 512]
    found = map_shapes(model, 224, 224, 3)
    assert found == [(n, n, c) for n, c in zip(sizes, maps, strict=True)]
    assert output(model, 32, 49, 3).shape == (2, 1000)


def test_the_network_is_its_formula():
    model = TINY()
    variables = random_variables(model)
    p, images = variables.params, normal(2, 9, 8, 4)

    def unit(stage, number, x):
        layer = p["stages"][stage][number]["conv"]
        return relu(conv(layer, x) + layer["bias"])

    def pool(x):
        h, w = x.shape[1] // 2, x.shape[2] // 2
        return x[:, : 2 * h, : 2 * w].reshape(2, h, 2, w, 2, -1).max((2, 4))

    first = unit("0", "0", images)
    second = unit("1", "1", unit("1", "0", pool(first)))
    maps = quick(lambda v, x: model.apply(v, x, method="features")[0])(variables, images)
    for found, expected in zip(maps, (first, second, pool(second)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    x = pool(second).reshape(2, -1)
    for name in ("dense1", "dense2"):
        x = relu(x @ p["head"][name]["kernel"] + p["head"][name]["bias"])
    expected = x @ p["head"]["head"]["kernel"] + p["head"]["head"]["bias"]
    logits = quick(lambda v, x: model.apply(v, x)[0])(variables, images)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)


def test_a_kernel_starts_as_he_s():
    params = vgg(((3,),), (64,), num_classes=None, in_channels=16).init(jax.random.key(0)).params
    kernel = params["stages"]["0"]["0"]["conv"]["kernel"]
    np.testing.assert_allclose(kernel.std(), (2 / (9 * 64)) ** 0.5, rtol=0.05)


def test_half_precision_goes_through_and_wrong_images_are_refused():
    assert output(TINY(dtype=jnp.bfloat16), 8, 8, 4).dtype == jnp.bfloat16
    model = TINY()
    for shape in [(2, 8, 8, 3), (2, 3, 8, 4)]:
        with pytest.raises(ValueError, match="images"):
            jax.eval_shape(model.apply, abstract(model), jnp.zeros(shape))
