"""The initializers of JAX in the books' numbers, those of jdl, and what a bad start does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from jdl.models.mlp import mlp
from jdl.nn.initializers import (
    distinct_units,
    entropy_gap,
    fan_in_biases,
    fan_in_normal,
    residual_normal,
    symmetric_uniform,
)
from jdl.train import classification, descent, gradient, run

init = jax.nn.initializers
KEY = jax.random.key(0)
INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=[32, 4]), jnp.float32)
LABELS = jnp.arange(32) % 3


def trained(activation, kernel_init, steps):
    """A classifier 4-5-3 after some steps, and before them."""
    model = mlp([4, 5, 3], activation, kernel_init=kernel_init)
    algorithm = descent(gradient(classification(model)), optax.sgd(0.5))
    variables = model.init(KEY)
    batch = jax.tree.map(lambda x: jnp.stack([x] * steps), (INPUTS, LABELS))
    state, _ = jax.jit(lambda *arguments: run(algorithm, *arguments))(
        algorithm.init(variables), batch, KEY
    )
    return model, variables, state.variables


def moved(before, after):
    """The names of the params that changed."""
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
    return {
        jax.tree_util.keystr(path[1:], simple=True, separator=".")
        for path, x in jax.tree.leaves_with_path(changed)
        if x
    }


def test_a_network_of_zeros_predicts_with_the_greatest_entropy():
    model = mlp([4, 5, 3], jax.nn.sigmoid, kernel_init=init.zeros)
    logits, _ = model.apply(model.init(KEY), INPUTS)
    assert (jax.nn.softmax(logits) == jnp.float32(1) / 3).all()
    assert np.abs(entropy_gap(logits)).max() < 1e-6
    binary = mlp([4, 5, 1], jnp.tanh, kernel_init=init.zeros)
    assert (jax.nn.sigmoid(binary.apply(binary.init(KEY), INPUTS)[0]) == 0.5).all()


def test_the_entropy_gap_is_log_k_minus_the_entropy():
    logits = np.random.default_rng(1).normal(size=[5, 4]) * 3
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = np.log(4) - scipy.stats.entropy(p, axis=1)
    np.testing.assert_allclose(entropy_gap(jnp.asarray(logits)), expected, atol=1e-6)
    np.testing.assert_allclose(entropy_gap(jnp.array([200.0, 0.0])), np.log(2), atol=1e-6)


def test_from_zeros_the_first_step_moves_the_last_layer_alone():
    _, before, after = trained(jax.nn.sigmoid, init.zeros, 1)
    assert moved(before, after) == {"1.kernel", "1.bias"}  # 004 ch. 2
    _, before, after = trained(jnp.tanh, init.zeros, 1)
    assert moved(before, after) == {"1.bias"}  # the hidden units are 0, not 1/2


def test_from_zeros_the_layer_before_the_last_moves_at_the_second_step():
    _, before, after = trained(jax.nn.sigmoid, init.zeros, 2)
    assert moved(before, after) == {"0.kernel", "0.bias", "1.kernel", "1.bias"}


def units(variables):
    return int(distinct_units(variables.params["layers"]["0"]["kernel"]))


def test_units_that_start_alike_stay_alike_and_small_noise_parts_them():
    for kernel_init, activation in (
        (init.zeros, jax.nn.sigmoid),
        (init.constant(0.3), jnp.tanh),
    ):
        _, before, after = trained(activation, kernel_init, 20)
        assert moved(before, after) == {"0.kernel", "0.bias", "1.kernel", "1.bias"}
        assert units(before) == units(after) == 1
    _, before, after = trained(jnp.tanh, init.normal(0.01), 20)
    assert units(before) == units(after) == 5


def test_distinct_units_counts_columns():
    kernel = jnp.array([[[1.0, 2.0, 1.0, 1.0]], [[0.0, 0.0, 0.0, 5.0]]])
    assert int(distinct_units(kernel)) == 3
    assert int(distinct_units(kernel + 1e-6 * jnp.arange(4.0).reshape(1, 1, 4))) == 3
    assert int(distinct_units(kernel, tolerance=1.0)) == 2


def test_a_small_gaussian_has_the_std_it_names():
    draws = np.ravel(init.normal(0.01)(KEY, [300, 300]))
    assert scipy.stats.kstest(draws / 0.01, "norm").pvalue > 0.01


@pytest.mark.parametrize(
    ("initializer", "std", "limit"),
    [
        (init.glorot_normal(), 0.0438529, None),
        (init.glorot_uniform(), 0.0438529, 0.0759555),
        (init.he_normal(), 0.0505076, None),
        (init.he_uniform(), 0.0505076, 0.0874818),
        (init.variance_scaling(1.0, "fan_avg", "normal"), 0.0438529, np.inf),
        (init.variance_scaling(2.0, "fan_in", "normal"), 0.0505076, np.inf),
        (fan_in_normal(), 1 / 28, np.inf),
    ],
)
def test_glorot_he_and_fan_in_have_the_books_numbers_from_784_to_256(initializer, std, limit):
    draws = np.abs(initializer(KEY, [784, 256]))
    assert abs(np.sqrt((draws**2).mean()) / std - 1) < 0.01
    if limit == np.inf:  # 200,000 draws, not cut off
        assert draws.max() > 4 * std
    elif limit is None:  # at two deviations of the normal that was cut, whose std is greater
        assert draws.max() <= 2 * std / 0.87962566 * (1 + 1e-6)
    else:
        assert 0.999 * limit < draws.max() <= limit


def test_the_xavier_of_004_is_not_glorot_s():
    ours = np.asarray(fan_in_normal()(KEY, [100, 400])).std()
    glorot = np.asarray(init.glorot_normal()(KEY, [100, 400])).std()
    assert abs(ours - 0.1) < 0.001 and abs(glorot - np.sqrt(2 / 500)) < 0.001
    draws = np.ravel(fan_in_normal()(KEY, [100, 400])) * 10
    assert scipy.stats.kstest(draws, "norm").pvalue > 0.01
    cut = np.ravel(init.lecun_normal()(KEY, [100, 400])) * 10
    assert scipy.stats.kstest(cut, "norm").pvalue < 1e-6


def test_the_biases_of_004_s_listing_have_the_fan_in_of_their_kernels():
    model = mlp([100, 4000, 3000], kernel_init=init.zeros)
    before = model.init(KEY).params
    params = jax.jit(fan_in_biases)(before, jax.random.key(1))
    for layer, fan_in in (("0", 100), ("1", 4000)):
        bias = np.asarray(params["layers"][layer]["bias"]) * fan_in**0.5
        assert scipy.stats.kstest(bias, "norm").pvalue > 0.01
        assert (params["layers"][layer]["kernel"] == 0).all()
    only = {"scale": jnp.ones(3), "bias": jnp.ones(3)}  # a norm has no kernel
    assert fan_in_biases(only, KEY)["bias"].tolist() == [1, 1, 1]


def second_moments(kernel_init, depth=8, width=512):
    model = mlp([width] * (depth + 1), jax.nn.relu, kernel_init=kernel_init)
    x = jax.random.normal(KEY, [64, width])
    outputs, _ = jax.jit(model.apply)(model.init(jax.random.key(1)), x)
    return float(jnp.mean(outputs**2))


def test_he_keeps_the_second_moment_through_relus_and_glorot_halves_it():
    assert 0.6 < second_moments(init.he_normal()) / 2 < 1.6  # the last layer has no ReLU
    assert 0.6 < second_moments(init.glorot_normal()) * 2**7 < 1.6


def test_tanh_units_keep_their_variance_under_fan_in_normal_while_a_unit_normal_saturates():
    x = jax.random.normal(KEY, [64, 256])
    kept = x @ fan_in_normal()(jax.random.key(1), [256, 256])
    assert abs(float(jnp.var(kept)) - 1) < 0.1
    saturated = jnp.tanh(x @ init.normal(1.0)(jax.random.key(1), [256, 256]))
    assert float(jnp.mean(jnp.abs(saturated) > 0.99)) > 0.8


def test_an_orthogonal_recurrent_kernel_keeps_lengths_for_ever():
    kernel = init.orthogonal()(KEY, [64, 64])
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(64), atol=1e-5)

    def length_after(kernel, steps):
        state = jnp.ones(64) / 8
        state, _ = jax.lax.scan(lambda s, _: (s @ kernel, None), state, length=steps)
        return float(jnp.linalg.norm(state))

    assert abs(length_after(kernel, 500) - 1) < 1e-3
    assert length_after(0.9 * kernel, 500) < 1e-20


def test_symmetric_uniform_has_both_signs_and_jax_s_uniform_one():
    draws = np.ravel(symmetric_uniform(0.08)(KEY, [100, 100]))
    assert scipy.stats.kstest(draws, "uniform", (-0.08, 0.16)).pvalue > 0.01
    assert (init.uniform(0.08)(KEY, [100, 100]) >= 0).all()
    assert symmetric_uniform(0.08)(KEY, [2], jnp.bfloat16).dtype == jnp.bfloat16


def test_a_residual_stream_keeps_its_variance_however_many_parts_it_sums():
    def variance(parts, initializer):
        kernels = jax.vmap(lambda key: initializer(key, [64, 64]))(jax.random.split(KEY, parts))
        x = jax.random.normal(jax.random.key(1), [parts, 200, 64])
        return float(jnp.var(jnp.einsum("pbi,pij->bj", x, kernels)))

    few, many = (variance(n, residual_normal(n)) for n in (4, 96))
    assert abs(few / (64 * 0.02**2) - 1) < 0.1 and abs(many / few - 1) < 0.1
    assert variance(96, init.normal(0.02)) / many > 80
    draws = np.ravel(residual_normal(24)(KEY, [200, 200])) * 24**0.5 / 0.02
    assert scipy.stats.kstest(draws, "norm").pvalue > 0.01
