"""Dense blocks and transitions by hand, and added up to DenseNet-121."""

import functools

import numpy as np
import pytest

from jdl.functional import functional
from jdl.nn.dense_block import DenseBlock, Transition
from tests.nn.test_convolution import EXACT
from tests.nn.test_residual import X, comes_in_half, conv, count, made, norm, relu


def test_a_dense_block_keeps_its_inputs_and_adds_k_maps_a_layer():
    p, apply = made(functools.partial(DenseBlock, 4, 2, 3))
    maps = X
    for i in "01":
        y = maps
        for j in "01":
            layer = p["layers"][i]["layers"][j]
            y = conv(layer["conv"], relu(norm(layer["norm"], y)))
        maps = np.concatenate([maps, y], -1)
    found = apply(p, X)
    assert found.shape == (2, 6, 6, 10)
    np.testing.assert_array_equal(found[..., :4], X)
    np.testing.assert_allclose(found, maps, rtol=1e-3, atol=1e-3)


def test_a_transition_halves_the_size_and_the_maps():
    p, apply = made(functools.partial(Transition, 4))
    maps = np.asarray(conv(p["layer"]["conv"], relu(norm(p["layer"]["norm"], X))))
    expected = maps.reshape(2, 3, 2, 3, 2, 2).mean((2, 4))
    np.testing.assert_allclose(apply(p, X), expected, **EXACT)
    with pytest.raises(ValueError, match="got 1.5"):
        functional(lambda rngs: Transition(4, 1.5, rngs=rngs))


def test_dense_blocks_add_up_to_densenet_121():
    channels, parts = 64, []
    for number in (6, 12, 24, 16):
        parts.append(functools.partial(DenseBlock, channels, number))
        channels += 32 * number
        if number != 16:
            parts.append(functools.partial(Transition, channels))
            channels //= 2
    assert 49 * 3 * 64 + 128 + count(*parts) + 2 * 1024 + 1_025_000 == 7_978_856


def test_half_precision_goes_through():
    builds = [
        functools.partial(DenseBlock, 8, 1, 4),
        functools.partial(DenseBlock, 8, 1, 4, bottleneck=None),
        functools.partial(Transition, 12),
    ]
    assert all(comes_in_half(build) for build in builds)
