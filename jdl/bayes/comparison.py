"""How well draws predict: log predictive density, and its estimate for new data.

    lpd(example) = log mean over draws of p(targets of the example | draw)
    elpd         = sum over examples of lpd - variance over draws of log p         (WAIC)

On new examples the log predictive density compares models as it is; on the data that made the
posterior it flatters them, by about the second term.

Source: Watanabe 2010; Vehtari, Gelman, Gabry 2017, eq. 3 and 11. Their PSIS-LOO is in ArviZ, not
here: NumPyro's `psis_diagnostic` judges guides, not examples.

Axes: S draws, B examples.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.bayes.likelihoods import Likelihood, log_likelihood
from jdl.core import Tree


class Waic(NamedTuple):
    """What a model would score on new data, estimated from its own.

    Attributes:
        elpd: nats, expected log predictive density of as many new examples.
        effective_params: how much the data's own log density flatters.
        std_error: of elpd.
        unreliable: examples whose log density varies by more than 0.4 over the draws, where WAIC
            may fail.
    """

    elpd: jax.Array
    effective_params: jax.Array
    std_error: jax.Array
    unreliable: jax.Array


def log_predictive_density(
    outputs: Tree, likelihood: Likelihood, targets: jax.Array, *, draw_axes: int = 1
) -> jax.Array:
    """The log posterior predictive density of each example.

        log (1/S) sum over draws of p(targets of the example | draw)

    Args:
        outputs: of each draw, [S, B, ...], from `predict`.
        likelihood: outputs -> distribution of the targets.
        targets: [B, ...]; several of an example are judged together.
        draw_axes: the number of leading axes that count draws.

    Returns:
        Nats [B].

    Raises:
        ValueError: targets of another shape.
    """
    log_p = _log_likelihoods(outputs, likelihood, targets, draw_axes)
    return jax.nn.logmeanexp(log_p, tuple(range(draw_axes)))


def waic(outputs: Tree, likelihood: Likelihood, targets: jax.Array, *, draw_axes: int = 1) -> Waic:
    """The widely applicable information criterion, on the scale of log densities.

        elpd = sum over examples of log mean over draws of p - variance over draws of log p

    Larger is better; -2 elpd is WAIC on the scale of deviances.

    Args:
        outputs: of each draw at the data that made the posterior, [S, B, ...].
        likelihood: outputs -> distribution of the targets.
        targets: [B, ...].
        draw_axes: the number of leading axes that count draws.

    Returns:
        A Waic.

    Raises:
        ValueError: targets of another shape, fewer than two draws.
    """
    log_p = _log_likelihoods(outputs, likelihood, targets, draw_axes)
    log_p = log_p.reshape(-1, log_p.shape[-1])
    if len(log_p) < 2:
        raise ValueError("WAIC needs the variance of log densities: two draws or more; got one")
    flattered = log_p.var(0, ddof=1)
    each = jax.nn.logmeanexp(log_p, 0) - flattered
    std_error = jnp.sqrt(len(each) * each.var())
    return Waic(each.sum(), flattered.sum(), std_error, jnp.sum(flattered > 0.4))


def _log_likelihoods(outputs, likelihood, targets, draw_axes):
    """Of each example under each draw, [S, B]: the targets of an example are summed."""
    distribution = likelihood(outputs)
    leading = distribution.batch_shape[:draw_axes]
    log_p = log_likelihood(distribution, jnp.broadcast_to(targets, leading + targets.shape))
    return log_p.sum(tuple(range(draw_axes + 1, log_p.ndim)))
