"""The ELBO in a conjugate linear model, where evidence, posterior and all gradients are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.bayes import elbo
from jdl.bayes.densities import log_posterior, model_log_likelihood
from jdl.bayes.families import from_distributions, full_rank, mean_field
from jdl.bayes.likelihoods import gaussian
from jdl.core import Variables
from jdl.models.mlp import mlp
from jdl.nn.variational_layers import inverse_softplus
from jdl.train import descent, fit, gradient, run
from tests.conformance.case import quick

NOISE, PRIOR_STD, N = 0.5, 2.0, 20
MODEL, PRIOR = mlp([2, 1]), dist.Normal(0.0, PRIOR_STD)
JOINT = log_posterior(MODEL, PRIOR, gaussian(NOISE))
LIKELIHOOD = model_log_likelihood(MODEL, gaussian(NOISE))
START = MODEL.init(jax.random.key(0)).params
UNRAVEL = ravel_pytree(START)[1]


@pytest.fixture(scope="module")
def linear():
    """Data, the precision and mean of the posterior of (bias, weights), the log evidence."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=[N, 2])
    targets = inputs @ [1.0, -2.0] + 0.7 + NOISE * generator.normal(size=N)
    features = np.column_stack([np.ones(N), inputs])
    precision = features.T @ features / NOISE**2 + np.eye(3) / PRIOR_STD**2
    mean = np.linalg.solve(precision, features.T @ targets / NOISE**2)
    marginal = NOISE**2 * np.eye(N) + PRIOR_STD**2 * features @ features.T
    evidence = scipy.stats.multivariate_normal(np.zeros(N), marginal).logpdf(targets)
    batch = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets[:, None], jnp.float32)
    return batch, precision, mean, evidence


def tree(vector):
    return UNRAVEL(jnp.asarray(vector, jnp.float32))


def some_mean_field():
    return {
        "mean": tree([0.4, 1.3, -1.7]),
        "rho": tree(inverse_softplus(np.array([0.2, 0.3, 0.1]))),
    }


def exact_loss(batch, precision):
    """-E_q[log joint] - entropy: the joint is quadratic, so its mean is known."""
    curvature = jnp.asarray(np.diag(precision), jnp.float32)
    family = mean_field()

    def loss(variational):
        mean, variance = family.moments(variational)
        bend = jnp.sum(curvature * ravel_pytree(variance)[0]) / 2
        return bend - JOINT(mean, batch) - family.entropy(variational)

    return loss


def estimators(num_draws):
    family = mean_field()
    return {
        "score": elbo.score_function(family, JOINT, num_draws=num_draws),
        "control": elbo.score_function(
            family, JOINT, num_draws=num_draws, control_variate=elbo.leave_one_out
        ),
        "A": gradient(elbo.negative_elbo(family, JOINT, num_draws=num_draws)),
        "landing": gradient(
            elbo.negative_elbo(family, JOINT, num_draws=num_draws, sticking_the_landing=True)
        ),
        "B": gradient(elbo.negative_elbo_with_kl(family, PRIOR, LIKELIHOOD, num_draws=num_draws)),
    }


@pytest.fixture(scope="module")
def gradients(linear):
    """Of each estimator, 4000 gradients of four draws, and the exact one."""
    batch, precision = linear[:2]
    variational = some_mean_field()
    keys = jax.random.split(jax.random.key(1), 4000)

    def of_key(key):
        every = {name: f(variational, (), batch, key) for name, f in estimators(4).items()}
        return {
            name: (ravel_pytree(direction)[0], info["loss"])
            for name, (direction, _, info) in every.items()
        }

    found = jax.tree.map(lambda x: np.asarray(x, float), quick(jax.vmap(of_key))(keys))
    loss, exact = jax.value_and_grad(exact_loss(batch, precision))(variational)
    return found, float(loss), np.asarray(ravel_pytree(exact)[0])


@pytest.mark.parametrize("name", ["score", "control", "A", "landing", "B"])
def test_each_estimator_has_the_exact_gradient_and_loss_as_its_mean(name, gradients):
    found, loss, exact = gradients
    directions, losses = found[name]
    error = np.abs(directions.mean(0) - exact)
    assert np.all(error < 4.5 * directions.std(0) / np.sqrt(4000))
    assert abs(losses.mean() - loss) < 4.5 * losses.std() / np.sqrt(4000)


def test_the_score_function_varies_most_and_the_analytic_kl_least(gradients):
    variance = {name: both[0].var(0).sum() for name, both in gradients[0].items()}
    assert variance["score"] > 5 * variance["control"] > 5 * variance["A"]
    assert variance["A"] > variance["B"]


def test_at_the_posterior_each_draw_gives_the_log_evidence(linear):
    """ELBO + KL = log evidence (004, eq. 9.28), and the KL is 0 there."""
    batch, precision, mean, evidence = linear
    family = full_rank()
    variational = exact_posterior(precision, mean)
    objective = elbo.negative_elbo(family, JOINT)
    landing = elbo.negative_elbo(family, JOINT, sticking_the_landing=True)

    def both(key):
        return [gradient(f)(variational, (), batch, key) for f in (objective, landing)]

    (noisy, _, info), (still, _, _) = quick(jax.vmap(both))(jax.random.split(jax.random.key(0), 9))
    np.testing.assert_allclose(info["loss"], -evidence, rtol=1e-5)
    # The score of q alone has noise there; without it nothing is left.
    assert np.abs(ravel_pytree(noisy)[0]).max() > 0.5
    assert np.abs(ravel_pytree(still)[0]).max() < 2e-2


def test_elsewhere_the_bound_misses_the_evidence_by_the_kl(linear, gradients):
    batch, precision, mean, evidence = linear
    own_mean, own_variance = np.array([0.4, 1.3, -1.7]), np.array([0.2, 0.3, 0.1]) ** 2
    offset = own_mean - mean
    kl = np.trace(precision @ np.diag(own_variance)) + offset @ precision @ offset - 3
    kl = (kl - np.log(own_variance).sum() - np.linalg.slogdet(precision)[1]) / 2
    np.testing.assert_allclose(-gradients[1] + kl, evidence, rtol=1e-4)


def test_the_best_mean_field_has_the_inverse_diagonal_of_the_precision(linear):
    batch, precision, mean, _ = linear
    family = mean_field()
    objective = elbo.negative_elbo_with_kl(family, PRIOR, LIKELIHOOD, num_draws=8)
    schedule = optax.exponential_decay(0.05, 300, 0.3)
    means, variances = family.moments(
        descended(objective, batch, family.init(START), optax.adam(schedule), 1500)
    )
    np.testing.assert_allclose(ravel_pytree(means)[0], mean, atol=0.01)
    found = np.sqrt(ravel_pytree(variances)[0])
    np.testing.assert_allclose(found, np.diag(precision) ** -0.5, rtol=0.02)
    # It is narrower than the marginals of the posterior.
    assert np.all(found < 0.99 * np.sqrt(np.diag(np.linalg.inv(precision))))


def descended(objective, batch, start, optimizer, length):
    algorithm = descent(gradient(lambda p, b, _, k: objective(p, b, batch, k)), optimizer)
    state = algorithm.init(Variables(start))
    step = quick(lambda s, k: run(algorithm, s, None, k, length=length)[0])
    return step(state, jax.random.key(0)).variables.params


def exact_posterior(precision, mean):
    factor = np.linalg.cholesky(np.linalg.inv(precision))
    return {
        "mean": tree(mean),
        "rho": tree(inverse_softplus(np.diag(factor))),
        "lower": jnp.asarray(factor, jnp.float32),
    }


def test_mini_batches_have_the_loss_of_all_data_as_their_mean(linear):
    (inputs, targets), *_ = linear
    joint = log_posterior(MODEL, PRIOR, gaussian(NOISE), num_examples=N)
    objective = elbo.negative_elbo(mean_field(), joint)
    key, variational = jax.random.key(4), some_mean_field()
    parts = quick(jax.vmap(lambda *part: objective(variational, (), part, key)[0]))(
        inputs.reshape(4, 5, 2), targets.reshape(4, 5, 1)
    )
    whole = quick(elbo.negative_elbo(mean_field(), JOINT))(variational, (), linear[0], key)[0]
    np.testing.assert_allclose(np.mean(parts), whole, rtol=1e-5)


def test_fit_drives_it(linear):
    batch = linear[0]
    family = mean_field()
    joint = log_posterior(MODEL, PRIOR, gaussian(NOISE), num_examples=N)
    algorithm = descent(gradient(elbo.negative_elbo(family, joint)), optax.adam(0.05))
    start = algorithm.init(Variables(family.init(START)))
    fitted = fit(algorithm, start, batch, jax.random.key(0), steps=300, batch_size=5)
    means, _ = family.moments(fitted.state.variables.params)
    np.testing.assert_allclose(ravel_pytree(means)[0], linear[2], atol=0.4)


@pytest.mark.parametrize("family, name", [(mean_field(), "diagonal"), (full_rank(), "full")])
def test_kl_to_the_prior_is_numpyros(family, name, linear):
    if name == "diagonal":
        variational = some_mean_field()
        own = dist.Normal(
            ravel_pytree(variational["mean"])[0],
            jax.nn.softplus(ravel_pytree(variational["rho"])[0]),
        )
        expected = dist.kl_divergence(own, dist.Normal(0.5, 2.0)).sum()
    else:
        variational = exact_posterior(linear[1], linear[2])
        own = dist.MultivariateNormal(
            jnp.asarray(linear[2], jnp.float32),
            jnp.asarray(np.linalg.inv(linear[1]), jnp.float32),
        )
        prior = dist.MultivariateNormal(jnp.full(3, 0.5), 4.0 * jnp.eye(3))
        expected = dist.kl_divergence(own, prior)
    found = elbo.kl_to_normal_prior(family, dist.Normal(0.5, 2.0))(variational)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_gamma_family_finds_the_posterior_of_a_rate():
    """Counts under a gamma prior: the posterior is in the family."""
    counts = jnp.array([3.0, 1.0, 4.0, 2.0, 5.0])
    prior = dist.Gamma(2.0, 1.0)

    def joint(params, batch):
        return prior.log_prob(params["rate"]) + dist.Poisson(params["rate"]).log_prob(batch).sum()

    family = from_distributions({"rate": dist.Gamma(3.0, 2.0)})
    objective = elbo.negative_elbo(family, joint, num_draws=8, sticking_the_landing=True)
    start = family.init({"rate": jnp.array(1.0)})
    mean, variance = family.moments(descended(objective, counts, start, optax.adam(0.03), 800))
    np.testing.assert_allclose(mean["rate"], 17 / 6, rtol=0.02)  # Gamma(2 + 15, 1 + 5)
    np.testing.assert_allclose(variance["rate"], 17 / 36, rtol=0.05)


def test_what_has_no_closed_form_is_refused(linear):
    objective = elbo.negative_elbo_with_kl(mean_field(), dist.Laplace(0.0, 1.0), LIKELIHOOD)
    with pytest.raises(ValueError, match="got Laplace for"):
        objective(some_mean_field(), (), linear[0], jax.random.key(0))
    family = from_distributions({"*": dist.StudentT(3.0, 0.0, 1.0)})._replace(entropy=None)
    with pytest.raises(ValueError, match="no closed form"):
        elbo.kl_to_normal_prior(family, PRIOR)
    with pytest.raises(ValueError, match="at least 2"):
        elbo.leave_one_out(jnp.ones(1))
    with pytest.raises(ValueError, match="num_draws is at least 1"):
        elbo.negative_elbo(mean_field(), JOINT, num_draws=0)
