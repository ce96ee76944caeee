"""Residual, highway, Inception, dense, inverted residual blocks: by hand, and published counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.convolution import correlate
from jdl.nn.dense_block import DenseBlock, Transition
from jdl.nn.highway import Highway
from jdl.nn.inception import AuxiliaryHead, Inception, InceptionWidths, naive_widths
from jdl.nn.inverted_residual import InvertedResidual, SqueezeExcite
from jdl.nn.residual import PreActivationBlock, ResidualBlock
from tests.nn.test_convolution import EXACT, normal, quick

X = normal(2, 6, 6, 4)
SHRUNK = 1 / np.sqrt(1 + 1e-5)  # what a fresh batch norm does in evaluation


def made(build, scale=1.0):
    """A module whose params are all random: params, evaluation."""
    model = functional(lambda rngs: build(rngs=rngs))
    variables = model.init(jax.random.key(0))
    leaves, structure = jax.tree.flatten(variables.params)
    rng = np.random.default_rng(1)
    leaves = [scale * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    params = jax.tree.unflatten(structure, leaves)

    def apply(params, x):
        return model.apply(Variables(params, variables.buffers), x)[0]

    return params, functools.partial(quick, apply)


def norm(p, x, shrunk=SHRUNK):
    return x * shrunk * p["scale"] + p["bias"]


def conv(p, x, strides=1, **options):
    kernel = np.asarray(p["kernel"])
    pad = kernel.shape[0] // 2
    found = quick(
        lambda x: correlate(x, kernel, strides=strides, padding=pad, **options), np.asarray(x)
    )
    return np.asarray(found)


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("stride_first", [True, False])
def test_a_bottleneck_is_its_formula(stride_first):
    build = functools.partial(ResidualBlock, 4, 2, 2, bottleneck=True, stride_first=stride_first)
    p, apply = made(build)
    strides = (2, 1, 1) if stride_first else (1, 2, 1)
    y = X
    for i, stride in enumerate(strides):
        y = norm(p["norms"][str(i)], conv(p["convs"][str(i)], y, stride))
        y = relu(y) if i < 2 else y
    past = p["shortcut"]["layers"]
    past = norm(past["1"], conv(past["0"], X, 2))
    np.testing.assert_allclose(apply(p, X), relu(y + past), rtol=1e-4, atol=1e-4)


def test_a_basic_block_with_zero_maps_added_is_its_formula():
    p, apply = made(functools.partial(ResidualBlock, 4, 6, 2, shortcut="zeros"))
    assert "shortcut" not in p
    y = relu(norm(p["norms"]["0"], conv(p["convs"]["0"], X, 2)))
    y = norm(p["norms"]["1"], conv(p["convs"]["1"], y))
    y = y + np.pad(X[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, 2)))
    np.testing.assert_allclose(apply(p, X), relu(y), rtol=1e-4, atol=1e-4)


def test_a_pre_activation_block_is_its_formula_and_projects_the_activated_maps():
    p, apply = made(functools.partial(PreActivationBlock, 4, 6, 2))
    active = relu(norm(p["norms"]["0"], X))
    y = conv(p["convs"]["0"], active, 2)
    y = conv(p["convs"]["1"], relu(norm(p["norms"]["1"], y)))
    past = conv(p["shortcut"]["layers"]["0"], active, 2)
    np.testing.assert_allclose(apply(p, X), y + past, rtol=1e-4, atol=1e-4)


def test_a_branch_of_zeros_is_the_identity_and_so_is_its_gradient():
    model = functional(
        lambda rngs: PreActivationBlock(4, 1, bottleneck=True, zero_init=True, rngs=rngs)
    )
    variables = model.init(jax.random.key(0))
    errors = normal(*X.shape)

    def both(x):
        y, pull = jax.vjp(lambda x: model.apply(variables, x)[0], x)
        return y, pull(errors)[0]

    y, back = quick(both, X)
    np.testing.assert_array_equal(y, X)
    np.testing.assert_array_equal(back, errors)
    after = functional(lambda rngs: ResidualBlock(4, 4, zero_init=True, rngs=rngs))
    found = quick(lambda x: after.apply(after.init(jax.random.key(0)), x)[0], X)
    np.testing.assert_array_equal(found, relu(X))


def test_other_norms_fit_and_wrong_shortcuts_are_refused():
    group = functools.partial(nnx.GroupNorm, num_groups=2)
    model = functional(lambda rngs: ResidualBlock(4, 4, norm=group, zero_init=True, rngs=rngs))
    assert jax.eval_shape(model.init, jax.random.key(0)).buffers == {}
    with pytest.raises(ValueError, match="got 'none'"):
        functional(lambda rngs: ResidualBlock(4, 4, shortcut="none", rngs=rngs))
    with pytest.raises(ValueError, match="wants projection"):
        functional(lambda rngs: ResidualBlock(4, 2, shortcut="zeros", rngs=rngs))


def test_a_highway_is_its_formula_its_identity_and_its_transform():
    p, apply = made(functools.partial(Highway, 4))
    assert sum(x.size for x in jax.tree.leaves(p)) == 2 * 4 * 5
    x = X[0, 0]

    def affine(layer):
        return x @ layer["kernel"] + layer["bias"]

    gate = 1 / (1 + np.exp(-affine(p["gate"])))
    expected = gate * np.tanh(affine(p["transform"])) + (1 - gate) * x
    np.testing.assert_allclose(apply(p, x), expected, **EXACT)
    for bias, wanted in [(-40.0, x), (40.0, np.tanh(affine(p["transform"])))]:
        shut = {
            **p,
            "gate": {"kernel": 0 * p["gate"]["kernel"], "bias": np.full(4, bias, np.float32)},
        }
        np.testing.assert_allclose(apply(shut, x), wanted, **EXACT)


def test_a_highway_starts_near_the_identity_may_have_no_bias_and_may_convolve():
    model = functional(lambda rngs: Highway(4, gate_bias=-3.0, rngs=rngs))
    assert model.init(jax.random.key(0)).params["gate"]["bias"].tolist() == [-3] * 4
    bare = functional(lambda rngs: Highway(4, gate_bias=None, rngs=rngs))
    assert set(jax.eval_shape(bare.init, jax.random.key(0)).params["gate"]) == {"kernel"}
    layer = functools.partial(nnx.Conv, kernel_size=(3, 3))
    maps = functional(lambda rngs: Highway(4, layer=layer, rngs=rngs))
    variables = jax.eval_shape(maps.init, jax.random.key(0))
    assert jax.eval_shape(maps.apply, variables, X)[0].shape == X.shape


def test_inception_concatenates_its_branches():
    p, apply = made(functools.partial(Inception, 4, InceptionWidths(2, 3, 1, 2, 3, 5)))

    def unit(layer, x):
        return relu(conv(layer["conv"], x) + layer["conv"]["bias"])

    def branch(name, x):
        for i in sorted(p[name]["layers"]):
            x = unit(p[name]["layers"][i], x)
        return x

    around = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    pooled = np.max([around[:, i : i + 6, j : j + 6] for i in range(3) for j in range(3)], 0)
    parts = [branch("one", X), branch("three", X), branch("five", X), branch("pool", pooled)]
    np.testing.assert_allclose(apply(p, X), np.concatenate(parts, -1), rtol=1e-4, atol=1e-4)


def test_the_naive_module_passes_all_pooled_channels_on():
    model = functional(lambda rngs: Inception(4, naive_widths(2, 3, 1), rngs=rngs))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert "pool" not in variables.params
    assert jax.eval_shape(model.apply, variables, X)[0].shape == (2, 6, 6, 2 + 3 + 1 + 4)


def test_multiplications_of_004_by_the_reduction():
    plain, first, second = 28 * 28 * 32 * 25 * 64, 28 * 28 * 16 * 64, 28 * 28 * 32 * 25 * 16
    assert (plain, first + second) == (40_140_800, 10_838_016)


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


def count(*builds):
    modules = nnx.eval_shape(lambda: nnx.List([build(rngs=nnx.Rngs(0)) for build in builds]))
    return sum(x.size for x in jax.tree.leaves(nnx.state(modules, nnx.Param)))


def stages(block, channels, plan, expansion=1, **options):
    """Blocks of a network: plan of (maps, number, stride of the first)."""
    for maps, number, stride in plan:
        for i in range(number):
            yield functools.partial(block, channels, maps, stride if i == 0 else 1, **options)
            channels = expansion * maps


IMAGENET = [64, 128, 256, 512]
CIFAR = [(16, 3, 1), (32, 3, 2), (64, 3, 2)]


def resnet(numbers, expansion, **options):
    plan = zip(IMAGENET, numbers, [1, 2, 2, 2], strict=True)
    blocks = count(*stages(ResidualBlock, 64, plan, expansion, **options))
    return 7 * 7 * 3 * 64 + 2 * 64 + blocks + 512 * expansion * 1000 + 1000


def test_residual_blocks_add_up_to_published_networks():
    assert resnet([2, 2, 2, 2], 1) == 11_689_512  # ResNet-18 of torchvision
    assert resnet([3, 4, 6, 3], 4, bottleneck=True) == 25_557_032  # ResNet-50
    cifar = count(*stages(ResidualBlock, 16, CIFAR, shortcut="zeros"))
    assert 27 * 16 + 2 * 16 + cifar + 650 == 269_722  # ResNet-20, 0.27 M in table 6
    wide = [(160, 4, 1), (320, 4, 2), (640, 4, 2)]
    wide = count(*stages(PreActivationBlock, 16, wide))
    assert 27 * 16 + wide + 2 * 640 + 6410 == 36_479_194  # WRN-28-10, 36.5 M


MODULES = [
    (192, 64, 96, 128, 16, 32, 32),
    (256, 128, 128, 192, 32, 96, 64),
    (480, 192, 96, 208, 16, 48, 64),
    (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64),
    (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128),
    (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
]


def test_inception_modules_and_heads_add_up_to_googlenet():
    modules = [functools.partial(Inception, c, InceptionWidths(*w)) for c, *w in MODULES]
    assert count(modules[0]) == 163_696
    stem = (49 * 3 + 1) * 64 + (64 + 1) * 64 + (9 * 64 + 1) * 192
    total = stem + count(*modules) + 1_025_000
    assert total == 6_998_552
    heads = count(functools.partial(AuxiliaryHead, 512), functools.partial(AuxiliaryHead, 528))
    assert total + heads == 13_378_280


def test_dense_blocks_add_up_to_densenet_121():
    channels, parts = 64, []
    for number in (6, 12, 24, 16):
        parts.append(functools.partial(DenseBlock, channels, number))
        channels += 32 * number
        if number != 16:
            parts.append(functools.partial(Transition, channels))
            channels //= 2
    assert 49 * 3 * 64 + 128 + count(*parts) + 2 * 1024 + 1_025_000 == 7_978_856


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


def test_the_auxiliary_head_takes_maps_of_one_size_and_gives_logits():
    model = functional(lambda rngs: AuxiliaryHead(4, 3, rngs=rngs))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert variables.params["dense"]["kernel"].shape == (2048, 1024)
    logits = jax.eval_shape(model.apply, variables, jnp.zeros([2, 14, 14, 4]))[0]
    assert logits.shape == (2, 3)
    with pytest.raises(ValueError, match="14"):
        jax.eval_shape(model.apply, variables, jnp.zeros([2, 12, 12, 4]))


def test_half_precision_goes_through_every_block():
    blocks = [
        functools.partial(ResidualBlock, 4, 6, 2),
        functools.partial(PreActivationBlock, 4, 4),
        functools.partial(Inception, 4, naive_widths(2, 3, 1)),
        functools.partial(DenseBlock, 8, 1, 4),
        functools.partial(Transition, 12),
        functools.partial(InvertedResidual, 4, 4),
        functools.partial(Highway, 4),
    ]
    for build in blocks:
        model = functional(lambda rngs, build=build: build(dtype=jnp.bfloat16, rngs=rngs))
        variables = jax.eval_shape(model.init, jax.random.key(0))
        assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(variables.params))
        maps = jax.ShapeDtypeStruct([2, 8, 8, build.args[0]], jnp.float32)
        assert jax.eval_shape(model.apply, variables, maps)[0].dtype == jnp.bfloat16
