"""Priors against SciPy; what is missed or doubled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from numpyro import distributions as dist

from jdl.bayes import priors

PARAMS = {"a": {"kernel": jnp.array([1.0, 2.0]), "bias": jnp.array(3.0)}}


def test_a_prior_by_path_gives_each_leaf_its_own():
    density = priors.log_prior(
        lambda path: dist.Laplace(0.0, 2.0) if path == "a.bias" else dist.Normal(0.0, 1.0)
    )
    expected = scipy.stats.norm.logpdf([1.0, 2.0]).sum() + scipy.stats.laplace(0, 2).logpdf(3.0)
    np.testing.assert_allclose(density(PARAMS), expected, rtol=1e-6)
    patterns = priors.by_pattern({"*.bias": dist.Laplace(0.0, 2.0), "*.k*": dist.Normal(0.0, 1.0)})
    np.testing.assert_allclose(priors.log_prior(patterns)(PARAMS), expected, rtol=1e-6)


def test_terms_are_named_by_path():
    terms = priors.prior_terms(dist.Normal(0.0, 2.0), PARAMS)
    assert list(terms) == ["a.bias", "a.kernel"]
    np.testing.assert_allclose(terms["a.bias"], scipy.stats.norm(0, 2).logpdf(3.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (["*.kernel"], "for 'a.bias' none does"),
        (["*", "*.bias"], r"for 'a.bias' 2 do: '\*', '\*.bias'"),
        (["*", "b.*"], r"\['b.\*'\] fit none of"),
    ],
)
def test_a_prior_that_misses_or_doubles_a_parameter_is_refused(patterns, said):
    prior = priors.by_pattern(dict.fromkeys(patterns, dist.Normal(0.0, 1.0)))
    with pytest.raises(ValueError, match=said):
        priors.log_prior(prior)(PARAMS)


def test_a_prior_of_many_numbers_is_refused():
    with pytest.raises(ValueError, match="of shape \\(3,\\) for 'a'"):
        priors.log_prior(dist.Normal(jnp.zeros(3), 1.0))({"a": jnp.zeros(3)})


def test_the_scale_mixture_is_that_of_two_normals(key):
    prior = priors.scale_mixture(0.25, 1.0, 0.01)
    x = np.array([0.0, 0.005, 0.5, -2.0])
    expected = 0.25 * scipy.stats.norm.pdf(x) + 0.75 * scipy.stats.norm(0, 0.01).pdf(x)
    np.testing.assert_allclose(np.exp([priors.log_prior(prior)(v) for v in x]), expected, rtol=1e-5)
    drawn = priors.sample_prior(prior, {"w": jax.ShapeDtypeStruct([20_000], jnp.float32)}, key)
    np.testing.assert_allclose(drawn["w"].var(), 0.25 + 0.75e-4, rtol=0.06)
    for wrong in [(0.0, 1.0, 0.1), (1.5, 1.0, 0.1), (0.5, 1.0, 0.0)]:
        with pytest.raises(ValueError, match="a weight in \\(0, 1\\) and positive"):
            priors.scale_mixture(*wrong)


def test_draws_of_a_prior_have_its_moments_leaf_by_leaf(key):
    like = {"bias": jnp.zeros([4000]), "kernel": jnp.zeros([40, 100])}
    prior = priors.by_pattern({"bias": dist.Normal(5.0, 0.1), "kernel": dist.Normal(0.0, 2.0)})
    drawn = priors.sample_prior(prior, like, key)
    assert drawn["kernel"].shape == (40, 100)
    np.testing.assert_allclose(drawn["bias"].mean(), 5.0, atol=0.01)
    np.testing.assert_allclose(drawn["kernel"].std(), 2.0, rtol=0.05)
    # Leaves have keys of their own.
    correlation = np.corrcoef(drawn["bias"], drawn["kernel"].ravel())[0, 1]
    assert abs(correlation) < 0.07
