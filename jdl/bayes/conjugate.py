"""Models whose posterior is known exactly: linear regression, and coins, counts and means.

    weights w ~ N(m0, S0),   targets y = X w + noise,   noise ~ N(0, s^2)
    S^-1 = S0^-1 + X' X / s^2,    m = S (S0^-1 m0 + X' y / s^2)
    p(y | x) = N(x' m, x' S x + s^2)              epistemic part, aleatoric part
    log evidence = log N(y; X m0, s^2 I + X S0 X')

With a prior over the noise too (normal-inverse-gamma) predictions are Student-t. The other updates
take and give NumPyro distributions. They are what samplers and approximations are tested against,
and the last layer of a network on fixed features.

Source: 004 (Martinez-Ramon et al.), problem 9.3, whose theta_hat and M are m and S; Bishop 2006,
sections 2.1 to 2.3 and 3.3 to 3.5, eq. 3.49 to 3.51, 3.58 and 3.86; Murphy 2012, section 7.6.3.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro import distributions as dist


class LinearPosterior(NamedTuple):
    """The weights of a linear regression given data.

    Attributes:
        mean: [D].
        covariance: [D, D].
        log_evidence: [], nats, of these data given those before.
        noise_std: [], of the targets.
    """

    mean: jax.Array
    covariance: jax.Array
    log_evidence: jax.Array
    noise_std: jax.Array


class LinearPrediction(NamedTuple):
    """What a linear regression says of targets.

    Attributes:
        mean: [N].
        variance: [N], of a noisy target, the sum of the two below.
        epistemic: [N], of the target without noise.
        aleatoric: [N], of the noise.
    """

    mean: jax.Array
    variance: jax.Array
    epistemic: jax.Array
    aleatoric: jax.Array


class NormalInverseGamma(NamedTuple):
    """Weights and noise: w ~ N(mean, s^2 scale), s^2 ~ InverseGamma(concentration, rate).

    Attributes:
        mean: [D].
        scale: [D, D], the covariance of the weights in units of s^2.
        concentration: [], positive.
        rate: [], positive.
    """

    mean: jax.Array
    scale: jax.Array
    concentration: jax.Array
    rate: jax.Array


def linear_regression(
    features: jax.Array,
    targets: jax.Array,
    noise_std: float | jax.Array,
    prior: float | tuple[jax.Array, jax.Array] = 1.0,
) -> LinearPosterior:
    """The posterior of linear regression with known noise.

    Args:
        features: X [N, D], with a column of ones for a bias.
        targets: y [N].
        noise_std: s.
        prior: standard deviation of each weight, about 0; or mean [D] and covariance [D, D]. The
            first two of a LinearPosterior go on from the data before.

    Returns:
        A LinearPosterior. Posteriors in turn equal that of all data; their log evidences add.

    Raises:
        ValueError: targets or a prior of another shape.

    Example:
        >>> features, targets = jnp.array([[1.0], [1.0]]), jnp.array([1.0, 3.0])
        >>> fitted = linear_regression(features, targets, noise_std=1.0, prior=1.0)
        >>> [round(float(x), 4) for x in (fitted.mean[0], fitted.covariance[0, 0])]
        [1.3333, 0.3333]
    """
    _check_data(features, targets)
    before, root = _prior(prior, features.shape[1])
    scaled, observed = features / noise_std, targets / noise_std
    mean, covariance, logarithm = _updated(scaled, observed, before, root)
    misfit = jnp.sum((observed - scaled @ mean) ** 2)
    misfit += jnp.sum(jax.scipy.linalg.solve_triangular(root, mean - before, lower=True) ** 2)
    count = len(targets)
    evidence = logarithm - (misfit + count * math.log(2 * math.pi)) / 2
    evidence -= count * jnp.log(noise_std)
    return LinearPosterior(mean, covariance, evidence, jnp.asarray(noise_std, mean.dtype))


def predictive(posterior: LinearPosterior, features: jax.Array) -> LinearPrediction:
    """Mean and variance of the normal distribution of targets, x' m and x' S x + s^2.

    Args:
        posterior: of `linear_regression`.
        features: [N, D].
    """
    epistemic = jnp.sum((features @ posterior.covariance) * features, axis=1)
    aleatoric = jnp.broadcast_to(posterior.noise_std**2, epistemic.shape)
    mean = features @ posterior.mean
    return LinearPrediction(mean, epistemic + aleatoric, epistemic, aleatoric)


def linear_regression_with_noise(
    features: jax.Array, targets: jax.Array, prior: NormalInverseGamma
) -> tuple[NormalInverseGamma, jax.Array]:
    """The posterior of linear regression whose noise is unknown.

        V^-1 = V0^-1 + X'X,  m = V (V0^-1 m0 + X'y),  a = a0 + N/2
        b = b0 + (|y - X m|^2 + (m - m0)' V0^-1 (m - m0)) / 2

    Args:
        features: X [N, D].
        targets: y [N].
        prior: of weights and noise.

    Returns:
        The posterior, and the log evidence in nats [].

    Raises:
        ValueError: targets or a prior of another shape.
    """
    _check_data(features, targets)
    before, root = _prior(prior[:2], features.shape[1])
    mean, scale, logarithm = _updated(features, targets, before, root)
    misfit = jnp.sum((targets - features @ mean) ** 2)
    misfit += jnp.sum(jax.scipy.linalg.solve_triangular(root, mean - before, lower=True) ** 2)
    count, concentration = len(targets), prior.concentration + len(targets) / 2
    rate = prior.rate + misfit / 2
    evidence = logarithm - count * math.log(2 * math.pi) / 2
    evidence += prior.concentration * jnp.log(prior.rate) - concentration * jnp.log(rate)
    gammaln = jax.scipy.special.gammaln
    evidence += gammaln(concentration) - gammaln(jnp.asarray(prior.concentration, float))
    return NormalInverseGamma(mean, scale, concentration, rate), evidence


def student_predictive(posterior: NormalInverseGamma, features: jax.Array) -> dist.StudentT:
    """Targets when weights and noise are unknown: Student-t with 2a degrees of freedom.

    Args:
        posterior: of `linear_regression_with_noise`.
        features: [N, D].

    Returns:
        The distribution of each target, location x' m, scale^2 (b / a) (1 + x' V x).
    """
    spread = 1 + jnp.sum((features @ posterior.scale) * features, axis=1)
    scale = jnp.sqrt(posterior.rate / posterior.concentration * spread)
    freedom = jnp.broadcast_to(2 * posterior.concentration, scale.shape)
    return dist.StudentT(freedom, features @ posterior.mean, scale)


def beta_bernoulli(prior: dist.Beta, observations: jax.Array) -> dist.Beta:
    """The probability of a 1 after coins were seen.

    Args:
        prior: of the probability.
        observations: 0 and 1, of any shape.

    Example:
        >>> beta_bernoulli(dist.Beta(1.0, 1.0), jnp.array([1, 1, 0])).mean.item()
        0.6000000238418579
    """
    ones = jnp.sum(observations)
    zeros = jnp.size(observations) - ones
    return dist.Beta(prior.concentration1 + ones, prior.concentration0 + zeros)


def gamma_poisson(prior: dist.Gamma, counts: jax.Array) -> dist.Gamma:
    """The rate of a Poisson distribution after counts of any shape."""
    return dist.Gamma(prior.concentration + jnp.sum(counts), prior.rate + jnp.size(counts))


def dirichlet_categorical(prior: dist.Dirichlet, labels: jax.Array) -> dist.Dirichlet:
    """The probabilities of K classes after labels 0 .. K-1 of any shape were seen.

    Args:
        prior: of the probabilities, concentration [K].
        labels: integers.
    """
    counts = jnp.bincount(jnp.ravel(labels), length=prior.concentration.shape[-1])
    return dist.Dirichlet(prior.concentration + counts)


def normal_normal(
    prior: dist.Normal, observations: jax.Array, noise_std: float | jax.Array
) -> dist.Normal:
    """The mean of a normal distribution of known deviation after observations.

        1/variance = 1/s0^2 + N/s^2,    mean = variance (m0/s0^2 + sum of x / s^2)

    Args:
        prior: of the mean.
        observations: of any shape.
        noise_std: s, of one observation.
    """
    precision = prior.scale**-2 + jnp.size(observations) / noise_std**2
    mean = (prior.loc / prior.scale**2 + jnp.sum(observations) / noise_std**2) / precision
    return dist.Normal(mean, precision**-0.5)


def _updated(features, targets, before, root):
    """Posterior mean and covariance for unit noise, and the log determinant part of the evidence.

    With w = m0 + root v the precision of v is I + Z'Z, Z = X root, which is at least 1: float32
    keeps what the sum of the precisions of w would lose.
    """
    whitened = features @ root
    factor = jnp.linalg.cholesky(jnp.eye(len(root)) + whitened.T @ whitened)
    solved = jax.scipy.linalg.cho_solve((factor, True), whitened.T @ (targets - features @ before))
    spread = jax.scipy.linalg.solve_triangular(factor, root.T, lower=True)
    return before + root @ solved, spread.T @ spread, -jnp.sum(jnp.log(jnp.diag(factor)))


def _prior(prior, size):
    """The mean [D] and the Cholesky factor [D, D] of the covariance."""
    if isinstance(prior, tuple):
        mean, covariance = prior
        if jnp.shape(mean) != (size,) or jnp.shape(covariance) != (size, size):
            raise ValueError(
                f"a prior of {size} weights has a mean [{size}] and a covariance [{size}, {size}]; "
                f"got {jnp.shape(mean)} and {jnp.shape(covariance)}"
            )
        return mean, jnp.linalg.cholesky(covariance)
    return jnp.zeros(size), prior * jnp.eye(size)


def _check_data(features, targets):
    if features.ndim != 2 or targets.shape != features.shape[:1]:
        raise ValueError(
            "a linear regression has features [N, D] and targets [N]; got "
            f"{list(features.shape)} and {list(targets.shape)}"
        )
