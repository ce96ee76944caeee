"""Predictions of draws against closed forms, enumeration, SciPy and NumPyro."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
import scipy.optimize
import scipy.stats
from numpyro import distributions as dist

from jdl import bayes as ours
from jdl.bayes.likelihoods import bernoulli, categorical, gaussian, heteroscedastic, poisson
from jdl.core import Variables
from jdl.models.mlp import mlp
from tests.conformance.case import quick

NOISE = 0.4


@pytest.fixture(scope="module")
def regression():
    """A Bayesian linear regression: inputs, targets, posterior mean and covariance, draws.

    The draws are whitened, so that their own mean and covariance are those of the posterior.
    """
    random = np.random.default_rng(0)
    x = random.normal(size=[12, 3])
    y = x @ [1.0, -2.0, 0.5] + NOISE * random.normal(size=12)
    covariance = np.linalg.inv(np.eye(3) + x.T @ x / NOISE**2)
    mean = covariance @ x.T @ y / NOISE**2
    normal = random.normal(size=[4000, 3])
    normal -= normal.mean(0)
    normal = normal @ np.linalg.inv(np.linalg.cholesky(normal.T @ normal / len(normal))).T
    draws = mean + normal @ np.linalg.cholesky(covariance).T
    return x, y, mean, covariance, draws


def jitted(function, likelihood, *options, **named):
    return quick(lambda *arrays: function(arrays[0], likelihood, *arrays[1:], *options, **named))


ENTROPIES = jitted(ours.class_predictive, categorical)


def outputs_of(regression, x):
    return jnp.asarray(regression[4] @ x.T, jnp.float32)


def test_outputs_are_those_of_each_draw_in_slices_and_in_chains(key):
    model, inputs = mlp([2, 4, 3]), jax.random.normal(key, [5, 2])
    draws = jax.tree.map(
        lambda x: jnp.linspace(-1, 1, 6 * x.size).reshape(2, 3, *x.shape), model.init(key).params
    )
    found, *sliced = quick(
        lambda draws: [
            ours.predict(model, draws, inputs, draw_axes=2, batch_size=size)
            for size in (None, 4, 100)
        ]
    )(draws)
    assert found.shape == (2, 3, 5, 3)
    last = jax.tree.map(lambda x: x[1, 2], draws)
    expected, _ = model.apply(Variables(last), inputs)
    np.testing.assert_allclose(found[1, 2], expected, atol=1e-6)
    for outputs in sliced:
        np.testing.assert_allclose(outputs, found, atol=1e-6)
    with pytest.raises(ValueError, match="the same 2 leading axes"):
        ours.predict(model, last, inputs, draw_axes=2)


def test_linear_regression_has_its_closed_form(regression):
    x, _, mean, covariance, _ = regression
    found = ours.predictive(outputs_of(regression, x), gaussian(NOISE))
    np.testing.assert_allclose(found.mean, x @ mean, atol=1e-4)
    np.testing.assert_allclose(found.epistemic, np.sum(x @ covariance * x, 1), rtol=1e-4)
    np.testing.assert_allclose(found.aleatoric, np.full(12, NOISE**2), rtol=1e-6)
    exact = scipy.stats.norm(x @ mean, np.sqrt(np.sum(x @ covariance * x, 1) + NOISE**2))
    np.testing.assert_allclose(found.std, exact.std(), rtol=1e-4)
    np.testing.assert_allclose(found.interval(0.9), exact.interval(0.9), atol=1e-3)
    # The exact interval of the mixture, with the error of 4000 draws.
    mixture = jitted(ours.predictive_interval, gaussian(NOISE), 0.9)(outputs_of(regression, x))
    np.testing.assert_allclose(mixture, exact.interval(0.9), atol=0.015)


def test_numpyro_predicts_the_same_targets(regression, key):
    x, _, _, _, draws = regression

    def model(x):
        theta = numpyro.sample("theta", dist.Normal(0, 1).expand([3]).to_event(1))
        numpyro.sample("y", dist.Normal(x @ theta, NOISE))

    theirs = numpyro.infer.Predictive(model, {"theta": jnp.asarray(draws, jnp.float32)})
    samples = np.asarray(theirs(key, jnp.asarray(x, jnp.float32))["y"])
    found = ours.predictive(outputs_of(regression, x), gaussian(NOISE))
    error = np.asarray(found.std) / 4000**0.5
    assert (np.abs(samples.mean(0) - found.mean) < 4.5 * error).all()
    np.testing.assert_allclose(samples.var(0), found.total, rtol=4.5 * (2 / 4000) ** 0.5)


@pytest.mark.parametrize("likelihood", [heteroscedastic, bernoulli])
def test_parts_add_up_to_the_variance_of_targets(likelihood, key):
    outputs = jax.random.normal(key, [50, 4, 2])

    @quick
    def both(outputs, key):
        found = ours.predictive(outputs, likelihood)
        targets = ours.sample_targets(outputs, likelihood, key, repeats=2000)
        return (*found, found.total), targets

    (mean, aleatoric, _, total), targets = jax.tree.map(np.asarray, both(outputs, key))
    assert len(targets) == 100_000
    assert (np.abs(targets.mean(0) - mean) < 4.5 * np.sqrt(total / 100_000)).all()
    squares = (targets - mean) ** 2
    error = squares.std(0) / 100_000**0.5
    assert (np.abs(squares.mean(0) - total) < 4.5 * error).all()
    assert (np.abs(squares.mean(0) - aleatoric) > 4.5 * error).any()


def test_central_interval_is_that_of_the_mixture():
    centres = np.array([-1.0, 0.0, 4.0])
    outputs = jnp.asarray(centres, jnp.float32)[:, None]

    def excess(y, probability):
        return scipy.stats.norm(centres, 0.5).cdf(y).mean() - probability

    found = jitted(ours.predictive_interval, gaussian(0.5), 0.8)(outputs)
    expected = [scipy.optimize.brentq(excess, -9, 9, args=(p,)) for p in (0.1, 0.9)]
    np.testing.assert_allclose(np.ravel(found), expected, atol=1e-5)
    normal = ours.predictive(outputs, gaussian(0.5)).interval(0.8)
    assert not np.allclose(np.ravel(normal), expected, atol=0.1)


def test_interval_of_counts_is_of_whole_numbers():
    rates = np.array([0.7, 3.0, 11.5])
    outputs = jnp.log(jnp.array(rates, jnp.float32))[None]
    for level in (0.5, 0.95):
        found = jitted(ours.predictive_interval, poisson, level)(outputs)
        expected = scipy.stats.poisson(rates).interval(level)
        np.testing.assert_array_equal(found, expected)


def test_shortest_interval_of_an_exponential_starts_at_zero():
    rates = jnp.array([[0.5, 2.0]])
    low, high = jitted(ours.shortest_interval, dist.Exponential, 0.9)(rates)
    scale = 1 / np.array([0.5, 2.0])
    np.testing.assert_allclose(low / scale, [0, 0], atol=1e-3)
    np.testing.assert_allclose(high / scale, np.full(2, -np.log(0.1)), atol=4e-3)


def test_shortest_interval_of_a_skew_peak_has_one_density_at_both_ends():
    spread = np.array([0.5, 1.0])
    found = jitted(ours.shortest_interval, lambda s: dist.LogNormal(0.0, s), 0.9)(spread[None])
    low, high = np.asarray(found, float)
    known = scipy.stats.lognorm(spread)
    np.testing.assert_allclose(known.cdf(high) - known.cdf(low), 0.9, atol=1e-5)
    np.testing.assert_allclose(known.pdf(low), known.pdf(high), rtol=0.1)
    for s, length in zip(spread, high - low, strict=True):
        own = scipy.stats.lognorm(s)
        best = scipy.optimize.minimize_scalar(
            lambda p, own=own: own.ppf(p + 0.9) - own.ppf(p), bounds=(0, 0.1), method="bounded"
        )
        np.testing.assert_allclose(length, best.fun, rtol=1e-3)


def test_entropies_are_those_by_enumeration(key):
    logits = 2 * jax.random.normal(key, [2, 5, 4, 3])
    found = jitted(ours.class_predictive, categorical, draw_axes=2)(logits)
    p = np.asarray(jax.nn.softmax(logits), float).reshape(10, 4, 3)
    np.testing.assert_allclose(found.probabilities, p.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.total, scipy.stats.entropy(p.mean(0), axis=-1), rtol=1e-5)
    np.testing.assert_allclose(found.aleatoric, scipy.stats.entropy(p, axis=-1).mean(0), rtol=1e-5)
    # The information between two discrete variables, from their joint table.
    joint = p / len(p)
    information = np.sum(joint * np.log(joint / (joint.sum(0) * joint.sum(2)[..., None])), (0, 2))
    np.testing.assert_allclose(found.epistemic, information, rtol=1e-5)


def test_a_bernoulli_is_a_categorical_of_two_classes(key):
    logits = jax.random.normal(key, [7, 4])
    pairs = jnp.stack([jnp.zeros_like(logits), logits], -1)
    one, two = jitted(ours.class_predictive, bernoulli)(logits), ENTROPIES(pairs)
    np.testing.assert_allclose(one.probabilities, two.probabilities[..., 1], rtol=1e-6)
    np.testing.assert_allclose(one[1:], two[1:], atol=1e-6)


def test_draws_that_agree_know_all_and_logits_may_be_huge():
    same = jnp.broadcast_to(jnp.array([[0.3, -1.0]])[None], [5, 1, 2])
    np.testing.assert_allclose(ENTROPIES(same).epistemic, [0], atol=1e-7)
    sure = jnp.array([[[0.0, -1e30]], [[-200.0, 200.0]]])
    found = ENTROPIES(sure)
    np.testing.assert_allclose([found.aleatoric, found.epistemic], [[0], [np.log(2)]], atol=1e-6)


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="class_predictive"):
        ours.predictive(jnp.zeros([2, 3, 4]), categorical)
    with pytest.raises(ValueError, match="Categorical or Bernoulli; got a Normal"):
        ours.class_predictive(jnp.zeros([2, 3]), gaussian(1.0))
    with pytest.raises(ValueError, match=r"outputs\[None\]"):
        ours.predictive(jnp.zeros([]), gaussian(1.0))
    with pytest.raises(ValueError, match="got 95"):
        ours.predictive_interval(jnp.zeros([2, 3]), gaussian(1.0), 95)
