"""The variational mixture against scikit-learn, the exact evidence of one component, and EM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from jdl.bayes import variational_em as vem
from jdl.core import Variables
from jdl.train import run

GENERATOR = np.random.default_rng(0)
POINTS = np.concatenate(
    [
        GENERATOR.multivariate_normal([-2, 0], [[1.0, 0.6], [0.6, 0.8]], 60),
        GENERATOR.multivariate_normal([2, 1], [[0.5, -0.2], [-0.2, 0.6]], 40),
    ]
).astype(np.float32)
SCATTER0 = np.array([[1.5, 0.2], [0.2, 1.0]], np.float32)
PRIOR = vem.MixturePrior(0.1, jnp.array([0.3, -0.2]), 0.4, 3.5, jnp.asarray(SCATTER0))
GUESS = GENERATOR.dirichlet([1.0, 1.0, 1.0], len(POINTS)).astype(np.float32)


def fitted(prior, points, guess, length):
    algorithm = vem.variational_mixture(prior)
    points = jnp.asarray(points)
    state = algorithm.init(Variables(vem.mixture_posterior(prior, points, jnp.asarray(guess))))
    fixed = algorithm._replace(step=lambda state, _, key: algorithm.step(state, points, key))
    return jax.jit(lambda s: run(fixed, s, None, jax.random.key(0), length=length))(state)


@pytest.fixture(scope="module")
def ours():
    state, info = fitted(PRIOR, POINTS, GUESS, 60)
    return state.variables.params, np.asarray(info["free_energy"])


def peer(steps, components=3):
    """scikit-learn's, from the same responsibilities, after some steps."""
    mixture = BayesianGaussianMixture(
        n_components=components,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=0.1,
        mean_prior=[0.3, -0.2],
        mean_precision_prior=0.4,
        degrees_of_freedom_prior=3.5,
        covariance_prior=SCATTER0,
        reg_covar=0.0,
        max_iter=steps,
        tol=0.0,
        warm_start=True,
    )
    mixture._initialize_parameters = lambda points, random_state, **_: mixture._initialize(
        points.astype(float), GUESS.astype(float)
    )
    with pytest.warns(ConvergenceWarning):
        return mixture.fit(POINTS.astype(float))


def test_it_is_scikit_learns_mixture(ours):
    params, _ = ours
    other = peer(60)
    np.testing.assert_allclose(params.means, other.means_, rtol=5e-3, atol=5e-3)
    np.testing.assert_allclose(
        params.concentration, other.weight_concentration_, rtol=5e-3, atol=5e-3
    )
    np.testing.assert_allclose(params.degrees_of_freedom, other.degrees_of_freedom_, rtol=5e-3)
    covariances = np.asarray(params.scatter) / np.asarray(params.degrees_of_freedom)[:, None, None]
    np.testing.assert_allclose(covariances, other.covariances_, rtol=1e-2, atol=5e-3)
    found = vem.responsibilities(params, jnp.asarray(POINTS))
    np.testing.assert_allclose(found, other.predict_proba(POINTS), atol=5e-3)


def test_the_first_steps_are_scikit_learns_too():
    state, info = fitted(PRIOR, POINTS, GUESS, 3)
    params, other = state.variables.params, peer(3)
    np.testing.assert_allclose(params.means, other.means_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(params.mean_precision, other.mean_precision_, rtol=1e-4)
    # Its bound lacks constants, so differences are compared.
    energy = np.asarray(info["free_energy"], float)
    bounds = [peer(steps).lower_bound_ for steps in (1, 2, 3)]
    np.testing.assert_allclose(-np.diff(energy), np.diff(bounds), rtol=1e-2, atol=2e-3)


def test_free_energy_never_rises_and_an_idle_component_keeps_its_prior(ours):
    params, energy = ours
    assert np.all(np.diff(energy) < 1e-3) and energy[0] - energy[-1] > 5
    counts = np.sort(np.asarray(params.concentration) - 0.1)
    assert counts[0] < 0.05 and abs(counts[1] - 40) < 3 and abs(counts[2] - 60) < 3
    idle = int(np.argmin(params.concentration))
    np.testing.assert_allclose(params.means[idle], PRIOR.mean, atol=0.05)


def test_of_one_component_the_free_energy_is_the_evidence():
    """The chain rule: each point is Student-t given those before it."""
    points = POINTS[:12]
    posterior = vem.mixture_posterior(PRIOR, jnp.asarray(points), jnp.ones([12, 1]))
    found = -vem.free_energy(PRIOR, posterior, jnp.ones([12, 1]))
    evidence = 0.0
    for n in range(12):
        seen = (jnp.arange(12) < n).astype(float)[:, None]
        before = vem.mixture_posterior(PRIOR, jnp.asarray(points), seen)
        b, v = float(before.mean_precision[0]), float(before.degrees_of_freedom[0])
        shape = np.asarray(before.scatter[0]) * (b + 1) / (b * (v - 1))
        student = scipy.stats.multivariate_t(np.asarray(before.means[0]), shape, df=v - 1)
        evidence += student.logpdf(points[n])
    np.testing.assert_allclose(found, evidence, rtol=1e-4)


def test_with_many_data_it_is_em():
    guess = np.tile(np.eye(2)[(POINTS[:, 0] > 0).astype(int)], (100, 1))
    state, _ = fitted(PRIOR, np.tile(POINTS, (100, 1)), guess, 40)
    params = state.variables.params
    mixture = GaussianMixture(
        2, means_init=[[-2, 0], [2, 1]], reg_covar=0.0, tol=1e-8, max_iter=500
    )
    mixture.fit(POINTS.astype(float))
    np.testing.assert_allclose(params.means, mixture.means_, atol=0.01)
    covariances = np.asarray(params.scatter) / np.asarray(params.degrees_of_freedom)[:, None, None]
    np.testing.assert_allclose(covariances, mixture.covariances_, atol=0.02)
    weights = params.concentration / params.concentration.sum()
    np.testing.assert_allclose(weights, mixture.weights_, atol=0.003)


def test_responsibilities_of_other_points_are_refused():
    with pytest.raises(ValueError, match="responsibilities \\[N, K\\]"):
        vem.mixture_posterior(PRIOR, jnp.asarray(POINTS), jnp.ones([3, 2]))
