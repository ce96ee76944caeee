"""Residual blocks by their formulas, as the identity, and added up to published networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.core import Variables
from jdl.functional import functional
from jdl.nn.convolution import correlate
from jdl.nn.residual import PreActivationBlock, ResidualBlock
from tests.nn.test_convolution import normal, quick

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


def comes_in_half(build):
    """In bfloat16 where that is asked for, from images that are not; the params stay."""
    model = functional(lambda rngs: build(dtype=jnp.bfloat16, rngs=rngs))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    maps = jax.ShapeDtypeStruct([2, 8, 8, build.args[0]], jnp.float32)
    outputs, _ = jax.eval_shape(model.apply, variables, maps)
    full = all(x.dtype == jnp.float32 for x in jax.tree.leaves(variables.params))
    return full and outputs.dtype == jnp.bfloat16


def count(*builds):
    """Parameters of all, each a functools.partial; those of equal blocks are counted once."""
    return sum(_count(b.func, b.args, tuple(sorted(b.keywords.items()))) for b in builds)


@functools.cache
def _count(block, arguments, options):
    module = nnx.eval_shape(lambda: block(*arguments, **dict(options), rngs=nnx.Rngs(0)))
    return sum(x.size for x in jax.tree.leaves(nnx.state(module, nnx.Param)))


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


def test_half_precision_goes_through():
    builds = [
        functools.partial(ResidualBlock, 4, 6, 2),
        functools.partial(ResidualBlock, 4, 4),
        functools.partial(PreActivationBlock, 4, 4),
    ]
    assert all(comes_in_half(build) for build in builds)
