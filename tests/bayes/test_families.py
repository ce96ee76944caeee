"""Variational families: densities and entropies against SciPy, draws against their own moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.bayes import families
from tests.conformance.case import quick

PARAMS = {"a": jnp.array([[1.0, -2.0]]), "b": jnp.array(0.5)}
FAMILIES = {
    "mean_field": families.mean_field(0.3),
    "full_rank": families.full_rank(0.3),
    "low_rank": families.low_rank(2, 0.3),
}


def variational_of(name):
    """Some variational parameters, their mean and covariance worked out by NumPy."""
    start = FAMILIES[name].init(PARAMS, jax.random.key(0))
    keys = iter(jax.random.split(jax.random.key(1), 10))
    variational = jax.tree.map(lambda x: x + 0.5 * jax.random.normal(next(keys), x.shape), start)
    mean, rho = (np.asarray(ravel_pytree(variational[part])[0], float) for part in ("mean", "rho"))
    std = np.log1p(np.exp(rho))
    covariance = np.diag(std**2)
    if name == "full_rank":
        factor = np.tril(np.asarray(variational["lower"], float), -1) + np.diag(std)
        covariance = factor @ factor.T
    if name == "low_rank":
        factor = np.asarray(variational["factor"], float)
        covariance = covariance + factor @ factor.T
    return variational, mean, covariance


@pytest.mark.parametrize("name", FAMILIES)
def test_density_entropy_and_moments_are_those_of_a_normal_distribution(name):
    family, (variational, mean, covariance) = FAMILIES[name], variational_of(name)
    peer = scipy.stats.multivariate_normal(mean, covariance)
    expected = peer.logpdf(ravel_pytree(PARAMS)[0])
    np.testing.assert_allclose(family.log_prob(variational, PARAMS), expected, rtol=1e-4)
    np.testing.assert_allclose(family.entropy(variational), peer.entropy(), rtol=1e-4)
    means, variances = family.moments(variational)
    np.testing.assert_allclose(ravel_pytree(means)[0], mean, rtol=1e-5)
    np.testing.assert_allclose(ravel_pytree(variances)[0], np.diag(covariance), rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_draws_have_the_mean_and_covariance(name):
    family, (variational, mean, covariance) = FAMILIES[name], variational_of(name)
    keys = jax.random.split(jax.random.key(2), 20_000)
    draws = quick(jax.vmap(family.draw, (None, 0)))(variational, keys)
    assert jax.tree.map(jnp.shape, draws) == {"a": (20_000, 1, 2), "b": (20_000,)}
    flat = np.column_stack([np.asarray(draws["a"])[:, 0], np.asarray(draws["b"])])
    error = (flat.mean(0) - mean) / np.sqrt(np.diag(covariance) / 20_000)
    assert np.all(np.abs(error) < 4.5)
    variances = np.diag(covariance)
    spread = np.sqrt((np.outer(variances, variances) + covariance**2) / 20_000)
    assert np.all(np.abs(np.cov(flat.T) - covariance) < 4.5 * spread)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_starts_about_the_params_with_the_deviation(name):
    means, variances = FAMILIES[name].moments(FAMILIES[name].init(PARAMS, jax.random.key(0)))
    np.testing.assert_array_equal(ravel_pytree(means)[0], ravel_pytree(PARAMS)[0])
    np.testing.assert_allclose(ravel_pytree(variances)[0], 0.09, rtol=1e-3)


def mixed():
    starts = {
        "rate": dist.Gamma(2.0, 4.0),
        "weights": dist.Dirichlet(jnp.array([1.0, 2.0, 3.0])),
        "*": dist.Normal(1.0, 0.5),
    }
    params = {
        "rate": jnp.array([0.3, 1.2]),
        "weights": jnp.array([[0.2, 0.3, 0.5]]),
        "shift": jnp.array(0.7),
    }
    family = families.from_distributions(starts)
    return family, family.init(params), params


def test_a_tree_of_distributions_has_the_density_and_the_entropy_of_its_leaves():
    family, variational, params = mixed()
    gamma, normal = scipy.stats.gamma(2.0, scale=1 / 4.0), scipy.stats.norm(1.0, 0.5)
    dirichlet = scipy.stats.dirichlet([1.0, 2.0, 3.0])
    expected = gamma.logpdf([0.3, 1.2]).sum() + normal.logpdf(0.7)
    expected += dirichlet.logpdf([0.2, 0.3, 0.5])
    np.testing.assert_allclose(family.log_prob(variational, params), expected, rtol=1e-5)
    entropy = 2 * gamma.entropy() + normal.entropy() + dirichlet.entropy()
    np.testing.assert_allclose(family.entropy(variational), entropy, rtol=1e-4)
    means, variances = family.moments(variational)
    np.testing.assert_allclose(means["weights"][0], dirichlet.mean(), rtol=1e-5)
    np.testing.assert_allclose(variances["rate"], gamma.var(), rtol=1e-5)


def test_derivatives_flow_through_gamma_and_dirichlet_draws():
    """The mean gradient of a draw is the gradient of the mean."""
    family, variational, _ = mixed()
    keys = jax.random.split(jax.random.key(3), 400)

    def drawn(variational, key):
        params = family.draw(variational, key)
        return params["rate"][0] + params["weights"][0, 2] ** 2

    found = quick(jax.vmap(jax.grad(drawn), (None, 0)))(variational, keys)

    def exact(variational):
        means, variances = family.moments(variational)
        return means["rate"][0] + variances["weights"][0, 2] + means["weights"][0, 2] ** 2

    expected = ravel_pytree(jax.grad(exact)(variational))[0]
    found = np.asarray(jax.vmap(lambda tree: ravel_pytree(tree)[0])(found))
    error = np.abs(found.mean(0) - expected)
    assert np.all(error <= 4.5 * found.std(0) / np.sqrt(400) + 1e-6)
    assert np.abs(expected).max() > 0.1


def test_distributions_that_cannot_be_learned_are_refused():
    with pytest.raises(ValueError, match="Poisson for 'n' have no derivative"):
        families.from_distributions({"n": dist.Poisson(3.0)})
    family = families.from_distributions({"w": dist.Dirichlet(jnp.ones(3))})
    with pytest.raises(ValueError, match="no distribution of the entries of 'w', \\(2,\\)"):
        family.init({"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="fits 'x'; add"):
        family.init({"x": jnp.ones(3)})
    with pytest.raises(ValueError, match="a key"):
        families.low_rank(1).init(PARAMS)
    with pytest.raises(ValueError, match="positive; got -1"):
        families.mean_field(-1.0)
