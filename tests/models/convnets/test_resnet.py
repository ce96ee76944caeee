"""ResNet against published counts, the table of the paper, and NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.models.convnets.resnet import RESNETS, resnet, resnet50
from tests.nn.test_convolution import normal, quick
from tests.nn.test_residual import conv, norm, relu

slow = pytest.mark.slow


def total(model):
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    return sum(x.size for x in jax.tree.leaves(params))


def randomized(model, seed=1):
    """Variables whose params are all random, so that no norm or head is at a special point."""
    variables = quick(model.init, jax.random.key(0))
    leaves, structure = jax.tree.flatten(variables.params)
    rng = np.random.default_rng(seed)
    scales = [np.prod(x.shape[:-1]) ** -0.5 for x in leaves]
    leaves = [
        (scale * rng.normal(size=x.shape)).astype(np.float32)
        for scale, x in zip(scales, leaves, strict=True)
    ]
    return Variables(jax.tree.unflatten(structure, leaves), variables.buffers)


def shapes(model, *image, method="features"):
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct(image, jnp.float32)
    apply = functools.partial(model.apply, method=method)
    return jax.tree.map(lambda x: x.shape, jax.eval_shape(apply, variables, images)[0])


@pytest.mark.parametrize("bottleneck", [False, True])
def test_dilated_stages_see_what_strided_ones_see_at_more_places(bottleneck):
    tiny = functools.partial(
        resnet, (1, 2, 1), bottleneck=False, widths=(2, 3, 4), small_images=True
    )
    strided, dilated = tiny(), tiny(output_stride=1)
    variables, images = randomized(strided), normal(1, 8, 8, 3)
    few, many = quick(
        lambda x: [m.apply(variables, x, method="features")[0] for m in (strided, dilated)], images
    )
    assert [x.shape[1] for x in many] == [8] * 4
    for step, coarse, fine in zip((1, 1, 2, 4), few, many, strict=True):
        np.testing.assert_allclose(fine[:, ::step, ::step], coarse, rtol=1e-4, atol=1e-5)
    published = shapes(resnet((1,) * 4, output_stride=8), 1, 64, 64, 3)
    assert published[1:] == ((1, 16, 16, 256), *((1, 8, 8, maps) for maps in (512, 1024, 2048)))


PUBLISHED = [  # torchvision
    ("resnet18", 11_689_512),
    ("resnet50", 25_557_032),
    ("wide_resnet50_2", 68_883_240),
    pytest.param("resnet34", 21_797_672, marks=slow),
    pytest.param("resnet101", 44_549_160, marks=slow),
    pytest.param("resnet152", 60_192_808, marks=slow),
    pytest.param("wide_resnet101_2", 126_886_696, marks=slow),
]


@pytest.mark.parametrize(("name", "published"), PUBLISHED)
def test_parameters_are_those_published(name, published):
    assert total(RESNETS[name]()) == published


@slow
def test_biases_make_keras_of_it_and_the_head_is_what_is_left_out():
    biased = functools.partial(nnx.Conv, use_bias=True)
    assert total(resnet50(conv=biased, num_classes=None)) == 25_583_592 - 2_049_000


def test_stages_have_the_sizes_of_the_table():
    small = functools.partial(resnet, (1, 1, 1, 1))
    found = shapes(small(), 2, 224, 224, 3)
    assert [s[1:] for s in found] == [
        (112, 112, 64),
        (56, 56, 256),
        (28, 28, 512),
        (14, 14, 1024),
        (7, 7, 2048),
    ]
    found = shapes(small(small_images=True, bottleneck=False), 2, 32, 32, 3)
    assert [s[1] for s in found] == [32, 32, 16, 8, 4]
    assert shapes(small(num_classes=None), 2, 33, 65, 3, method="__call__") == (2, 2048)


def basic(p, x, strides):
    """A basic block in NumPy."""
    y = relu(norm(p["norms"]["0"], conv(p["convs"]["0"], x, strides)))
    y = norm(p["norms"]["1"], conv(p["convs"]["1"], y))
    if "shortcut" in p:
        past = p["shortcut"]["layers"]
        x = norm(past["1"], conv(past["0"], x, strides))
    return relu(y + x)


def pooled(x):
    """The largest of 3 x 3, stride 2, padded by 1."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = (x.shape[1] - 1) // 2, (x.shape[2] - 1) // 2
    windows = [
        x[:, i : i + 2 * rows : 2, j : j + 2 * columns : 2] for i in range(3) for j in range(3)
    ]
    return np.max(windows, 0)


def test_a_small_network_is_its_formula():
    model = resnet((1, 1), widths=(4, 6), bottleneck=False, num_classes=3)
    variables, images = randomized(model), normal(2, 13, 16, 3)
    p = variables.params
    x = relu(norm(p["norm1"], conv(p["conv1"], images, 2)))
    x = basic(p["stages"]["0"]["0"], pooled(x), 1)
    x = basic(p["stages"]["1"]["0"], x, 2)
    logits = x.mean((1, 2)) @ p["head"]["linear"]["kernel"] + p["head"]["linear"]["bias"]
    found = quick(lambda v: model.apply(v, images)[0], variables)
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)
    assert np.abs(logits).max() > 0.1


def test_a_head_of_zeros_gives_no_class_an_advantage():
    zeros = nnx.initializers.zeros_init()
    model = resnet((1,), widths=(4,), bottleneck=False, num_classes=3, head_init=zeros)
    logits = quick(lambda: model.apply(model.init(jax.random.key(0)), normal(1, 8, 8, 3))[0])
    np.testing.assert_array_equal(logits, np.zeros([1, 3]))


def test_channels_first_are_refused():
    with pytest.raises(ValueError, match="Channels come last"):
        shapes(resnet((1,), widths=(4,)), 1, 3, 32, 32)
