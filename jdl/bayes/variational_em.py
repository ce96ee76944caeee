"""Variational EM: EM in which the parameters have a distribution too, for a Gaussian mixture.

    prior   weights ~ Dirichlet(a0),   precision_k ~ Wishart,   mean_k ~ N(m0, precision_k^-1 / b0)
    E step  log r_nk = E[log weight_k] + E[log |precision_k|]/2 - D/2 log 2 pi
                       - (D/b_k + v_k (x_n - m_k)' S_k^-1 (x_n - m_k))/2,  normalised over k
    M step  N_k = sum_n r_nk:   a_k = a0 + N_k,  b_k = b0 + N_k,  v_k = v0 + N_k,
            m_k = (b0 m0 + N_k mean_k) / b_k,
            S_k = S0 + N_k cov_k + b0 N_k / b_k (mean_k - m0)(mean_k - m0)'

Each step lowers the free energy, the negative of the bound of the log evidence. Components that
the data do not need keep their prior: their weights go to 0. With many data the updates are those
of EM. Source: Ghahramani and Beal 2000; Bishop 2006, section 10.2, of which 10.63 prints v_k with
one too many; 004 (Martinez-Ramon et al.), section 9.3.3, which names it. S is Bishop's W^-1.

Axes: N points, D features, K components.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Algorithm, Variables


class MixturePrior(NamedTuple):
    """Of every component of a Gaussian mixture.

    Attributes:
        concentration: a0, of the Dirichlet; small ones leave components empty.
        mean: m0 [D].
        mean_precision: b0, in units of the precision of the component.
        degrees_of_freedom: v0 > D - 1.
        scatter: S0 [D, D]; v0^-1 S0 is about the covariance of a component.
    """

    concentration: float | jax.Array
    mean: jax.Array
    mean_precision: float | jax.Array
    degrees_of_freedom: float | jax.Array
    scatter: jax.Array


class MixturePosterior(NamedTuple):
    """The distribution of the parameters of a Gaussian mixture, the params that are learned.

    Attributes:
        concentration: a [K].
        means: m [K, D].
        mean_precision: b [K].
        degrees_of_freedom: v [K].
        scatter: S [K, D, D]; S / v is the covariance of a component.
    """

    concentration: jax.Array
    means: jax.Array
    mean_precision: jax.Array
    degrees_of_freedom: jax.Array
    scatter: jax.Array


class MixtureState(NamedTuple):
    """Where the algorithm is.

    Attributes:
        variables: its params are a MixturePosterior.
    """

    variables: Variables


def variational_mixture(prior: MixturePrior) -> Algorithm:
    """A variational Bayesian Gaussian mixture with full covariances.

    Args:
        prior: of every component.

    Returns:
        An Algorithm over a MixturePosterior, such as `mixture_posterior` makes of a first guess
        of the responsibilities. A step takes all points [N, D]. Info: `free_energy`, nats, which
        never rises.

    Raises:
        ValueError: at the step, points of another shape.

    Example:
        >>> from jdl.train import run
        >>> points = jnp.array([[-3.0], [-2.9], [3.0], [3.1]])
        >>> prior = MixturePrior(1.0, jnp.zeros(1), 0.1, 2.0, jnp.eye(1))
        >>> guess = jax.nn.one_hot(jnp.array([0, 1, 1, 1]), 2)
        >>> algorithm = variational_mixture(prior)
        >>> state = algorithm.init(Variables(mixture_posterior(prior, points, guess)))
        >>> for _ in range(5):
        ...     state, info = algorithm.step(state, points, jax.random.key(0))
        >>> jnp.round(responsibilities(state.variables.params, points)[:, 0], 2).tolist()
        [1.0, 1.0, 0.0, 0.0]
    """

    def init(variables, key=None):
        return MixtureState(variables)

    def step(state, batch, key):
        params, buffers = state.variables
        owners = responsibilities(params, batch)
        after = mixture_posterior(prior, batch, owners)
        energy = free_energy(prior, after, owners)
        return MixtureState(Variables(after, buffers)), {"free_energy": energy}

    return Algorithm(init, step)


def responsibilities(posterior: MixturePosterior, points: jax.Array) -> jax.Array:
    """The probabilities of the components for each point, the E step.

    Args:
        posterior: of the parameters.
        points: [N, D].

    Returns:
        r [N, K].
    """
    size = points.shape[-1]
    digamma, freedom = jax.scipy.special.digamma, posterior.degrees_of_freedom
    factor = jnp.linalg.cholesky(posterior.scatter)
    halves = (freedom[:, None] - jnp.arange(size)[None]) / 2
    log_precision = digamma(halves).sum(1) + size * math.log(2) - _log_determinant(factor)
    log_weight = digamma(posterior.concentration) - digamma(posterior.concentration.sum())

    def distance(mean, factor):
        offsets = jax.scipy.linalg.solve_triangular(factor, (points - mean[None]).T, lower=True)
        return jnp.sum(offsets**2, axis=0)

    distances = jax.vmap(distance, out_axes=1)(posterior.means, factor)
    by_component = log_weight + (log_precision - size / posterior.mean_precision) / 2
    return jax.nn.softmax(by_component[None] - freedom[None] * distances / 2, axis=1)


def mixture_posterior(
    prior: MixturePrior, points: jax.Array, responsibilities: jax.Array
) -> MixturePosterior:
    """The distribution of the parameters given the components of the points, the M step.

    Args:
        prior: of every component.
        points: [N, D].
        responsibilities: r [N, K].

    Raises:
        ValueError: arrays of other shapes.
    """
    if points.ndim != 2 or responsibilities.shape[:-1] != points.shape[:1]:
        raise ValueError(
            "a mixture has points [N, D] and responsibilities [N, K]; got "
            f"{list(points.shape)} and {list(responsibilities.shape)}"
        )
    counts = responsibilities.sum(0)
    precision = prior.mean_precision + counts
    centred = points - prior.mean[None]  # float32 keeps more digits about the prior's mean
    sums = responsibilities.T @ centred
    shifts = sums / precision[:, None]

    def scatter(weights, count, shift):
        about = centred - shift[None]
        spread = (weights[:, None] * about).T @ about
        return prior.scatter + spread + prior.mean_precision * jnp.outer(shift, shift)

    return MixturePosterior(
        prior.concentration + counts,
        prior.mean[None] + shifts,
        precision,
        prior.degrees_of_freedom + counts,
        jax.vmap(scatter)(responsibilities.T, counts, shifts),
    )


def free_energy(
    prior: MixturePrior, posterior: MixturePosterior, responsibilities: jax.Array
) -> jax.Array:
    """The negative bound of the log evidence, log p(points) >= -free energy.

        sum r log r - [log Z(posterior) - log Z(prior)] + N D/2 log 2 pi

    Z is the normaliser of Dirichlet and normal-Wishart; it holds where the posterior is
    `mixture_posterior(prior, points, responsibilities)`. With one component it is the evidence.

    Args:
        prior: of every component.
        posterior: of the M step for these responsibilities.
        responsibilities: r [N, K].

    Returns:
        [], nats.
    """
    count, components = responsibilities.shape
    size = posterior.means.shape[-1]
    before = MixturePosterior(
        jnp.full(components, prior.concentration),
        posterior.means,
        jnp.full(components, prior.mean_precision),
        jnp.full(components, prior.degrees_of_freedom),
        jnp.broadcast_to(prior.scatter, posterior.scatter.shape),
    )
    gain = _log_normalizer(posterior) - _log_normalizer(before)
    entropy = -jnp.sum(jax.scipy.special.xlogy(responsibilities, responsibilities))
    return count * size / 2 * math.log(2 * math.pi) - gain - entropy


def _log_normalizer(posterior):
    """Of the Dirichlet and of all normal-Wishart distributions."""
    concentration, freedom = posterior.concentration, posterior.degrees_of_freedom
    size = posterior.means.shape[-1]
    gammaln = jax.scipy.special.gammaln
    dirichlet = gammaln(concentration).sum() - gammaln(concentration.sum())
    determinant = _log_determinant(jnp.linalg.cholesky(posterior.scatter))
    wishart = freedom * (size * math.log(2) - determinant) / 2
    wishart += jax.scipy.special.multigammaln(freedom / 2, size)
    normal = size / 2 * (math.log(2 * math.pi) - jnp.log(posterior.mean_precision))
    return dirichlet + jnp.sum(wishart + normal)


def _log_determinant(factor):
    """Of the matrices whose Cholesky factors are [K, D, D]."""
    return 2 * jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
