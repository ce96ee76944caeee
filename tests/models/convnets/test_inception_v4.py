"""Inception-v4 and BN-Inception against published counts and the shapes of their figures."""

import functools
import inspect

import jax
import jax.numpy as jnp
import pytest

from jdl.models.convnets.bn_inception import bn_inception
from jdl.models.convnets.inception_v4 import inception_v4
from tests.models.convnets.abstract import abstract, count, map_shapes, output


def test_counts_and_maps_of_inception_v4():
    """From one block of each kind: those after it have the same inputs, and keep the size."""
    model = inception_v4(1, 1, 1)
    stages = abstract(model).params["stages"]
    blocks = [stages[i]["layers"]["1"] for i in "234"]
    a, b, c = (sum(x.size for x in jax.tree.leaves(block)) for block in blocks)
    assert count(model) + 3 * a + 6 * b + 2 * c == 42_679_816  # timm
    sizes, maps = [147, 71, 35, 17, 8], [64, 192, 384, 1024, 1536]
    expected = [(n, n, c) for n, c in zip(sizes, maps, strict=True)]
    assert map_shapes(model, 299, 299, 3) == expected
    numbers = [inspect.signature(inception_v4).parameters[f"num_{i}"].default for i in "abc"]
    assert numbers == [4, 7, 3]


@pytest.mark.slow
def test_counts_and_maps_of_bn_inception():
    model = bn_inception()
    assert count(model) == 11_295_240  # pretrainedmodels and imgclsmob
    sizes, maps = [112, 56, 28, 14, 7], [64, 192, 320, 608, 1024]
    expected = [(n, n, c) for n, c in zip(sizes, maps, strict=True)]
    assert map_shapes(model, 224, 224, 3) == expected


STRIDE = ((2, 2, 2, 2, 2, "mean", 2),), ((0, 2, 2, 2, 2, "stride", 0),), ()
BARE = functools.partial(bn_inception, STRIDE, (2, 2, 2), num_classes=3)


def test_a_module_of_stride_2_takes_odd_sizes():
    rows = [shape[:2] for shape in map_shapes(BARE(), 76, 100, 3)]
    assert rows == [(38, 50), (19, 25), (9, 12), (5, 6), (5, 6)]


@pytest.mark.parametrize(
    ("make", "least"), [(BARE, 32), (functools.partial(inception_v4, 0, 0, 0, width=0.01), 75)]
)
def test_half_precision_goes_through_and_small_images_are_refused(make, least):
    model = make(dtype=jnp.bfloat16)
    assert output(model, least, least, 3).dtype == jnp.bfloat16
    with pytest.raises(ValueError, match=f"{least} rows"):
        output(model, least - 1, 100, 3)
