import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.core import Variables
from jdl.models.energy.rbm import configurations, log_likelihood, rbm
from jdl.train import descent, model_variables, run
from jdl.train.contrastive import (
    contrastive_divergence,
    persistent_contrastive_divergence,
    swept,
    with_chains,
)

V, H = 4, 3
MODEL = rbm(V, H)
VISIBLE = configurations(V)


@pytest.fixture(scope="module")
def variables():
    rng = np.random.default_rng(0)
    params = MODEL.init(jax.random.key(0)).params
    return Variables(
        jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), params)
    )


@pytest.fixture(scope="module")
def data():
    return jnp.asarray(np.random.default_rng(1).integers(0, 2, [6, V]), jnp.float32)


@pytest.fixture(scope="module")
def exact(variables, data):
    """The gradient of the negative mean log-likelihood, by enumeration."""

    def loss(params):
        return -log_likelihood(MODEL, Variables(params), data).mean()

    return jax.grad(loss)(variables.params)


def distance(one, other):
    return float(optax.tree.norm(jax.tree.map(jnp.subtract, one, other)))


def mean_direction(estimator, variables, batch, repeats=50, copies=60):
    keys = jax.random.split(jax.random.key(5), repeats)
    batch = jnp.tile(batch, (copies, 1))
    one = jax.jit(jax.vmap(lambda key: estimator(*variables, batch, key)[0]))
    return jax.tree.map(lambda x: x.mean(0), one(keys))


def test_from_samples_of_the_model_it_is_the_gradient_of_the_likelihood(
    variables, data, exact, key
):
    probabilities = jnp.exp(log_likelihood(MODEL, variables, VISIBLE))
    chains = jax.random.choice(key, VISIBLE, [200_000], p=probabilities)
    start = with_chains(variables, chains)
    direction, *_ = persistent_contrastive_divergence(MODEL)(*start, data, jax.random.key(1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=0.01), direction, exact)
    opposite = jax.tree.map(jnp.negative, exact)
    assert distance(direction, exact) < 0.02 * distance(direction, opposite)


def test_the_bias_of_cd_shrinks_with_the_sweeps(variables, data, exact):
    biases = [
        distance(mean_direction(contrastive_divergence(MODEL, k), variables, data), exact)
        for k in (1, 10)
    ]
    # What is left at k = 10 is the noise of 18,000 samples, about 0.015.
    assert biases[0] > 3 * biases[1]
    assert biases[1] < 0.05 * float(optax.tree.norm(exact))


def test_cd_1_is_hintons_rule_with_probabilities(variables, data, key):
    direction, _, info = contrastive_divergence(MODEL)(*variables, data, key)
    after = MODEL.apply(variables, data, key=jax.random.split(key, 1)[0], method="gibbs")[0][0]
    p, q = (
        jax.nn.sigmoid(v @ variables.params["kernel"] + variables.params["hidden_bias"][None])
        for v in (data, after)
    )
    expected = {
        "kernel": -(data.T @ p - after.T @ q) / len(data),
        "visible_bias": -(data - after).mean(0),
        "hidden_bias": -(p - q).mean(0),
    }
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), direction, expected
    )
    np.testing.assert_allclose(info["reconstruction_error"], jnp.mean((data - after) ** 2))


@pytest.mark.parametrize("persistent", [False, True])
def test_learning_raises_the_exact_likelihood(persistent, key):
    """Four patterns in equal parts: at best log 1/4 an example."""
    patterns = jnp.array([[1.0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]] * 5)
    variables = MODEL.init(key)
    estimator = contrastive_divergence(MODEL)
    if persistent:
        estimator = persistent_contrastive_divergence(MODEL)
        chains = jax.random.bernoulli(jax.random.key(1), 0.5, [100, V]).astype(float)
        variables = with_chains(variables, chains)
    algorithm = descent(estimator, optax.sgd(0.2))
    batches = jnp.broadcast_to(patterns, [2000, *patterns.shape])
    state, _ = jax.jit(lambda *args: run(algorithm, *args))(algorithm.init(variables), batches, key)
    learned = Variables(state.variables.params)
    assert -1.7 < float(log_likelihood(MODEL, learned, patterns).mean()) <= np.log(0.25)
    assert float(log_likelihood(MODEL, MODEL.init(key), patterns).mean()) < -2.7  # about 4 log 1/2


def test_chains_go_on_from_step_to_step(variables, data, key):
    start = with_chains(variables, jnp.zeros([7, V]))
    _, buffers, _ = persistent_contrastive_divergence(MODEL, 3)(*start, data, key)
    v = jnp.zeros([7, V])
    for part in jax.random.split(key, 3):
        v = MODEL.apply(variables, v, key=part, method="gibbs")[0][0]
    np.testing.assert_array_equal(buffers["chains"], v)


def test_swept_chains_forget_where_they_began(variables, key):
    probabilities = jnp.exp(log_likelihood(MODEL, variables, VISIBLE))
    dreamt = swept(MODEL, variables, jnp.ones([5000, V], int), key, 30)
    assert dreamt.dtype == jnp.float32
    np.testing.assert_allclose(dreamt.mean(0), probabilities @ VISIBLE, atol=0.04)


def test_the_model_can_be_evaluated_after_a_persistent_run(variables, data, key):
    algorithm = descent(persistent_contrastive_divergence(MODEL), optax.sgd(0.1))
    state = algorithm.init(with_chains(variables, data))
    state, _ = algorithm.step(state, data, key)
    assert MODEL.apply(model_variables(state.variables), data)[0].shape == (6,)


def test_what_is_missing_is_named(variables, data, key):
    with pytest.raises(ValueError, match="with_chains"):
        persistent_contrastive_divergence(MODEL)(*variables, data, key)
    with pytest.raises(ValueError, match="at least one sweep in a step; got sweeps=0"):
        contrastive_divergence(MODEL, 0)
