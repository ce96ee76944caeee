"""The residual networks of CIFAR, thin and wide, against counts by hand, NumPy and the tables."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.convnets.cifar_resnet import CIFAR_RESNETS, cifar_preact_resnet, cifar_resnet
from jdl.models.convnets.wide_resnet import WIDE_RESNETS, wide_resnet
from tests.models.convnets.test_resnet import basic, randomized, shapes, total
from tests.nn.test_convolution import normal, quick
from tests.nn.test_residual import conv, norm, relu

WIDTHS = [16, 32, 64]


def thin(n):
    """Weights of 6 n + 2 layers: conv1, blocks of two 3x3 with a scale and a bias each, head."""
    channels, weights = 16, 27 * 16 + 2 * 16
    for maps in WIDTHS:
        weights += 9 * channels * maps + 2 * maps + (2 * n - 1) * (9 * maps * maps + 2 * maps)
        channels = maps
    return weights + 64 * 10 + 10


def bottlenecks(n):
    """Weights of 9 n + 2 layers, of three projections, and of the last norm."""
    channels, weights = 16, 27 * 16
    for maps in WIDTHS:
        for block in range(n):
            weights += 2 * channels + channels * maps + 2 * maps + 9 * maps * maps
            weights += 2 * maps + maps * 4 * maps
            weights += channels * 4 * maps if block == 0 else 0
            channels = 4 * maps
    return weights + 2 * 256 + 256 * 10 + 10


def wide(depth, k):
    """Weights of WRN-depth-k, pre-activation."""
    channels, weights = 16, 27 * 16
    for maps in WIDTHS:
        for _ in range((depth - 4) // 6):
            weights += 2 * channels + 9 * channels * k * maps
            weights += 2 * k * maps + 9 * (k * maps) ** 2
            weights += channels * k * maps if channels != k * maps else 0
            channels = k * maps
    return weights + 2 * channels + channels * 10 + 10


THIN = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
PREACT = {164: 1_703_258, 1001: 10_327_706}
WIDE = {  # of table 5, in millions
    (40, 1): 0.6,
    (40, 2): 2.2,
    (40, 4): 8.9,
    (40, 8): 35.7,
    (28, 10): 36.5,
    (28, 12): 52.5,
    (22, 8): 17.2,
    (22, 10): 26.8,
    (16, 8): 11.0,
    (16, 10): 17.1,
}


def test_the_published_counts_are_those_by_hand():
    assert {depth: thin((depth - 2) // 6) for depth in THIN} == THIN
    assert {depth: bottlenecks((depth - 2) // 9) for depth in PREACT} == PREACT
    norms = sum(6 * 2 * maps * 111 for maps in WIDTHS)
    assert round((PREACT[1001] - norms) / 1e6, 1) == 10.2  # as published, without norms
    assert {plan: round(wide(*plan) / 1e6, 1) for plan in WIDE} == WIDE
    assert wide(28, 10) == 36_479_194


def test_the_networks_have_the_counts_by_hand():
    # Each block more adds the same number, so that two sizes speak for all.
    assert [total(cifar_resnet(depth)) for depth in (8, 14, 20)] == [thin(1), thin(2), THIN[20]]
    assert [total(cifar_preact_resnet(depth)) for depth in (11, 20)] == [
        bottlenecks(1),
        bottlenecks(2),
    ]
    assert total(WIDE_RESNETS["wrn_28_10"]()) == 36_479_194
    assert total(wide_resnet(16, 1)) == wide(16, 1)  # stage 1 keeps 16 maps: no projection


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [("cifar_resnet110", THIN[110]), ("cifar_preact_resnet164", PREACT[164])],
)
def test_deep_networks_have_the_counts_by_hand(name, expected):
    assert total(CIFAR_RESNETS[name]()) == expected


def test_stages_have_the_sizes_of_the_tables():
    expected = [(32, 32, 16), (32, 32, 64), (16, 16, 128), (8, 8, 256)]
    assert [s[1:] for s in shapes(cifar_preact_resnet(11), 2, 32, 32, 3)] == expected
    expected = [(32, 32, 16), (32, 32, 16), (16, 16, 32), (8, 8, 64)]
    assert [s[1:] for s in shapes(cifar_resnet(8), 2, 32, 32, 3)] == expected
    assert shapes(wide_resnet(10, 2, num_classes=None), 2, 32, 32, 3, method="__call__") == (2, 128)


def test_a_thin_network_is_its_formula():
    model = cifar_resnet(6, widths=(4, 6), num_classes=3)  # two stages: 4 n + 2
    variables, images = randomized(model), normal(2, 8, 8, 3)
    p = variables.params
    x = relu(norm(p["norm1"], conv(p["conv1"], images)))
    x = basic(p["stages"]["0"]["0"], x, 1)
    block = p["stages"]["1"]["0"]
    y = relu(norm(block["norms"]["0"], conv(block["convs"]["0"], x, 2)))
    y = norm(block["norms"]["1"], conv(block["convs"]["1"], y))
    x = relu(y + np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, 2))))
    expected = x.mean((1, 2)) @ p["head"]["linear"]["kernel"] + p["head"]["linear"]["bias"]
    found = quick(lambda v: model.apply(v, images)[0], variables)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_wide_network_is_its_formula_and_dropout_changes_training_alone():
    plain = cifar_preact_resnet(4, widths=(6,), stem_features=4, bottleneck=False, num_classes=3)
    model = cifar_preact_resnet(
        4, widths=(6,), stem_features=4, bottleneck=False, num_classes=3, block_dropout_rate=0.5
    )
    variables, images = randomized(plain), normal(2, 8, 8, 3)
    p = variables.params
    x = conv(p["conv1"], images)
    block = p["stages"]["0"]["0"]
    active = relu(norm(block["norms"]["0"], x))
    y = conv(
        block["convs"]["1"], relu(norm(block["norms"]["1"], conv(block["convs"]["0"], active)))
    )
    x = relu(norm(p["norm"], y + conv(block["shortcut"]["layers"]["0"], active)))
    expected = x.mean((1, 2)) @ p["head"]["linear"]["kernel"] + p["head"]["linear"]["bias"]
    found = quick(lambda v: model.apply(v, images)[0], variables)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)

    def training(model, variables, key):
        return model.apply(variables, images, key=key, train=True)[0]

    keys = jax.random.split(jax.random.key(0))
    first, second = (quick(functools.partial(training, model), variables, key) for key in keys)
    without = quick(functools.partial(training, plain), variables, keys[0])
    gaps = [float(jnp.abs(a - b).max()) for a, b in [(first, second), (first, without)]]
    assert min(gaps) > 1e-3


def test_other_depths_are_refused():
    with pytest.raises(ValueError, match=r"6 n \+ 2, such as 20"):
        cifar_resnet(18)
    with pytest.raises(ValueError, match=r"9 n \+ 2, such as 164 or 1001; got 2"):
        cifar_preact_resnet(2)
    with pytest.raises(ValueError, match=r"6 n \+ 4"):
        wide_resnet(26)
