"""Inception modules and auxiliary heads by hand, and added up to GoogLeNet."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.nn.convolution import correlate
from jdl.nn.inception import (
    AuxiliaryHead,
    Branches,
    Inception,
    InceptionWidths,
    naive_widths,
    scaled_maps,
)
from jdl.nn.pooling import avg_pool
from jdl.nn.residual import BATCH_NORM
from tests.nn.test_convolution import quick
from tests.nn.test_residual import X, comes_in_half, conv, count, made, relu


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
    """On maps of 28 x 28 x 64, each weight of the branch of 5x5 is used once a place."""
    counts = {}
    for reduction in (None, 16):
        module = nnx.eval_shape(
            lambda n=reduction: Inception(64, InceptionWidths(1, 1, 1, n, 32, 1), rngs=nnx.Rngs(0))
        )
        weights = jax.tree.leaves(nnx.state(module.five, nnx.Param))
        counts[reduction] = 28 * 28 * sum(x.size for x in weights if len(x.shape) == 4)
    assert counts == {None: 40_140_800, 16: 10_838_016}


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


def test_the_auxiliary_head_takes_maps_of_one_size_and_gives_logits():
    model = functional(lambda rngs: AuxiliaryHead(4, 3, rngs=rngs))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert variables.params["dense"]["kernel"].shape == (2048, 1024)
    logits = jax.eval_shape(model.apply, variables, jnp.zeros([2, 14, 14, 4]))[0]
    assert logits.shape == (2, 3)
    with pytest.raises(ValueError, match="14"):
        jax.eval_shape(model.apply, variables, jnp.zeros([2, 12, 12, 4]))


def test_a_head_of_any_size_pools_to_four_by_four_and_has_norms_in_place_of_biases():
    build = functools.partial(AuxiliaryHead, 4, 3, size=None, norm=BATCH_NORM)
    assert count(build) == 4 * 128 + 2 * 128 + 2049 * 1024 + 1025 * 3
    model = functional(lambda rngs: build(rngs=rngs))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    for size in (2, 14):
        assert jax.eval_shape(model.apply, variables, jnp.zeros([2, size, size, 4]))[0].shape == (
            2,
            3,
        )


def test_branches_of_a_table_are_their_formula():
    """With a fork inside of a branch, kernels that are not square, and a stride."""
    mean = functools.partial(avg_pool, window=3, strides=2, padding=1)
    table = [[(2, (1, 3)), [[(3, 3, 2)], [(1, 3, 2, 1)]]], [mean, (2, 1)]]
    p, apply = made(functools.partial(Branches, 4, table))
    first, second = p["branches"]["0"]["layers"], p["branches"]["1"]["layers"]

    def unit(layer, x, strides, pad):
        options = {"strides": strides, "padding": pad}
        y = quick(lambda x: correlate(x, layer["kernel"], **options), x)
        return relu(np.asarray(y) + layer["bias"])

    middle = unit(first["0"]["conv"], X, 1, [(0, 0), (1, 1)])
    fork = [b["layers"]["0"]["conv"] for b in first["1"]["branches"].values()]
    fork = [unit(layer, middle, 2, 1) for layer in fork]
    around = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    means = sum(around[:, i : i + 5 : 2, j : j + 5 : 2] for i in range(3) for j in range(3)) / 9
    parts = [*fork, unit(second["1"]["conv"], means, 1, 0)]
    np.testing.assert_allclose(apply(p, X), np.concatenate(parts, -1), rtol=1e-4, atol=1e-4)


def test_a_table_is_scaled_in_its_maps_alone():
    table = [abs, (8, 3, 2), [[(2, 1), [[(6, 3)]]], [(1, 1)]]]
    assert scaled_maps(table, 0.5) == [abs, (4, 3, 2), [[(1, 1), [[(3, 3)]]], [(1, 1)]]]


def test_half_precision_goes_through():
    builds = [functools.partial(Inception, 4, naive_widths(2, 3, 1))]
    assert all(comes_in_half(build) for build in builds)
