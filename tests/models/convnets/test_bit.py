"""BiT against timm's counts, and by what standardised weights leave unchanged."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.models.convnets.bit import BITS, bit
from tests.models.convnets.test_preact_resnet import pooled
from tests.models.convnets.test_resnet import randomized, shapes, total
from tests.nn.test_convolution import normal, quick
from tests.nn.test_residual import conv, relu

slow = pytest.mark.slow
PUBLISHED = [
    ("resnetv2_50x1_bit", 25_549_352),
    pytest.param("resnetv2_50x3_bit", 217_319_080, marks=slow),
    pytest.param("resnetv2_101x1_bit", 44_541_480, marks=slow),
    pytest.param("resnetv2_101x3_bit", 387_934_888, marks=slow),
    pytest.param("resnetv2_152x2_bit", 236_335_208, marks=slow),
    pytest.param("resnetv2_152x4_bit", 936_533_224, marks=slow),
]
TWO = functools.partial(nnx.GroupNorm, num_groups=2, epsilon=1e-5)


@pytest.mark.parametrize(("name", "published"), PUBLISHED)
def test_parameters_are_those_published(name, published):
    assert total(BITS[name]()) == published


def test_stages_have_the_sizes_of_the_table():
    found = shapes(bit((1, 1, 1, 1), 2), 1, 224, 224, 3)
    assert [s[1:] for s in found] == [
        (112, 112, 128),
        (56, 56, 512),
        (28, 28, 1024),
        (14, 14, 2048),
        (7, 7, 4096),
    ]


def small():
    """A network of one block that strides, images, evaluation."""
    model = bit((1, 1), widths=(2, 4), norm=TWO, num_classes=3)
    images = normal(2, 9, 9, 3)
    return randomized(model), images, functools.partial(quick, lambda v: model.apply(v, images)[0])


def standard(p, x, strides=1):
    kernel = p["layer"]["kernel"]
    axes = (0, 1, 2)
    kernel = (kernel - kernel.mean(axes)) / np.sqrt(kernel.var(axes) + 1e-8)
    return conv({"kernel": kernel}, x, strides)


def group(p, x):
    parts = x.reshape(*x.shape[:-1], 2, -1)
    axes = (1, 2, 4)
    mean, variance = parts.mean(axes, keepdims=True), parts.var(axes, keepdims=True)
    y = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
    return y * p["scale"] + p["bias"]


def test_a_small_network_is_its_formula():
    variables, images, apply = small()
    p = variables.params
    x = pooled(standard(p["conv1"], images, 2), 0)
    for stage, strides in [("0", 1), ("1", 2)]:
        block = p["stages"][stage]["0"]
        active = relu(group(block["norms"]["0"], x))
        y = standard(block["convs"]["0"], active)
        y = standard(block["convs"]["1"], relu(group(block["norms"]["1"], y)), strides)
        y = standard(block["convs"]["2"], relu(group(block["norms"]["2"], y)))
        x = y + standard(block["shortcut"]["layers"]["0"], active, strides)
    x = relu(group(p["norm"], x))
    expected = x.mean((1, 2)) @ p["head"]["linear"]["kernel"] + p["head"]["linear"]["bias"]
    np.testing.assert_allclose(apply(variables), expected, rtol=1e-3, atol=1e-3)


def test_the_scale_and_the_mean_of_a_kernel_do_not_matter_and_images_stay_apart():
    variables, images, apply = small()

    def moved(path, x):
        return 3 * x + 1 if path[-2].key == "layer" else x

    params = jax.tree.map_with_path(moved, variables.params)
    logits = apply(variables)
    np.testing.assert_allclose(apply(Variables(params, {})), logits, rtol=1e-3, atol=1e-3)
    assert variables.buffers == {}
    assert np.abs(logits[0] - logits[1]).max() > 1e-2


def test_a_new_head_is_of_zeros():
    model = bit((1,), widths=(2,), norm=TWO, num_classes=3)
    head = quick(model.init, jax.random.key(0)).params["head"]["linear"]
    assert not np.any(head["kernel"])
