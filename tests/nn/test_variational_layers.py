"""Variational layers: closed-form moments of their outputs, and the independence of examples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpyro import distributions as dist

from jdl.functional import functional
from jdl.models.convnets import lenet5
from jdl.models.mlp import mlp
from jdl.nn import variational_layers as layers
from tests.conformance.case import quick

LINEAR = {
    "plain": layers.WeightSamplingLinear,
    "local": layers.LocalReparameterizationLinear,
    "flipout": layers.FlipoutLinear,
}
CONV = {
    "plain": layers.WeightSamplingConv,
    "local": layers.LocalReparameterizationConv,
    "flipout": layers.FlipoutConv,
}
INPUTS = jnp.array([[1.0, -2.0, 0.5], [1.0, -2.0, 0.5], [0.3, 1.0, 2.0]])
IMAGES = jax.random.normal(jax.random.key(5), [2, 5, 5, 2])
DRAWS = 2000


def perturbed(params):
    """Other deviations for each weight."""
    keys = iter(jax.random.split(jax.random.key(7), 4))
    return jax.tree.map(lambda x: x + jax.random.normal(next(keys), x.shape), params)


@functools.cache
def linear(kind):
    model = functional(lambda rngs: LINEAR[kind](3, 2, initial_std=0.4, rngs=rngs))
    variables = model.init(jax.random.key(0))
    return model, variables._replace(params=perturbed(variables.params))


@functools.cache
def convolution(kind):
    model = functional(lambda rngs: CONV[kind](2, 3, (3, 3), (2, 2), padding="VALID", rngs=rngs))
    variables = model.init(jax.random.key(0))
    return model, variables._replace(params=perturbed(variables.params))


@functools.cache
def drawn(made, kind):
    model, variables = made(kind)
    inputs = INPUTS if made is linear else IMAGES
    keys = jax.random.split(jax.random.key(1), DRAWS)
    outputs = quick(jax.vmap(lambda k: model.apply(variables, inputs, key=k, train=True)[0]))
    return np.asarray(outputs(keys), float)


def moments(outputs):
    """Mean and variance with their standard errors."""
    centred = (outputs - outputs.mean(0)) ** 2
    root = np.sqrt(len(outputs))
    return (outputs.mean(0), outputs.std(0) / root), (centred.mean(0), centred.std(0) / root)


@pytest.mark.parametrize("kind", LINEAR)
def test_outputs_of_a_linear_layer_have_the_moments_in_closed_form(kind):
    weights = layers.normal_leaves(linear(kind)[1].params)
    (kernel, kernel_std), (bias, bias_std) = weights["kernel"], weights["bias"]
    x = np.asarray(INPUTS)
    expected = x @ np.asarray(kernel) + np.asarray(bias)
    variance = x**2 @ np.asarray(kernel_std) ** 2 + np.asarray(bias_std) ** 2
    (mean, mean_error), (found, variance_error) = moments(drawn(linear, kind))
    assert np.all(np.abs(mean - expected) < 4.5 * mean_error)
    assert np.all(np.abs(found - variance) < 4.5 * variance_error)
    assert not np.all(np.abs(found - 1.2 * variance) < 4.5 * variance_error)


@pytest.mark.parametrize("kind", CONV)
def test_outputs_of_a_convolution_have_the_moments_in_closed_form(kind):
    weights = layers.normal_leaves(convolution(kind)[1].params)
    (kernel, kernel_std), (bias, bias_std) = weights["kernel"], weights["bias"]

    def convolve(x, kernel):
        return np.stack(
            [
                [np.einsum("bhwi,hwio->bo", x[:, i : i + 3, j : j + 3], kernel) for j in (0, 2)]
                for i in (0, 2)
            ]
        ).transpose(2, 0, 1, 3)

    x = np.asarray(IMAGES)
    expected = convolve(x, np.asarray(kernel)) + np.asarray(bias)
    variance = convolve(x**2, np.asarray(kernel_std) ** 2) + np.asarray(bias_std) ** 2
    (mean, mean_error), (found, variance_error) = moments(drawn(convolution, kind))
    assert mean.shape == (2, 2, 2, 3)
    assert np.all(np.abs(mean - expected) < 4.5 * mean_error)
    assert np.all(np.abs(found - variance) < 4.5 * variance_error)


@pytest.mark.parametrize("kind, correlation", [("plain", 1.0), ("local", 0.0), ("flipout", 0.0)])
def test_two_equal_examples_move_together_only_with_one_matrix(kind, correlation):
    outputs = drawn(linear, kind)
    found = np.corrcoef(outputs[:, 0, 0], outputs[:, 1, 0])[0, 1]
    np.testing.assert_allclose(found, correlation, atol=4.5 / np.sqrt(DRAWS))


@pytest.mark.parametrize("kind, correlation", [("plain", 1.0), ("local", 0.0)])
def test_places_of_a_convolution_share_the_weights_but_with_local_noise(kind, correlation):
    model, variables = convolution(kind)
    keys = jax.random.split(jax.random.key(2), 1000)

    @quick
    @jax.vmap
    def draw(key):
        return model.apply(variables, jnp.ones([1, 5, 5, 2]), key=key, train=True)[0]

    outputs = np.asarray(draw(keys))
    found = np.corrcoef(outputs[:, 0, 0, 0, 0], outputs[:, 0, 1, 1, 0])[0, 1]
    np.testing.assert_allclose(found, correlation, atol=4.5 / np.sqrt(1000))


def test_gradients_vary_less_than_with_one_matrix_for_the_batch():
    """Of the mean over 32 examples: the noise averages out, but for the plain layer."""
    inputs = jax.random.normal(jax.random.key(3), [32, 3])
    keys = jax.random.split(jax.random.key(4), 1000)
    variance = {}
    for kind in LINEAR:
        model, variables = linear(kind)

        def loss(params, key, model=model, variables=variables):
            outputs, _ = model.apply(variables._replace(params=params), inputs, key=key, train=True)
            return jnp.mean(jnp.square(outputs))

        found = quick(jax.vmap(jax.grad(loss), (None, 0)))(variables.params, keys)
        variance[kind] = {
            part: sum(float(leaf[part].var(0).sum()) for leaf in found.values())
            for part in ("mean", "rho")
        }
    plain, local, flipout = (variance[kind] for kind in ("plain", "local", "flipout"))
    assert plain["mean"] > 3 * local["mean"] and plain["rho"] > 3 * local["rho"]
    # The square of flipout's matrix, on which rho depends, is one for the whole batch.
    assert plain["mean"] > 3 * flipout["mean"] and plain["rho"] > 1.3 * flipout["rho"]


@pytest.mark.parametrize("kind", LINEAR)
def test_evaluation_takes_the_means(kind):
    model, variables = linear(kind)
    plain = functional(lambda rngs: nnx.Linear(3, 2, rngs=rngs))
    means = {name: both["mean"] for name, both in variables.params.items()}
    expected, _ = plain.apply(variables._replace(params=means), INPUTS)
    np.testing.assert_allclose(model.apply(variables, INPUTS)[0], expected, rtol=1e-6)
    model, variables = convolution(kind)
    plain = functional(lambda rngs: nnx.Conv(2, 3, (3, 3), 2, padding="VALID", rngs=rngs))
    means = {name: both["mean"] for name, both in variables.params.items()}
    expected, _ = plain.apply(variables._replace(params=means), IMAGES)
    np.testing.assert_allclose(model.apply(variables, IMAGES)[0], expected, rtol=1e-4, atol=1e-5)


def test_the_kl_of_all_weights_is_numpyros():
    for params in (
        linear("local")[1].params,
        {"mean": {"a": jnp.ones(2)}, "rho": {"a": jnp.ones(2)}},
    ):
        expected = sum(
            dist.kl_divergence(dist.Normal(mean, std), dist.Normal(0.0, 0.8)).sum()
            for mean, std in layers.normal_leaves(params).values()
        )
        np.testing.assert_allclose(layers.normal_kl(params, 0.8), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="none of the params"):
        layers.normal_kl({"kernel": jnp.ones(2)}, 1.0)


def test_networks_take_the_layers_and_keep_the_names_of_their_params(key):
    flipout = mlp([4, 3, 2], linear=layers.FlipoutLinear)
    params = jax.eval_shape(flipout.init, key).params
    assert sorted(layers.normal_leaves(params_of(params))) == [
        "layers.0.bias",
        "layers.0.kernel",
        "layers.1.bias",
        "layers.1.kernel",
    ]
    wide = functools.partial(layers.LocalReparameterizationLinear, initial_std=0.2)
    model = lenet5(conv=layers.LocalReparameterizationConv, linear=wide)
    params = jax.eval_shape(model.init, key).params
    assert sum(x.size for x in jax.tree.leaves(params)) == 2 * 61_706
    plain = jax.eval_shape(lenet5().init, key).params
    assert {name: x["kernel"]["mean"].shape for name, x in params.items()} == {
        name: x["kernel"].shape for name, x in plain.items()
    }


def params_of(shapes):
    return jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)


def test_layers_of_a_network_draw_different_noise_and_need_a_key():
    model = mlp([3, 3, 3], lambda x: x, linear=layers.WeightSamplingLinear, kernel_init=_eye)
    variables = model.init(jax.random.key(0))
    with pytest.raises(ValueError, match="'weights' noise"):
        model.apply(variables, INPUTS, train=True)
    twice, _ = model.apply(variables, jnp.eye(3), key=jax.random.key(1), train=True)
    once = functional(lambda rngs: layers.WeightSamplingLinear(3, 3, kernel_init=_eye, rngs=rngs))
    alone = once.init(jax.random.key(0))
    first, _ = once.apply(alone, jnp.eye(3), key=jax.random.key(1), train=True)
    again, _ = once.apply(alone, first, key=jax.random.key(1), train=True)
    assert np.abs(twice - again).max() > 1e-3


def _eye(key, shape, dtype):
    return jnp.eye(*shape, dtype=dtype)


def test_a_deviation_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="positive; got 0"):
        layers.FlipoutLinear(2, 2, initial_std=0, rngs=nnx.Rngs(0))
