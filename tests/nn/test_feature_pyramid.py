"""The feature pyramid by its formula, and its count in Faster R-CNN."""

import functools

import numpy as np
import pytest

from jdl.nn.feature_pyramid import FeaturePyramid
from tests.nn.test_convolution import normal
from tests.nn.test_residual import conv, count, made


def test_a_pyramid_is_its_formula_with_odd_sizes_too():
    maps = [normal(2, 10, 7, 3), normal(2, 5, 4, 4), normal(2, 3, 2, 5)]
    p, apply = made(functools.partial(FeaturePyramid, [3, 4, 5], 6))

    def layer(name, i, x):
        return conv(p[name][str(i)], x) + p[name][str(i)]["bias"]

    merged = {2: layer("laterals", 2, maps[2])}
    for i in (1, 0):
        (_, height, width, _), coarse = maps[i].shape, merged[i + 1]
        up = np.zeros([2, height, width, 6])
        for row in range(height):
            for column in range(width):
                place = row * coarse.shape[1] // height, column * coarse.shape[2] // width
                up[:, row, column] = coarse[:, place[0], place[1]]
        merged[i] = layer("laterals", i, maps[i]) + up
    expected = [layer("smooths", i, merged[i].astype(np.float32)) for i in range(3)]
    expected.append(expected[-1][:, ::2, ::2])
    for found, wanted in zip(apply(p, maps), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_the_pyramid_of_resnet_50_has_its_count():
    build = functools.partial(FeaturePyramid, (256, 512, 1024, 2048), 256)
    assert count(build) == 256 * (3840 + 4) + 4 * 256 * (9 * 256 + 1) == 3_344_384
    p, apply = made(functools.partial(FeaturePyramid, [3, 4], 6))
    with pytest.raises(ValueError, match="2 maps; got 1"):
        apply(p, [normal(1, 4, 4, 3)])
