"""Pre-activation ResNet against Keras's and timm's counts, and NumPy."""

import numpy as np
import pytest

from jdl.models.convnets.preact_resnet import PREACT_RESNETS, TIMM, preact_resnet
from tests.models.convnets.test_resnet import randomized, shapes, total
from tests.nn.test_convolution import normal, quick
from tests.nn.test_residual import conv, norm, relu

slow = pytest.mark.slow
PUBLISHED = [
    ("resnet50v2", 25_568_360),
    ("resnetv2_50", 25_549_352),
    pytest.param("resnet101v2", 44_577_896, marks=slow),
    pytest.param("resnet152v2", 60_236_904, marks=slow),
    pytest.param("resnetv2_101", 44_541_480, marks=slow),
]


@pytest.mark.parametrize(("name", "published"), PUBLISHED)
def test_parameters_are_those_published(name, published):
    assert total(PREACT_RESNETS[name]()) == published


def test_stages_halve_the_size_at_their_end_or_at_their_begin():
    rows = [s[1] for s in shapes(preact_resnet((1, 2, 1, 2), widths=[2, 4, 6, 8]), 1, 224, 224, 3)]
    assert rows == [112, 28, 14, 7, 7]
    timm = preact_resnet((1, 2, 1, 2), widths=[2, 4, 6, 8], **TIMM)
    assert [s[1] for s in shapes(timm, 1, 224, 224, 3)] == [112, 56, 28, 14, 7]


def biased(p, x, strides=1):
    return conv(p, x, strides) + (p["bias"] if "bias" in p else 0)


def bottleneck(p, x, strides, eps):
    """A pre-activation bottleneck in NumPy."""
    shrunk = 1 / np.sqrt(1 + eps)
    active = relu(norm(p["norms"]["0"], x, shrunk))
    y = biased(p["convs"]["0"], active)
    y = biased(p["convs"]["1"], relu(norm(p["norms"]["1"], y, shrunk)), strides)
    y = biased(p["convs"]["2"], relu(norm(p["norms"]["2"], y, shrunk)))
    if "shortcut" in p:
        return y + biased(p["shortcut"]["layers"]["0"], active, strides)
    return y + x[:, ::strides, ::strides]


def pooled(x, border):
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=border)
    rows = (x.shape[1] - 1) // 2
    taps = [x[:, i : i + 2 * rows : 2, j : j + 2 * rows : 2] for i in range(3) for j in range(3)]
    return np.max(taps, 0)


@pytest.mark.parametrize("keras", [True, False])
def test_a_small_network_is_its_formula(keras):
    form = {} if keras else TIMM
    model = preact_resnet((2, 1), widths=(2, 3), num_classes=3, **form)
    variables, images = randomized(model), np.abs(normal(2, 15, 15, 3))
    p, eps = variables.params, 1.001e-5 if keras else 1e-5
    p["conv1"]["kernel"] = -np.abs(p["conv1"]["kernel"])  # negative maps: the border matters
    x = biased(p["conv1"], images, 2)
    assert np.any(pooled(x, 0) != pooled(x, -np.inf))
    x = pooled(x, 0 if keras else -np.inf)
    strides = [1, 2, 1] if keras else [1, 1, 2]
    blocks = [p["stages"][stage][block] for stage, block in [("0", "0"), ("0", "1"), ("1", "0")]]
    for block, stride in zip(blocks, strides, strict=True):
        x = bottleneck(block, x, stride, eps)
    x = relu(norm(p["norm"], x, 1 / np.sqrt(1 + eps)))
    expected = x.mean((1, 2)) @ p["head"]["linear"]["kernel"] + p["head"]["linear"]["bias"]
    found = quick(lambda v: model.apply(v, images)[0], variables)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
