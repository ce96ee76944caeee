"""Xception against Keras's count, the figure of the paper, and NumPy."""

import numpy as np
import pytest

from jdl.models.convnets.xception import xception
from tests.models.convnets.test_resnet import randomized, shapes, total
from tests.nn.test_convolution import normal, quick
from tests.nn.test_residual import conv, norm, relu

SHRUNK = 1 / np.sqrt(1 + 1e-3)


def test_parameters_are_those_published():
    assert total(xception()) == 22_855_952


def test_sizes_are_those_of_the_figure():
    found = shapes(xception(1), 2, 299, 299, 3)
    assert [s[1:] for s in found] == [
        (147, 147, 64),
        (74, 74, 128),
        (37, 37, 256),
        (19, 19, 728),
        (10, 10, 2048),
    ]


def separable(p, x):
    y = conv(p["depthwise"], x, groups=x.shape[-1])
    return y @ p["pointwise"]["kernel"][0, 0]


def module(p, x, low, *, active=True):
    """Two layers, pooled and added to the projection, or three, added to x."""
    y = x
    for index in sorted(p["convs"]):
        y = relu(y) if active or index != "0" else y
        y = norm(p["norms"][index], separable(p["convs"][index], y), SHRUNK)
    if "shortcut" not in p:
        return y + x
    past = norm(p["shortcut"]["1"], conv(p["shortcut"]["0"], x, 2), SHRUNK)
    y = np.pad(y, ((0, 0), (low, 2), (low, 2), (0, 0)), constant_values=-np.inf)
    n = past.shape[1]
    taps = [
        y[:, i : i + 2 * n : 2, j : j + 2 * n : 2][:, :n, :n] for i in range(3) for j in range(3)
    ]
    return np.max(taps, 0) + past


@pytest.mark.parametrize(("padding", "low"), [("SAME", 0), ("symmetric", 1)])
def test_a_small_network_is_its_formula(padding, low):
    model = xception(
        1, stem_maps=(2, 3), entry_maps=(4,), exit_maps=(5, 6, 7), num_classes=3, padding=padding
    )
    variables, images = randomized(model), normal(2, 13, 13, 3)
    p = variables.params

    def valid(name, x, strides):
        y = conv(p[name], x)[:, 1:-1:strides, 1:-1:strides]
        return relu(norm(p[name.replace("conv", "norm")], y, SHRUNK))

    x = valid("conv2", valid("conv1", images, 2), 1)
    assert x.shape[1:3] == (4, 4)  # even, and so is the next: the paddings differ
    x = module(p["entry"]["0"], x, low, active=False)
    x = module(p["middle"]["0"], x, low)
    x = module(p["exit"], x, low)
    for index in ("3", "4"):
        x = relu(norm(p[f"norm{index}"], separable(p[f"conv{index}"], x), SHRUNK))
    expected = x.mean((1, 2)) @ p["head"]["linear"]["kernel"] + p["head"]["linear"]["bias"]
    found = quick(lambda v: model.apply(v, images)[0], variables)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_images_without_a_place_left_are_refused():
    assert shapes(xception(0), 1, 7, 7, 3)[-1] == (1, 1, 1, 2048)
    with pytest.raises(ValueError, match="7 rows"):
        shapes(xception(0), 1, 6, 9, 3)
