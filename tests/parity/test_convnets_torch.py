"""AlexNet, VGG and what they are made of against PyTorch."""

import functools

import jax
import numpy as np
import pytest

from jdl.core import Variables
from jdl.models.convnets.alexnet import alexnet
from jdl.models.convnets.vgg import vgg
from jdl.nn.convolution import relaid
from jdl.nn.normalization import local_response_norm
from jdl.nn.pooling import adaptive_avg_pool
from tests.models.convnets.abstract import random_variables
from tests.parity.test_convolution_torch import both, channels_first, normal

pytestmark = pytest.mark.parity
IMAGES = normal(2, 65, 130, 3)
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


def set_conv(theirs, layer, torch):
    kernel = np.asarray(layer["kernel"])
    theirs.weight.data = torch.tensor(np.ascontiguousarray(relaid(kernel, "HWIO", "OIHW")))
    theirs.bias.data = torch.tensor(np.asarray(layer["bias"]))


def set_head(theirs, head, grid, torch):
    """The first dense layer sees maps flattened as C, H, W there and as H, W, C here."""
    kernel = np.asarray(head["dense1"]["kernel"])
    kernel = kernel.reshape(grid, grid, -1, kernel.shape[1]).transpose(2, 0, 1, 3)
    kernels = [
        kernel.reshape(-1, kernel.shape[-1]),
        *(head[n]["kernel"] for n in ("dense2", "head")),
    ]
    biases = [head[name]["bias"] for name in ("dense1", "dense2", "head")]
    linear = [layer for layer in theirs if isinstance(layer, torch.nn.Linear)]
    for layer, kernel, bias in zip(linear, kernels, biases, strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)


def dense_head(torch, grid, maps, classes):
    nn = torch.nn
    hidden = [nn.Linear(grid**2 * maps, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU()]
    return [nn.AdaptiveAvgPool2d(grid), nn.Flatten(), *hidden, nn.Linear(5, classes)]


@pytest.mark.parametrize("size", [(7, 7), (3, 4), (9, 2)])
def test_adaptive_pooling(torch, size):
    both(
        torch,
        lambda x: adaptive_avg_pool(x, size),
        lambda x: torch.nn.functional.adaptive_avg_pool2d(x, size),
        normal(2, 7, 14, 3),
    )


def test_vgg(torch):
    """In torchvision's layout, with images of a size that the regions do not divide."""
    nn, maps = torch.nn, (4, 6, 8)
    make = functools.partial(vgg, ((3,), (3, 3), (3, 1)), maps, num_classes=3, hidden_dim=5, grid=3)
    model = make()
    params, buffers = random_variables(model, 0.2)
    units = [unit["conv"] for stage in params["stages"].values() for unit in stage.values()]
    theirs, channels = [], 3
    for sizes, count in zip(((3,), (3, 3), (3, 1)), maps, strict=True):
        for size in sizes:
            theirs += [nn.Conv2d(channels, count, size, padding=size // 2), nn.ReLU()]
            channels = count
        theirs += [nn.MaxPool2d(2, 2)]
    for layer, unit in zip((t for t in theirs if isinstance(t, nn.Conv2d)), units, strict=True):
        set_conv(layer, unit, torch)
    head = dense_head(torch, 3, 8, 3)
    set_head(head, params["head"], 3, torch)
    expected = nn.Sequential(*theirs, *head)(torch.tensor(channels_first(IMAGES)))
    found, _ = jax.jit(model.apply)(Variables(params, buffers), IMAGES)
    np.testing.assert_allclose(found, expected.detach(), **CLOSE)


@pytest.mark.parametrize("size", [5, 4])
def test_local_response_norm_whose_alpha_is_n_times_ours_there(torch, size):
    norm = torch.nn.LocalResponseNorm(size, alpha=0.1 * size, beta=0.75, k=2.0)
    both(torch, lambda x: local_response_norm(x, size, alpha=0.1), norm, normal(2, 4, 3, 9))


def test_alexnet(torch):
    """The layers of torchvision's, with two groups and the norm of the paper besides."""
    nn, maps, groups = torch.nn, (4, 6, 5, 4, 6), (1, 2, 1, 1, 2)
    options = {"num_classes": 3, "hidden_dim": 5, "grid": 2}
    model = alexnet(maps, groups, response_norm=local_response_norm, **options)
    params, buffers = random_variables(model, 0.2)
    response, pool = nn.LocalResponseNorm(5, alpha=5e-4, k=2.0), nn.MaxPool2d(3, 2)
    after = [[response, pool], [response, pool], [], [], [pool]]
    shapes = [(11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1)]
    theirs, channels = [], 3
    for i, (size, strides, padding) in enumerate(shapes):
        conv = nn.Conv2d(channels, maps[i], size, strides, padding, groups=groups[i])
        set_conv(conv, params["convs"][str(i)], torch)
        theirs += [conv, nn.ReLU(), *after[i]]
        channels = maps[i]
    head = dense_head(torch, 2, 6, 3)
    set_head(head, params["head"], 2, torch)
    expected = nn.Sequential(*theirs, *head)(torch.tensor(channels_first(IMAGES)))
    found, _ = jax.jit(model.apply)(Variables(params, buffers), IMAGES)
    np.testing.assert_allclose(found, expected.detach(), **CLOSE)
