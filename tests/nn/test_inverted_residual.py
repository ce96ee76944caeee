"""Inverted residuals by hand, stochastic depth, and MobileNet-V2 and EfficientNet-B0 added up."""

import functools

import jax
import numpy as np

from jdl.functional import functional
from jdl.nn.inverted_residual import InvertedResidual, SqueezeExcite
from tests.nn.test_convolution import EXACT, quick
from tests.nn.test_residual import X, comes_in_half, conv, count, made, norm, relu


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_squeeze_and_excitation_scales_channels():
    p, apply = made(functools.partial(SqueezeExcite, 4, 2))
    hidden = relu(X.mean((1, 2)) @ p["squeeze"]["kernel"] + p["squeeze"]["bias"])
    factors = sigmoid(hidden @ p["excite"]["kernel"] + p["excite"]["bias"])
    np.testing.assert_allclose(apply(p, X), X * factors[:, None, None], **EXACT)


def test_an_inverted_residual_is_its_formula():
    p, apply = made(functools.partial(InvertedResidual, 4, 4, expansion=2), scale=0.5)
    shrunk = 1 / np.sqrt(1 + 1e-3)

    def silu(x):
        return x * sigmoid(x)

    y = silu(norm(p["expand_norm"], np.asarray(conv(p["expand"], X)), shrunk))
    y = np.asarray(conv(p["depthwise"], y, groups=8))
    y = silu(norm(p["depthwise_norm"], y, shrunk))
    gate = p["gate"]
    assert gate["squeeze"]["kernel"].shape == (8, 1)  # a quarter of the 4 channels, not of the 8
    hidden = silu(y.mean((1, 2)) @ gate["squeeze"]["kernel"] + gate["squeeze"]["bias"])
    y = y * sigmoid(hidden @ gate["excite"]["kernel"] + gate["excite"]["bias"])[:, None, None]
    y = norm(p["project_norm"], conv(p["project"], y), shrunk)
    np.testing.assert_allclose(apply(p, X), X + y, rtol=1e-4, atol=1e-4)


def test_stochastic_depth_leaves_whole_branches_out():
    model = functional(lambda rngs: InvertedResidual(4, 4, expansion=1, drop_rate=0.5, rngs=rngs))
    variables, x = model.init(jax.random.key(0)), np.concatenate([X] * 20)

    def branches(key):
        return model.apply(variables, x, key=key, train=True)[0] - x

    found = np.asarray(quick(branches, jax.random.key(1)))
    out = (found == 0).all((1, 2, 3))
    assert 8 < out.sum() < 32  # of 40, half: 20, 3.8 deviations of 3.2
    assert (found[~out] != 0).any((1, 2, 3)).all()


MOBILENET = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]
EFFICIENTNET = zip(
    [3, 3, 5, 3, 5, 5, 3],
    [1, 6, 6, 6, 6, 6, 6],
    [16, 24, 40, 80, 112, 192, 320],
    [1, 2, 2, 3, 3, 4, 1],
    strict=True,
)


def test_inverted_residuals_add_up_to_mobilenet_v2_and_efficientnet_b0():
    blocks, channels = [], 32
    for expansion, maps, number, _ in MOBILENET:
        for _ in range(number):
            blocks.append(
                functools.partial(InvertedResidual, channels, maps, expansion=expansion, se_ratio=0)
            )
            channels = maps
    ends = 27 * 32 + 64 + 320 * 1280 + 2560 + 1_281_000
    assert ends + count(*blocks) == 3_504_872
    blocks, channels = [], 32
    for size, expansion, maps, number in EFFICIENTNET:
        for _ in range(number):
            blocks.append(
                functools.partial(InvertedResidual, channels, maps, size, expansion=expansion)
            )
            channels = maps
    assert ends + count(*blocks) == 5_288_548


def test_half_precision_goes_through():
    builds = [functools.partial(InvertedResidual, 4, 4)]
    assert all(comes_in_half(build) for build in builds)


def test_depthwise_layers_start_with_he_s_variance_of_the_taps_of_one_channel():
    block = functools.partial(InvertedResidual, 32, 32, expansion=8)
    kernel = functional(lambda rngs: block(rngs=rngs)).init(jax.random.key(0)).params["depthwise"]
    np.testing.assert_allclose(9 * np.var(kernel["kernel"]), 2, rtol=0.15)  # of 2304: 3 %
