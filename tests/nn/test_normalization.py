"""What Flax's normalisations are, in closed form, and ours of weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.nn.normalization import WeightStandardized, local_response_norm, standardized

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(4, 5, 6, 8)).astype(np.float32)
EPS = 1e-3


def normalized(x, axes):
    variance = x.var(axes, keepdims=True)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(variance + EPS)


def passed(layer, x=IMAGES, train=True):
    model = functional(layer)
    variables = model.init(jax.random.key(0))
    return model.apply(variables, x, train=train)


LAYERS = {
    "batch": (lambda rngs: nnx.BatchNorm(8, epsilon=EPS, rngs=rngs), (0, 1, 2)),
    "layer": (lambda rngs: nnx.LayerNorm(8, epsilon=EPS, rngs=rngs), 3),
    "layer of a CNN": (
        lambda rngs: nnx.LayerNorm(8, epsilon=EPS, reduction_axes=(1, 2, 3), rngs=rngs),
        (1, 2, 3),
    ),
    "instance": (lambda rngs: nnx.InstanceNorm(8, epsilon=EPS, rngs=rngs), (1, 2)),
    "group of 8": (lambda rngs: nnx.GroupNorm(8, 8, epsilon=EPS, rngs=rngs), (1, 2)),
    "group of 1": (lambda rngs: nnx.GroupNorm(8, 1, epsilon=EPS, rngs=rngs), (1, 2, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_each_normalisation_reduces(name):
    layer, axes = LAYERS[name]
    found, _ = passed(layer)
    np.testing.assert_allclose(found, normalized(IMAGES, axes), rtol=1e-3, atol=1e-4)


def test_004_eq_2_8_without_the_root_is_something_else():
    found, _ = passed(LAYERS["batch"][0])
    variance = IMAGES.var((0, 1, 2))
    printed = (IMAGES - IMAGES.mean((0, 1, 2))) / (variance + EPS)
    assert np.abs(found - printed).max() > 1


def test_groups_are_of_neighbouring_channels():
    found, _ = passed(lambda rngs: nnx.GroupNorm(8, 2, epsilon=EPS, rngs=rngs))
    halves = [normalized(x, (1, 2, 3)) for x in (IMAGES[..., :4], IMAGES[..., 4:])]
    np.testing.assert_allclose(found, np.concatenate(halves, -1), rtol=1e-3, atol=1e-4)


def test_running_averages_are_of_a_tenth_where_momentum_is_0_9():
    layer = lambda rngs: nnx.BatchNorm(8, momentum=0.9, epsilon=EPS, rngs=rngs)  # noqa: E731
    _, buffers = passed(layer)
    np.testing.assert_allclose(buffers["mean"], 0.1 * IMAGES.mean((0, 1, 2)), rtol=1e-4)
    variance = 0.9 + 0.1 * IMAGES.var((0, 1, 2))
    np.testing.assert_allclose(buffers["var"], variance, rtol=1e-4)
    untouched, same = passed(layer, train=False)  # mean 0, variance 1
    np.testing.assert_allclose(untouched, IMAGES / np.sqrt(1 + EPS), rtol=1e-5)
    assert not same["mean"].any()


def test_layer_norm_treats_each_example_alone_and_batch_norm_does_not():
    alone = IMAGES[:1]
    for name, same in (("layer of a CNN", True), ("batch", False)):
        whole, one = passed(LAYERS[name][0])[0][:1], passed(LAYERS[name][0], alone)[0]
        assert np.allclose(whole, one, atol=1e-5) == same


def test_standardized_weights_have_mean_0_and_variance_1_into_each_unit():
    kernel = jnp.array(IMAGES)
    found = np.asarray(standardized(kernel, 1e-10))
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(found.var((0, 1, 2)), 1, rtol=1e-4)
    np.testing.assert_allclose(standardized(3 * kernel + 7, 1e-10), found, atol=1e-4)


def test_eps_is_added_to_the_variance():
    kernel = jnp.array([[1.0], [3.0]])  # variance 1
    np.testing.assert_allclose(standardized(kernel, 3.0), [[-0.5], [0.5]])


@pytest.mark.parametrize("layer", ["conv", "linear"])
def test_a_standardised_layer_computes_with_standardised_weights_and_keeps_its_own(layer):
    if layer == "conv":
        make = lambda rngs: nnx.Conv(8, 3, (3, 3), rngs=rngs)  # noqa: E731
    else:
        make = lambda rngs: nnx.Linear(8, 3, rngs=rngs)  # noqa: E731
    model, plain = functional(lambda rngs: WeightStandardized(make(rngs))), functional(make)
    variables = model.init(jax.random.key(0))
    inner = variables.params["layer"]
    found, _ = model.apply(variables, IMAGES, train=True)
    by_hand = {**inner, "kernel": standardized(inner["kernel"])}
    expected, _ = plain.apply(variables._replace(params=by_hand), IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    module = WeightStandardized(make(nnx.Rngs(0)))
    before = jnp.copy(module.layer.kernel[...])
    module(IMAGES)
    np.testing.assert_array_equal(module.layer.kernel[...], before)


def test_spectral_norm_divides_by_the_largest_singular_value():
    model = functional(
        lambda rngs: nnx.SpectralNorm(nnx.Linear(6, 4, use_bias=False, rngs=rngs), rngs=rngs)
    )
    variables = model.init(jax.random.key(0))
    kernel = 5 * variables.params["layer_instance"]["kernel"]
    variables = variables._replace(params={"layer_instance": {"kernel": kernel}})
    step = jax.jit(lambda v, x: model.apply(v, x, train=True)[1])
    for _ in range(60):
        variables = variables._replace(buffers=step(variables, jnp.eye(6)))
    (sigma,) = (x for x in jax.tree.leaves(variables.buffers) if x.ndim == 0)
    largest = np.linalg.svd(kernel, compute_uv=False)[0]
    assert float(sigma) == pytest.approx(largest, rel=1e-4)
    weights, buffers = model.apply(variables, jnp.eye(6))
    np.testing.assert_allclose(weights, kernel / largest, rtol=1e-3, atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, buffers, variables.buffers)


@pytest.mark.parametrize("size", [5, 4, 1])
def test_local_response_is_its_formula_by_loops(size):
    x = np.random.default_rng(0).normal(size=[2, 3, 7]).astype(np.float32)
    expected = np.empty_like(x)
    for c in range(7):
        around = x[..., max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        expected[..., c] = x[..., c] / (1.5 + 0.4 * (around**2).sum(-1)) ** 0.6
    found = local_response_norm(x, size, k=1.5, alpha=0.4, beta=0.6)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_local_response_in_half_precision_adds_in_full():
    x = jnp.full([1, 3], 30.0, jnp.bfloat16)
    found = local_response_norm(x, 3, k=1.0, alpha=1e-4, beta=0.5)
    expected = 30 / np.sqrt(1 + 1e-4 * 900 * np.array([[2, 3, 2]]))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=4e-3)
