"""Laplace against linear regression in closed form, NumPyro, and hand-written Hessians."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist
from numpyro import infer, optim

from jdl.bayes.curvature import diagonal_ggn, full_ggn, full_hessian, kronecker_ggn
from jdl.bayes.densities import log_posterior, numpyro_model
from jdl.bayes.laplace import (
    NormalOutputs,
    best_prior_std,
    laplace,
    laplace_draws,
    linearised_outputs,
    log_evidence,
    output_draws,
    probit_bernoulli,
    probit_categorical,
    with_prior,
)
from jdl.bayes.likelihoods import bernoulli, categorical, gaussian, learned_noise, normal
from jdl.bayes.priors import by_pattern
from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.train.records import flat
from tests.conformance.case import QUICK

NOISE, PRIOR = 0.5, 2.0
LINEAR = mlp([2, 1])


def quick(function, *leading, **options):
    """The function of its remaining arguments, compiled fast."""
    called = functools.partial(function, *leading, **options)
    return jax.jit(called, compiler_options=QUICK)


@quick
def many(fitted, key):
    """20,000 draws."""
    return laplace_draws(fitted, key, 20_000)


def maximised(density, params, num_steps=30):
    """The maximum of a log density, by damped Newton steps: a flat direction is not taken."""
    vector, unravel = ravel_pytree(params)

    def body(_, v):
        slope = jax.grad(lambda v: density(unravel(v)))(v)
        values, vectors = jnp.linalg.eigh(jax.hessian(lambda v: -density(unravel(v)))(v))
        step = vectors @ ((vectors.T @ slope) / jnp.maximum(jnp.abs(values), 1e-3))
        return v + step * jnp.minimum(1.0, 0.5 / jnp.linalg.norm(step))

    return unravel(quick(lambda v: jax.lax.fori_loop(0, num_steps, body, v))(vector))


@pytest.fixture(scope="module")
def linear():
    """Linear regression: the approximation at the exact mean, and what is exact, in NumPy."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=[21, 2])
    targets = inputs @ [1.0, -2.0] + 0.7 + NOISE * generator.normal(size=21)
    features = np.column_stack([np.ones(21), inputs])
    precision = features.T @ features / NOISE**2 + np.eye(3) / PRIOR**2
    mean = np.linalg.solve(precision, features.T @ targets) / NOISE**2
    data = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets[:, None], jnp.float32)
    bias, kernel = jnp.asarray(mean[:1], jnp.float32), jnp.asarray(mean[1:, None], jnp.float32)
    variables = Variables({"layers": {"0": {"bias": bias, "kernel": kernel}}})

    @functools.cache
    def fit(prior_std=PRIOR, **options):
        options = {"batch_size": 8} | options
        prior, likelihood = dist.Normal(0.0, prior_std), gaussian(NOISE)
        return quick(laplace, LINEAR, prior, likelihood, **options)(variables, data)

    def evidence(prior_std):
        covariance = NOISE**2 * np.eye(21) + prior_std**2 * features @ features.T
        return scipy.stats.multivariate_normal(np.zeros(21), covariance).logpdf(targets)

    return fit, mean, precision, evidence


def test_of_a_linear_model_it_is_the_exact_posterior(linear):
    fit, mean, precision, _ = linear
    for options in ({}, {"curvature": full_hessian}):
        found = fit(**options)
        total = found.curvature.matrix + jnp.diag(ravel_pytree(found.prior_precision)[0])
        np.testing.assert_allclose(total, precision, rtol=1e-5, atol=1e-4)
    draws = many(fit(), jax.random.key(0))["layers"]["0"]
    draws = np.column_stack([draws["bias"], draws["kernel"][..., 0]])
    covariance = np.linalg.inv(precision)
    scale = np.sqrt(np.diag(covariance))
    assert np.all(np.abs(draws.mean(0) - mean) < 4.5 * scale / np.sqrt(len(draws)))
    found = np.cov(draws.T) / np.outer(scale, scale)
    np.testing.assert_allclose(found, covariance / np.outer(scale, scale), atol=4.5 / 100)


def test_the_outputs_of_a_linear_model_have_their_exact_variance(linear):
    fit, mean, precision, _ = linear
    inputs = np.random.default_rng(1).normal(size=[5, 2]).astype(np.float32)
    features = np.column_stack([np.ones(5), inputs])
    found = quick(linearised_outputs, LINEAR, batch_size=2)(fit(), inputs)
    np.testing.assert_allclose(found.mean[:, 0], features @ mean, rtol=1e-5)
    expected = np.einsum("bi,ij,bj->b", features, np.linalg.inv(precision), features)
    np.testing.assert_allclose(found.variance[:, 0], expected, rtol=1e-4)
    np.testing.assert_allclose(found.covariance[:, 0, 0], expected, rtol=1e-4)


def test_the_evidence_of_a_linear_model_is_that_of_its_normal_targets(linear):
    fit, _, _, evidence = linear
    of_fit = quick(log_evidence)
    np.testing.assert_allclose(of_fit(fit()), evidence(PRIOR), rtol=1e-5)
    # The structure that leaves out correlations has another one.
    assert abs(of_fit(fit(curvature=diagonal_ggn)) - evidence(PRIOR)) > 0.01


def test_the_best_prior_has_the_largest_evidence_and_a_flat_gradient(linear):
    fitted = linear[0]()
    candidates = np.logspace(-1, 1.5, 101)
    best, values = quick(best_prior_std)(fitted, candidates)
    # With the mean held, as Daxberger et al. do, in NumPy:
    mean, h = linear[1], linear[2] - np.eye(3) / PRIOR**2

    def held(std):
        prior = scipy.stats.norm(0, std).logpdf(mean).sum()
        return prior - np.linalg.slogdet(h + np.eye(3) / std**2)[1] / 2

    expected = np.array([held(std) for std in candidates])
    np.testing.assert_allclose(values - values[50], expected - expected[50], atol=1e-3)
    np.testing.assert_allclose(best, candidates[np.argmax(expected)], rtol=1e-6)
    slope = quick(
        jax.grad(lambda s: log_evidence(with_prior(fitted, dist.Normal(0.0, jnp.exp(s)))))
    )
    assert abs(slope(jnp.log(best))) < 0.1 < 1 < slope(jnp.log(0.3))


def test_a_part_of_the_leaves_has_the_posterior_given_the_others(linear):
    fit, mean, precision, _ = linear
    found = fit(over="*.kernel")
    draws = many(found, jax.random.key(1))["layers"]["0"]
    np.testing.assert_array_equal(draws["bias"], np.full([20_000, 1], np.float32(mean[0])))
    expected = np.linalg.inv(precision[1:, 1:])  # conditional, not marginal
    np.testing.assert_allclose(np.cov(draws["kernel"][..., 0].T), expected, rtol=0.1, atol=5e-4)
    both = fit(over=("*.kernel", "*.bias"))
    of_fit = quick(log_evidence)
    np.testing.assert_allclose(of_fit(both), of_fit(fit()), rtol=1e-6)


def test_logistic_regression_has_the_hessian_of_the_textbook():
    generator = np.random.default_rng(2)
    inputs = generator.normal(size=[30, 2]).astype(np.float32)
    targets = (generator.uniform(size=[30, 1]) < 0.6).astype(np.float32)
    variables = LINEAR.init(jax.random.key(0))
    odds = np.asarray(LINEAR.apply(variables, inputs)[0])[:, 0]
    p = 1 / (1 + np.exp(-odds))
    features = np.column_stack([np.ones(30), inputs])
    expected = features.T @ np.diag(p * (1 - p)) @ features
    prior = dist.Normal(0.0, 1.0)
    for curvature in (full_hessian, None):
        options = {"curvature": curvature} if curvature else {}
        found = quick(laplace, LINEAR, prior, bernoulli, **options)(variables, (inputs, targets))
        np.testing.assert_allclose(found.curvature.matrix, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def network():
    """A small network at a maximum of its posterior."""
    x = jnp.linspace(-2, 2, 25)[:, None]
    y = jnp.sin(2 * x) + 0.1 * jax.random.normal(jax.random.key(5), x.shape)
    model, prior, likelihood = mlp([1, 3, 1], jnp.tanh), dist.Normal(0.0, 1.0), gaussian(0.2)
    density = log_posterior(model, prior, likelihood)
    params = maximised(lambda p: density(p, (x, y)), model.init(jax.random.key(1)).params, 60)
    slope = quick(jax.grad(density))(params, (x, y))
    assert max(float(jnp.abs(s).max()) for s in jax.tree.leaves(slope)) < 0.05
    return model, prior, likelihood, Variables(params), (x, y)


@pytest.fixture(scope="module")
def fitters(network):
    """By curvature: (variables, data) -> the approximation of the small network, compiled once."""
    return functools.cache(lambda curvature: quick(laplace, *network[:3], curvature=curvature))


@pytest.fixture(scope="module")
def fits(network, fitters):
    """The approximation of the small network by a curvature."""
    return functools.cache(lambda curvature: fitters(curvature)(*network[3:]))


def test_the_full_hessian_is_that_of_the_log_posterior(network):
    model, prior, likelihood, variables, data = network
    found = quick(laplace, *network[:3], curvature=full_hessian, batch_size=10)(*network[3:])
    total = found.curvature.matrix + jnp.diag(ravel_pytree(found.prior_precision)[0])
    vector, unravel = ravel_pytree(variables.params)
    density = log_posterior(model, prior, likelihood)
    expected = quick(jax.hessian(lambda v: -density(unravel(v), data)))(vector)
    scale = float(jnp.abs(expected).max())
    np.testing.assert_allclose(total, expected, atol=1e-5 * scale)


def test_numpyro_has_the_same_precision(network, fits):
    model, prior, likelihood, variables, data = network
    sites = numpyro_model(model, prior, likelihood)
    guide = infer.autoguide.AutoLaplaceApproximation(
        sites, init_loc_fn=infer.init_to_value(values=flat(variables.params))
    )
    svi = infer.SVI(
        sites, guide, optim.SGD(0.1), infer.Trace_ELBO(), inputs=data[0], targets=data[1]
    )
    quick(svi.init)(jax.random.key(0))
    vector = ravel_pytree(variables.params)[0]
    theirs = quick(lambda v: guide.get_posterior({"auto_loc": v}).precision_matrix)(vector)
    found = fits(full_hessian)
    total = found.curvature.matrix + jnp.diag(ravel_pytree(found.prior_precision)[0])
    np.testing.assert_allclose(theirs, total, atol=1e-3 * float(jnp.abs(total).max()))


def test_the_ggn_of_a_network_is_the_sum_of_outer_products_of_its_gradients(network, fits):
    model, _, _, variables, (x, _) = network
    vector, unravel = ravel_pytree(variables.params)
    of_vector = quick(jax.jacobian(lambda v: model.apply(Variables(unravel(v)), x)[0][:, 0]))
    rows = np.asarray(of_vector(vector))
    expected = rows.T @ rows / 0.2**2
    found = fits(full_ggn)
    np.testing.assert_allclose(found.curvature.matrix, expected, rtol=1e-4, atol=1e-2)
    diagonal = fits(diagonal_ggn)
    np.testing.assert_allclose(
        ravel_pytree(diagonal.curvature.values)[0], np.diag(expected), rtol=1e-4
    )
    exact = fits(full_hessian)
    assert np.abs(exact.curvature.matrix - expected).max() > 0.1  # f is curved


def test_diagonal_and_kronecker_draw_and_predict_as_their_own_matrices_say(network, fits):
    x = jnp.array([[-1.0], [0.5]])
    model, _, _, variables, _ = network
    vector, unravel = ravel_pytree(variables.params)

    @quick
    def said(fitted, key):
        draws = jax.vmap(lambda p: ravel_pytree(p)[0])(laplace_draws(fitted, key, 20_000))
        determinant = fitted.curvature.precision(fitted.prior_precision).log_determinant
        return determinant, linearised_outputs(model, fitted, x).variance[:, 0], draws

    of_vector = quick(jax.jacobian(lambda v: model.apply(Variables(unravel(v)), x)[0][:, 0]))
    rows = np.asarray(of_vector(vector))
    for curvature in (diagonal_ggn, kronecker_ggn):
        fitted = fits(curvature)
        matrix = _dense(fitted)
        determinant, variance, draws = said(fitted, jax.random.key(3))
        np.testing.assert_allclose(determinant, np.linalg.slogdet(matrix)[1], rtol=1e-5)
        expected = np.einsum("bi,ij,bj->b", rows, np.linalg.inv(matrix), rows)
        np.testing.assert_allclose(variance, expected, rtol=1e-4)
        whitened = (np.asarray(draws) - np.asarray(vector)) @ np.linalg.cholesky(matrix)
        np.testing.assert_allclose(np.cov(whitened.T), np.eye(len(vector)), atol=0.05)


def _dense(fitted):
    """The precision matrix of a structure of blocks."""
    blocks = []
    for path, prior in fitted.prior_precision.items():
        if hasattr(fitted.curvature, "values"):
            block = np.diag(fitted.curvature.values[path].ravel())
        else:
            block = np.kron(fitted.curvature.left[path], fitted.curvature.right[path])
        blocks.append(block + np.diag(prior.ravel()))
    return scipy.linalg.block_diag(*blocks)


def test_outputs_linearised_in_the_last_layer_are_those_of_draws_of_it(network):
    model, _, _, _, _ = network
    fitted = quick(laplace, *network[:3], over="layers.1.*")(*network[3:])
    x = jnp.array([[-1.0], [0.3], [1.5]])

    @quick
    def both(fitted, key):
        draws = laplace_draws(fitted, key, 20_000)
        outputs = jax.vmap(lambda p: model.apply(Variables(p), x)[0])(draws)
        return outputs[..., 0], linearised_outputs(model, fitted, x)

    of_draws, found = both(fitted, jax.random.key(4))
    of_draws = np.asarray(of_draws)
    np.testing.assert_allclose(of_draws.var(0), found.variance[:, 0], rtol=4.5 * 0.01)
    errors = 4.5 * np.sqrt(found.variance[:, 0] / 20_000)
    assert np.all(np.abs(of_draws.mean(0) - found.mean[:, 0]) < errors)


def test_probabilities_of_normal_logits_are_near_their_expectation():
    means, variances = np.array([[0.5], [-2.0], [1.0]]), np.array([[0.1], [1.0], [9.0]])
    outputs = NormalOutputs(jnp.asarray(means), jnp.asarray(variances), variances[..., None])
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    odds = means[:, 0, None] + np.sqrt(variances[:, 0, None]) * nodes[None]
    expected = (1 / (1 + np.exp(-odds))) @ weights / weights.sum()
    np.testing.assert_allclose(probit_bernoulli(outputs)[:, 0], expected, atol=0.02)
    drawn = jax.nn.sigmoid(output_draws(outputs, jax.random.key(0), 40_000)).mean(0)
    np.testing.assert_allclose(drawn[:, 0], expected, atol=0.01)
    assert np.abs(jax.nn.sigmoid(outputs.mean[2, 0]) - expected[2]) > 0.1  # the plug-in


def test_draws_of_outputs_have_their_covariance_even_if_it_is_singular():
    root = np.random.default_rng(0).normal(size=[2, 3, 2])  # rank 2 of 3
    covariance = root @ root.swapaxes(1, 2)
    outputs = NormalOutputs(jnp.ones([2, 3]), jnp.ones([2, 3]), jnp.asarray(covariance))
    draws = np.asarray(output_draws(outputs, jax.random.key(0), 50_000))
    np.testing.assert_allclose(draws.mean(0), 1.0, atol=0.06)
    for i in range(2):
        scale = np.abs(covariance[i]).max()
        np.testing.assert_allclose(np.cov(draws[:, i].T), covariance[i], atol=0.04 * scale)
    probabilities = probit_categorical(outputs)
    np.testing.assert_allclose(probabilities, 1 / 3, rtol=1e-6)


def test_classes_are_uncertain_where_there_were_no_data():
    inputs = np.random.default_rng(3).normal(size=[40, 2]).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(np.int32) + (inputs[:, 1] > 0.5)
    model, prior = mlp([2, 4, 3], jnp.tanh), dist.Normal(0.0, 1.0)
    variables = model.init(jax.random.key(2))
    fitted = quick(laplace, model, prior, categorical, over="layers.1.*")(
        variables, (inputs, labels)
    )
    far = jnp.array([[0.0, 0.0], [30.0, 30.0]])
    found = quick(linearised_outputs, model)(fitted, far)
    assert found.variance.shape == (2, 3)
    assert found.covariance.shape == (2, 3, 3)
    assert np.all(found.variance[1] > found.variance[0])
    flat, sharp = probit_categorical(found), jax.nn.softmax(found.mean)
    assert flat[1].max() < sharp[1].max() - 0.05


# Of laplace-torch 0.3 in float64: log evidence, variances of four logits, their probit softmax.
LAPLACE_TORCH = [
    ("*", full_ggn, -75.353738, [0.890121, 0.991637, 0.905017, 0.885569], 0.522009),
    ("layers.1.*", full_ggn, -69.063466, [0.602329, 0.634193, 0.549634, 0.599619], 0.537682),
    ("*", diagonal_ggn, -82.255376, [0.729141, 1.132650, 0.905686, 0.595843], 0.521523),
]


@pytest.mark.parametrize(("over", "curvature", "evidence", "variances", "third"), LAPLACE_TORCH)
def test_a_classifier_has_the_numbers_of_laplace_torch(over, curvature, evidence, variances, third):
    generator = np.random.default_rng(0)
    inputs, labels = generator.normal(size=[40, 3]), generator.integers(0, 4, 40)
    first, last = (generator.normal(size=s) / np.sqrt(s[0]) for s in ([3, 5], [5, 4]))
    layers = {
        "0": {"kernel": jnp.asarray(first), "bias": jnp.zeros(5)},
        "1": {"kernel": jnp.asarray(last), "bias": jnp.zeros(4)},
    }
    model, prior = mlp([3, 5, 4], jnp.tanh), dist.Normal(0.0, 0.5**0.5)
    fit = quick(laplace, model, prior, categorical, curvature=curvature, over=over)
    fitted = fit(Variables({"layers": layers}), (jnp.asarray(inputs), jnp.asarray(labels)))
    np.testing.assert_allclose(quick(log_evidence)(fitted), evidence, rtol=1e-5)
    found = quick(linearised_outputs, model)(fitted, jnp.array([[1.0, -1.0, 0.5]]))
    np.testing.assert_allclose(found.variance[0], variances, rtol=1e-4)
    np.testing.assert_allclose(probit_categorical(found)[0, 2], third, rtol=1e-4)


@pytest.mark.slow
def test_a_learned_noise_is_one_more_uncertain_parameter():
    model = learned_noise(mlp([1, 1]), 0.5)
    x = jnp.linspace(-1, 1, 50)[:, None]
    y = 2 * x + 0.5 * jax.random.normal(jax.random.key(1), x.shape)
    prior = by_pattern({"model.*": dist.Normal(0.0, 10.0), "log_noise_std": dist.Normal(0.0, 1.0)})
    density = log_posterior(model, prior, normal)
    params = maximised(lambda p: density(p, (x, y)), model.init(jax.random.key(0)).params)
    fitted = quick(laplace, model, prior, normal, curvature=full_hessian)(Variables(params), (x, y))
    # The information of n normal targets about the logarithm of their deviation is 2 n.
    np.testing.assert_allclose(fitted.curvature.matrix[0, 0], 2 * 50, rtol=0.02)
    found = quick(linearised_outputs, model)(fitted, x[:2])
    np.testing.assert_allclose(found.variance.std, params_variance(params, 101), rtol=0.02)


def params_variance(params, precision):
    std = np.exp(float(params["log_noise_std"]))
    return np.full([2, 1], std**2 / precision)


def test_where_the_params_are_no_maximum_the_hessian_is_refused(network, fitters):
    model, prior, _, _, data = network
    wrong = model.init(jax.random.key(7))
    # What was fitted under jit is checked outside of it, as `laplace` outside of jit does itself.
    with pytest.raises(ValueError, match=r"smallest eigenvalue is -.*train further.*full_ggn"):
        with_prior(fitters(full_hessian)(wrong, data), prior)
    with_prior(fitters(full_ggn)(wrong, data), prior)  # the GGN has no such trouble


def test_a_flat_prior_and_few_data_are_refused():
    data, prior = (jnp.zeros([1, 2]), jnp.ones([1, 1])), dist.Laplace(0.0, 1.0)
    variables = LINEAR.init(jax.random.key(0))
    with pytest.raises(ValueError, match="smallest eigenvalue is 0"):
        laplace(LINEAR, prior, gaussian(1.0), variables, data, curvature=diagonal_ggn)
    curvature = functools.partial(kronecker_ggn, num_iterations=2)
    fitted = quick(laplace, LINEAR, prior, gaussian(1.0), curvature=curvature)(variables, data)
    with pytest.raises(ValueError, match="smallest eigenvalue is 0"):
        with_prior(fitted, prior)


def test_a_pattern_without_leaves_and_targets_of_another_shape_are_refused():
    variables = LINEAR.init(jax.random.key(0))
    prior = dist.Normal(0.0, 1.0)
    with pytest.raises(ValueError, match=r"\['head.\*'\] fit none of \['layers.0.bias'"):
        laplace(
            LINEAR,
            prior,
            gaussian(1.0),
            variables,
            (jnp.ones([2, 2]), jnp.ones([2])),
            over="head.*",
        )
    with pytest.raises(ValueError, match="broadcast to all pairs"):
        laplace(LINEAR, prior, gaussian(1.0), variables, (jnp.ones([2, 2]), jnp.ones([2])))
