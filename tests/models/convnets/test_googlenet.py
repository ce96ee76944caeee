"""GoogLeNet against published counts, the shapes of table 1, and its formula."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.convnets.auxiliary import AuxiliaryLogits
from jdl.models.convnets.googlenet import googlenet, inception_v1
from jdl.nn.inception import naive_widths
from tests.conformance.case import quick
from tests.models.convnets.abstract import abstract, count, map_shapes, output, random_variables
from tests.models.convnets.test_alexnet import response
from tests.nn.test_convolution import normal
from tests.nn.test_residual import conv, relu

TINY = functools.partial(
    inception_v1,
    modules=[[(1, 2, 2, 1, 1, 1)], [(2, 1, 1, 1, 2, 1)], [(1, 1, 2, 2, 1, 1)]],
    stem=(2, 3, 4),
    num_classes=3,
    auxiliary_features=(2, 3),
)
LEAST_MODULES = [[], [naive_widths(1, 1, 1)], []]
BARE = TINY(modules=LEAST_MODULES)


@functools.cache
def published(make):
    return make(auxiliary=True)


@pytest.mark.parametrize(
    ("make", "without", "total"),
    [(inception_v1, 6_998_552, 13_378_280), (googlenet, 6_624_904, 13_004_888)],
)
def test_counts_with_and_without_the_heads_of_4a_and_4d(make, without, total):
    heads = abstract(published(make)).params["heads"]
    assert [heads[i]["conv"]["conv"]["kernel"].shape[2] for i in "01"] == [512, 528]
    alone = sum(x.size for x in jax.tree.leaves(heads))
    assert (count(published(make)) - alone, count(published(make))) == (without, total)


def test_maps_of_table_1():
    sizes, maps = [112, 56, 28, 14, 7], [64, 192, 480, 832, 1024]
    expected = [(n, n, c) for n, c in zip(sizes, maps, strict=True)]
    assert map_shapes(published(inception_v1), 224, 224, 3) == expected


def test_sizes_are_rounded_up():
    rows = [shape[:2] for shape in map_shapes(BARE, 32, 39, 3)]
    assert rows == [(16, 20), (8, 10), (4, 5), (2, 2), (1, 1)]


def test_training_has_the_logits_of_two_heads_and_evaluation_has_not():
    model = TINY(modules=LEAST_MODULES, auxiliary=True)
    trained = output(model, 224, 224, 3, train=True)
    assert isinstance(trained, AuxiliaryLogits) and len(trained.auxiliary) == 2
    assert all(x.shape == (2, 3) for x in jax.tree.leaves(trained))
    assert output(model, 224, 224, 3).shape == (2, 3)
    assert output(model, 100, 100, 3).shape == (2, 3)
    with pytest.raises(ValueError, match="14"):
        output(model, 100, 100, 3, train=True)
    any_size = googlenet(LEAST_MODULES, num_classes=3, auxiliary=True, dtype=jnp.bfloat16)
    trained = output(any_size, 40, 33, 3, train=True)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(trained)] == [((2, 3), jnp.bfloat16)] * 3


def unit(layer, x, strides=1):
    return relu(conv(layer["conv"], x, strides) + layer["conv"]["bias"])


def pool(x, strides):
    """Windows of 3: around each place for stride 1, else from each second place on."""
    around = (1, 1) if strides == 1 else (0, 2)
    x = np.pad(x, ((0, 0), around, around, (0, 0)), constant_values=-np.inf)
    h, w = x.shape[1] - 2, x.shape[2] - 2
    found = np.max([x[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], 0)
    if strides == 2:  # an even size has half as many windows, and an odd one less than that
        found = found[:, : h - h % 2 : 2, : w - w % 2 : 2]
    return found


def module(p, x):
    parts = []
    for name in ("one", "three", "five", "pool"):
        y = pool(x, 1) if name == "pool" else x
        for layer in p[name]["layers"].values():
            y = unit(layer, y)
        parts.append(y)
    return np.concatenate(parts, -1)


def test_the_network_is_its_formula():
    model = TINY()
    variables = random_variables(model)
    p, images = variables.params, normal(2, 32, 36, 3)
    x = response(pool(unit(p["conv1"], images, 2), 2))
    x = response(unit(p["conv3"], unit(p["conv2"], x)))
    for stage in "012":
        x = module(p["stages"][stage]["0"], pool(x, 2))
    expected = x.mean((1, 2)) @ p["head"]["linear"]["kernel"] + p["head"]["linear"]["bias"]
    logits = quick(lambda v, x: model.apply(v, x)[0])(variables, images)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


def test_heads_need_classes_and_images_room():
    with pytest.raises(ValueError, match="have classes"):
        inception_v1(auxiliary=True, num_classes=None)
    with pytest.raises(ValueError, match="32 rows"):
        output(BARE, 31, 40, 3)
