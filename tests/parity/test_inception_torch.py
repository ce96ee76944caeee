"""The Inception networks against PyTorch functions that take the same layers in the same order."""

import functools

import jax
import numpy as np
import pytest

from jdl.models.convnets.bn_inception import bn_inception
from jdl.models.convnets.googlenet import googlenet
from jdl.models.convnets.inception_v3 import inception_v3
from jdl.models.convnets.inception_v4 import inception_v4
from tests.conformance.case import quick
from tests.models.convnets.abstract import random_variables
from tests.parity.test_convolution_torch import channels_first, normal

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


def units(params, buffers):
    """(convolution, norm, its statistics) of each unit, in the order of the network."""
    if "conv" in params and "norm" in params:
        yield params["conv"], params["norm"], buffers["norm"]
        return
    for name, part in params.items():
        if isinstance(part, dict) and name not in ("head", "heads", "auxiliary"):
            yield from units(part, buffers[name])


class Layers:
    """Functions of PyTorch that take their weights one after the other."""

    def __init__(self, torch, variables, eps):
        self.torch, self.eps, self.rest = torch, eps, list(units(*variables))

    def conv(self, x, size, stride=1, padding=None):
        size = (size, size) if isinstance(size, int) else size
        padding = [n // 2 for n in size] if padding is None else padding
        conv, norm, buffers = self.rest.pop(0)
        assert conv["kernel"].shape[:2] == size
        tensor = self.torch.tensor
        bias = tensor(conv["bias"]) if "bias" in conv else None
        weight = tensor(conv["kernel"].transpose(3, 2, 0, 1).copy())
        x = self.torch.nn.functional.conv2d(x, weight, bias, stride, padding)
        statistics = tensor(buffers["mean"]), tensor(buffers["var"])
        scale, bias = tensor(norm["scale"]), tensor(norm["bias"])
        x = self.torch.nn.functional.batch_norm(x, *statistics, scale, bias, eps=self.eps)
        return self.torch.relu(x)

    def chain(self, x, *sizes):
        for size in sizes:
            x = self.conv(x, *size) if isinstance(size, list) else self.conv(x, size)
        return x

    def mean(self, x, inside=False):
        pool = self.torch.nn.functional.avg_pool2d
        return self.conv(pool(x, 3, 1, 1, count_include_pad=not inside), 1)

    def largest(self, x, ceil=False, window=3):
        return self.torch.nn.functional.max_pool2d(x, window, 2, ceil_mode=ceil)

    def fork(self, x, *sizes):
        return self.torch.cat([self.conv(x, size) for size in sizes], 1)

    def cat(self, *parts):
        return self.torch.cat(parts, 1)


FLAT, TALL, SHRUNK, HALVED = (1, 7), (7, 1), [3, 1, 0], [3, 2, 0]


def stem(o, x):
    return o.chain(x, HALVED, SHRUNK, 3)


def inception_v3_in_torch(o, x):
    x = o.largest(stem(o, x))
    x = o.largest(o.chain(x, 1, SHRUNK))
    x = o.cat(o.conv(x, 1), o.chain(x, 1, 5), o.chain(x, 1, 3, 3), o.mean(x))
    x = o.cat(o.conv(x, *HALVED), o.chain(x, 1, 3, HALVED), o.largest(x))
    twice = o.conv(x, 1), o.chain(x, 1, FLAT, TALL), o.chain(x, 1, TALL, FLAT, TALL, FLAT)
    x = o.cat(*twice, o.mean(x))
    x = o.cat(o.chain(x, 1, HALVED), o.chain(x, 1, FLAT, TALL, HALVED), o.largest(x))
    one, three = o.conv(x, 1), o.fork(o.conv(x, 1), (1, 3), (3, 1))
    return o.cat(one, three, o.fork(o.chain(x, 1, 3), (1, 3), (3, 1)), o.mean(x))


def inception_v4_in_torch(o, x):
    x = stem(o, x)
    x = o.cat(o.largest(x), o.conv(x, *HALVED))
    x = o.cat(o.chain(x, 1, SHRUNK), o.chain(x, 1, FLAT, TALL, SHRUNK))
    x = o.cat(o.conv(x, *HALVED), o.largest(x))
    x = o.cat(o.conv(x, 1), o.chain(x, 1, 3), o.chain(x, 1, 3, 3), o.mean(x, True))
    x = o.cat(o.conv(x, *HALVED), o.chain(x, 1, 3, HALVED), o.largest(x))
    twice = o.conv(x, 1), o.chain(x, 1, FLAT, TALL), o.chain(x, 1, TALL, FLAT, TALL, FLAT)
    x = o.cat(*twice, o.mean(x, True))
    x = o.cat(o.chain(x, 1, HALVED), o.chain(x, 1, FLAT, TALL, HALVED), o.largest(x))
    one, three = o.conv(x, 1), o.fork(o.conv(x, 1), (1, 3), (3, 1))
    deep = o.fork(o.chain(x, 1, (3, 1), (1, 3)), (1, 3), (3, 1))
    return o.cat(one, three, deep, o.mean(x, True))


def bn_inception_in_torch(o, x):
    x = o.largest(o.conv(x, 7, 2), True)
    x = o.largest(o.chain(x, 1, 3), True)
    x = o.cat(o.conv(x, 1), o.chain(x, 1, 3), o.chain(x, 1, 3, 3), o.mean(x))
    x = o.cat(o.chain(x, 1, [3, 2]), o.chain(x, 1, 3, [3, 2]), o.largest(x, True))
    largest = o.torch.nn.functional.max_pool2d(x, 3, 1, 1)
    return o.cat(o.conv(x, 1), o.chain(x, 1, 3), o.chain(x, 1, 3, 3), o.conv(largest, 1))


def googlenet_in_torch(o, x):
    """With the 3x3 that torchvision has in place of the 5x5. Params come by their names' order."""

    def module(x):
        five, one = o.chain(x, 1, 3), o.conv(x, 1)
        pooled = o.conv(o.torch.nn.functional.max_pool2d(x, 3, 1, 1), 1)
        return o.cat(one, o.chain(x, 1, 3), five, pooled)

    x = o.largest(o.conv(x, 7, 2), True)
    x = o.largest(o.chain(x, 1, 3), True)
    x = o.largest(module(x), True)
    return module(o.largest(module(x), True, 2))


ROW = (3, 2, 4, 2, 3)
BN_ROWS = (((*ROW, "mean", 2),), ((0, *ROW[1:], "stride", 0), (*ROW, "max", 2)), ())
CASES = {
    "v3": (functools.partial(inception_v3, (32,), (128,), 1), inception_v3_in_torch, 107, 1e-3),
    "v4": (functools.partial(inception_v4, 1, 1, 1), inception_v4_in_torch, 107, 1e-3),
    "bn": (functools.partial(bn_inception, BN_ROWS, (4, 3, 5)), bn_inception_in_torch, 64, 1e-5),
    "googlenet": (
        functools.partial(googlenet, [[(2, 3, 2, 3, 1, 2)]] * 3, (4, 3, 5)),
        googlenet_in_torch,
        75,
        1e-3,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_maps_are_pytorch_s(torch, name):
    make, in_torch, size, eps = CASES[name]
    if name in ("v3", "v4"):
        make = functools.partial(make, width=1 / 32)
    model = make(num_classes=None)
    variables = random_variables(model)
    images = normal(2, size, size + 6, 3)
    layers = Layers(torch, jax.tree.map(np.asarray, variables), eps)
    expected = in_torch(layers, torch.tensor(channels_first(images)))
    assert not layers.rest
    found = quick(lambda v, x: model.apply(v, x, method="features")[0][-1])(variables, images)
    np.testing.assert_allclose(channels_first(found), expected, rtol=1e-3, atol=1e-3)
