"""Bayes by backprop: hand-derived updates against autodiff, and an exact posterior."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.bayes.bayes_by_backprop import (
    bayes_by_backprop,
    counted,
    geometric,
    hand_derived_updates,
    layered_elbo,
    uniform,
    variational,
)
from jdl.bayes.densities import log_posterior
from jdl.bayes.families import mean_field, normal_noise, reparameterized
from jdl.bayes.likelihoods import categorical, gaussian
from jdl.bayes.priors import scale_mixture
from jdl.core import Variables
from jdl.functional import functional
from jdl.models.mlp import mlp
from jdl.nn.variational_layers import FlipoutLinear, normal_kl
from jdl.train import descent, ensemble, fit, gradient, run
from jdl.train.averaging import model_variables
from tests.conformance.case import quick

NETWORK = mlp([2, 3, 1], jnp.tanh)
INPUTS = jax.random.normal(jax.random.key(10), [8, 2])
TARGETS = jnp.sin(INPUTS.sum(1, keepdims=True))
BATCH = INPUTS, TARGETS
PRIORS = {"normal": dist.Normal(0.2, 1.5), "mixture": scale_mixture(0.25, 1.0, 0.01)}


@pytest.fixture(scope="module")
def params():
    start = variational(NETWORK, 0.3).init(jax.random.key(0)).params
    rho = jax.tree.map(lambda x: x + jnp.linspace(-1, 1, x.size).reshape(x.shape), start["rho"])
    return start | {"rho": rho}


@pytest.mark.parametrize("prior", PRIORS)
def test_hand_derived_updates_are_the_gradient_of_f(prior, params):
    """Problem 9.5 of 004."""
    joint = log_posterior(NETWORK, PRIORS[prior], gaussian(0.4))
    noise = normal_noise(jax.random.key(1), params["mean"])

    def f(params):
        theta = reparameterized(params, noise)
        return mean_field().log_prob(params, theta) - joint(theta, BATCH)

    @quick
    def both(params):
        by_hand = hand_derived_updates(lambda theta: joint(theta, BATCH), params, noise)
        return by_hand, jax.grad(f)(params)

    by_hand, by_autodiff = both(params)
    assert jax.tree.structure(by_hand) == jax.tree.structure(by_autodiff)
    found, expected = ravel_pytree(by_hand)[0], ravel_pytree(by_autodiff)[0]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())
    # Eq. 9.33 as 004 prints it, without the terms of q in df/dtheta, is another direction.
    std = jax.nn.softplus(ravel_pytree(params["rho"])[0])
    printed = ravel_pytree(by_hand["mean"])[0] + ravel_pytree(noise)[0] / std
    assert np.abs(printed - ravel_pytree(by_autodiff["mean"])[0]).max() > 1.0


@pytest.mark.parametrize("prior", PRIORS)
def test_the_objective_is_f_for_each_example(prior, params):
    """With the complexity sampled it is f / N at the weights that were drawn."""
    loss = bayes_by_backprop(NETWORK, PRIORS[prior], gaussian(0.4), 8, sampled_kl=True)
    joint = log_posterior(NETWORK, PRIORS[prior], gaussian(0.4))

    @quick
    def both(params, key):
        theta = _drawn(params, key)
        expected = (mean_field().log_prob(params, theta) - joint(theta, BATCH)) / 8
        return _loss(loss, params, key), expected

    (found, info), expected = both(params, jax.random.key(3))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(info["kl"] / 8 + info["nll"], found, rtol=1e-5)


def _loss(loss, params, key):
    value, (_, info) = loss(params, (), BATCH, key)
    return value, info


def _drawn(params, key):
    """The weights of a single draw: the keys are split as the objective splits them."""
    key_weights, _ = jax.random.split(jax.random.split(key, 1)[0])
    return reparameterized(params, normal_noise(key_weights, params["mean"]))


def test_the_closed_kl_is_the_mean_of_the_sampled_one(params):
    closed, sampled = (
        bayes_by_backprop(NETWORK, PRIORS["normal"], gaussian(0.4), 8, sampled_kl=kind)
        for kind in (False, True)
    )
    keys = jax.random.split(jax.random.key(0), 4000)
    exact = quick(closed)(params, (), BATCH, keys[0])[1][1]["kl"]
    drawn = quick(jax.vmap(lambda key: sampled(params, (), BATCH, key)[1][1]["kl"]))(keys)
    assert abs(drawn.mean() - exact) < 4.5 * drawn.std() / np.sqrt(4000)
    expected = sum(
        dist.kl_divergence(dist.Normal(m, jax.nn.softplus(r)), PRIORS["normal"]).sum()
        for m, r in zip(*(jax.tree.leaves(params[part]) for part in ("mean", "rho")), strict=True)
    )
    np.testing.assert_allclose(exact, expected, rtol=1e-5)


@pytest.mark.parametrize("weights", [uniform, geometric])
@pytest.mark.parametrize("num_batches", [1, 5, 200])
def test_the_weights_of_an_epoch_sum_to_one(weights, num_batches):
    values = np.array([float(weights(jnp.int32(i), num_batches)) for i in range(num_batches)])
    np.testing.assert_allclose(values.sum(), 1.0, rtol=1e-5)
    if weights is geometric and num_batches == 5:
        np.testing.assert_allclose(values, np.array([16, 8, 4, 2, 1]) / 31, rtol=1e-6)
        np.testing.assert_allclose(weights(jnp.int32(7), 5), 4 / 31, rtol=1e-6)


def test_mini_batches_of_an_epoch_have_the_whole_complexity(params):
    """Summed over an epoch, losses times examples are KL - log likelihood (Blundell, eq. 9)."""
    options = {"num_batches": 4, "complexity": geometric}
    loss = quick(bayes_by_backprop(NETWORK, PRIORS["normal"], gaussian(0.4), 8, **options))
    variables = counted(Variables(params))
    buffers, kl, nll, total = variables.buffers, [], 0.0, 0.0
    for i in range(4):
        part = INPUTS[2 * i : 2 * i + 2], TARGETS[2 * i : 2 * i + 2]
        value, (buffers, info) = loss(params, buffers, part, jax.random.key(i))
        total, nll, kl = total + 2 * value, nll + 2 * info["nll"], [*kl, info["kl"]]
    np.testing.assert_allclose(total, kl[0] + nll, rtol=1e-5)
    assert int(buffers["steps"]) == 4
    assert model_variables(Variables(params, buffers)).buffers == ()
    with pytest.raises(ValueError, match="counted"):
        loss(params, (), BATCH, jax.random.key(0))


def test_it_finds_the_mean_field_posterior_of_a_linear_model():
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=[20, 2])
    targets = inputs @ [1.0, -2.0] + 0.7 + 0.5 * generator.normal(size=20)
    features = np.column_stack([np.ones(20), inputs])
    precision = features.T @ features / 0.25 + np.eye(3) / 4
    mean = np.linalg.solve(precision, features.T @ targets / 0.25)
    batch = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets[:, None], jnp.float32)
    model = mlp([2, 1])
    loss = bayes_by_backprop(model, dist.Normal(0.0, 2.0), gaussian(0.5), 20, num_draws=8)
    optimizer = optax.adam(optax.exponential_decay(0.05, 300, 0.3))
    algorithm = descent(gradient(lambda p, b, _, k: loss(p, b, batch, k)), optimizer)
    state = algorithm.init(variational(model, 0.1).init(jax.random.key(0)))
    state, _ = quick(lambda s, k: run(algorithm, s, None, k, length=1500))(state, jax.random.key(1))
    found = state.variables.params
    np.testing.assert_allclose(ravel_pytree(found["mean"])[0], mean, atol=0.01)
    std = jax.nn.softplus(ravel_pytree(found["rho"])[0])
    np.testing.assert_allclose(std, np.diag(precision) ** -0.5, rtol=0.02)


def test_variational_draws_in_training_and_takes_the_means_else(params):
    model, variables = variational(NETWORK), Variables(params)
    plain, _ = NETWORK.apply(Variables(params["mean"]), INPUTS)
    np.testing.assert_array_equal(model.apply(variables, INPUTS)[0], plain)
    keys = jax.random.split(jax.random.key(0), 3)

    @quick
    def both(keys):
        drawn = jax.vmap(lambda k: model.apply(variables, INPUTS, key=k, train=True)[0])(keys)
        weights = mean_field().draw(params, jax.random.split(keys[1])[0])
        return drawn, NETWORK.apply(Variables(weights), INPUTS)[0]

    drawn, expected = both(keys)
    np.testing.assert_allclose(drawn[1], expected, rtol=1e-5, atol=1e-6)
    assert np.abs(drawn[0] - drawn[2]).max() > 1e-2
    with pytest.raises(ValueError, match="key=..., train=True"):
        model.apply(variables, INPUTS, train=True)


def test_a_model_with_batch_statistics_keeps_them():
    model = functional(lambda rngs: nnx.BatchNorm(2, rngs=rngs))
    loss = bayes_by_backprop(model, PRIORS["normal"], gaussian(0.4), 8, num_draws=3)
    params, buffers = variational(model).init(jax.random.key(0))
    _, (after, _) = quick(loss)(params, buffers, (INPUTS, INPUTS), jax.random.key(0))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, buffers)
    np.testing.assert_allclose(after["mean"], 0.01 * INPUTS.mean(0), rtol=1e-4)


def test_fit_and_ensembles_take_it_unchanged():
    loss = bayes_by_backprop(NETWORK, PRIORS["mixture"], gaussian(0.4), 8)
    members = ensemble(descent(gradient(loss), optax.adam(0.01)))
    keys = jax.random.split(jax.random.key(0), 3)
    variables = quick(jax.vmap(variational(NETWORK).init))(keys)
    fitted = fit(members, members.init(variables), BATCH, jax.random.key(1), steps=4, batch_size=4)
    assert fitted.history["kl"].shape == (4, 3)
    assert np.all(np.isfinite(fitted.history["loss"]))


@pytest.mark.parametrize("rows", [5])
def test_a_flipout_network_has_an_elbo(rows):
    model = mlp([4, 3, 3], linear=FlipoutLinear)
    loss = layered_elbo(model, 0.7, categorical, num_examples=100)
    params, buffers = quick(model.init)(jax.random.key(0))
    batch = jnp.ones([rows, 4]), jnp.arange(rows) % 3
    value, (_, info) = quick(loss)(params, buffers, batch, jax.random.key(1))
    np.testing.assert_allclose(value, info["kl"] / 100 + info["nll"], rtol=1e-5)
    np.testing.assert_allclose(info["kl"], normal_kl(params, 0.7), rtol=1e-5)
    assert 0.5 < info["nll"] < 2.0  # nats for an example, whatever the rows


def test_a_model_without_variational_layers_has_none():
    with pytest.raises(ValueError, match="normal_leaves"):
        loss = layered_elbo(NETWORK, 1.0, gaussian(0.4), 8)
        loss(NETWORK.init(jax.random.key(0)).params, (), BATCH, jax.random.key(0))
