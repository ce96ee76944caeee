"""The evidence lower bound (free energy) of a variational family, and three estimators of it.

    log p(D) = ELBO + KL(q || p(theta | D)),    ELBO = E_q[log p(D, theta) - log q(theta)]

    A                -(1/S) sum_s [log p(D, theta_s) - log q(theta_s)],   theta_s = g(noise_s)
    B                KL(q || prior) - (1/S) sum_s log p(D | theta_s)
    score function   (1/S) sum_s (f_s - baseline_s) grad log q(theta_s),  f = log q - log p(D, .)

A and B are Objectives, differentiated through the draws; the third is an Estimator, which needs no
derivative of the density and has by far the most variance. Minimising either lowers the KL to the
posterior by as much as it raises the ELBO. The density of a mini-batch has the likelihood of all
data as its mean: `log_posterior(..., num_examples=N)` counts it N/B times.

Source: 004 (Martinez-Ramon et al.), eq. 9.26 to 9.28, 7.47 (A) and 7.48 (B); Kingma and Welling
2014, section 2.3; Ranganath, Gerrish, Blei 2014 (score function). Departs from 004's text under
9.28, which maximises the KL: it is minimised, the ELBO is maximised.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from numpyro import distributions as dist

from jdl.bayes.families import Family
from jdl.bayes.priors import Prior, entry_prior
from jdl.core import Estimator, Objective, Tree
from jdl.train.records import flat


def negative_elbo(
    family: Family,
    log_density: Callable[[Tree, Tree], jax.Array],
    *,
    num_draws: int = 1,
    sticking_the_landing: bool = False,
) -> Objective:
    """The negative ELBO without an analytic KL, estimator A of SGVB.

    Args:
        family: whose variational parameters are the params of the objective.
        log_density: (params, batch) -> log p(D, params), nats []; `log_posterior` makes one.
        num_draws: S.
        sticking_the_landing: leaves out the score of q, whose mean is zero: where q is the
            posterior the gradient then has no variance (Roeder, Wu, Duvenaud 2017, eq. 8).

    Returns:
        An Objective in nats for all data. Info: `entropy_estimate`, -log q; `log_density`.

    Example:
        >>> import optax
        >>> from jdl.bayes.families import mean_field
        >>> from jdl.core import Variables
        >>> from jdl.train import descent, gradient, run
        >>> normal = lambda x, batch: -0.5 * ((x - 3.0) / 0.5) ** 2
        >>> family = mean_field()
        >>> objective = negative_elbo(family, normal, num_draws=8)
        >>> algorithm = descent(gradient(objective), optax.adam(0.03))
        >>> state = algorithm.init(Variables(family.init(jnp.array(0.0))))
        >>> state, _ = run(algorithm, state, None, jax.random.key(0), length=600)
        >>> mean, variance = family.moments(state.variables.params)
        >>> round(float(mean), 0), round(float(variance), 1)
        (3.0, 0.2)
    """
    _check_draws(num_draws)

    def objective(variational, buffers, batch, key):
        def one(key):
            params = family.draw(variational, key)
            held = jax.lax.stop_gradient(variational) if sticking_the_landing else variational
            return log_density(params, batch), family.log_prob(held, params)

        joint, own = (jnp.mean(x) for x in jax.vmap(one)(jax.random.split(key, num_draws)))
        return own - joint, (buffers, {"entropy_estimate": -own, "log_density": joint})

    return objective


def negative_elbo_with_kl(
    family: Family,
    prior: Prior,
    log_likelihood: Callable[[Tree, Tree], jax.Array],
    *,
    num_draws: int = 1,
) -> Objective:
    """The negative ELBO with the KL to a normal prior in closed form, estimator B of SGVB.

    Args:
        family: with an entropy, whose variational parameters are the params of the objective.
        prior: normal for each entry.
        log_likelihood: (params, batch) -> log p(D | params), nats [], of all data; see
            `jdl.bayes.densities.model_log_likelihood`.
        num_draws: S.

    Returns:
        An Objective in nats for all data. Info: `kl`; `log_likelihood`.

    Raises:
        ValueError: at the call, a prior that is not normal; here, a family without an entropy.
    """
    _check_draws(num_draws)
    kl = kl_to_normal_prior(family, prior)

    def objective(variational, buffers, batch, key):
        def one(key):
            return log_likelihood(family.draw(variational, key), batch)

        fit = jnp.mean(jax.vmap(one)(jax.random.split(key, num_draws)))
        divergence = kl(variational)
        return divergence - fit, (buffers, {"kl": divergence, "log_likelihood": fit})

    return objective


def leave_one_out(values: jax.Array) -> jax.Array:
    """A control variate: each draw is judged against the mean of the others.

    It does not depend on its own draw, so the gradient stays unbiased.

    Args:
        values: f of each of at least two draws, [S].

    Returns:
        The baseline of each, [S].

    Raises:
        ValueError: one draw.

    Source: Kool, van Hoof, Welling 2019; Salimans and Knowles 2014, section 4.
    """
    if values.shape[0] < 2:
        raise ValueError("the mean of the other draws needs num_draws of at least 2; got 1")
    return (jnp.sum(values) - values) / (values.shape[0] - 1)


def score_function(
    family: Family,
    log_density: Callable[[Tree, Tree], jax.Array],
    *,
    num_draws: int,
    control_variate: Callable[[jax.Array], jax.Array] | None = None,
) -> Estimator:
    """The gradient of the negative ELBO by the score of q, REINFORCE.

    Args:
        family: whose variational parameters are descended; its draws need not be differentiable.
        log_density: (params, batch) -> log p(D, params), nats []; need not be either.
        num_draws: S.
        control_variate: f [S] -> baselines [S]; None is none. See `leave_one_out`.

    Returns:
        An Estimator. Info: `loss`, the estimate of the negative ELBO in nats.

    Example:
        >>> from jdl.bayes.families import mean_field
        >>> family = mean_field(1.0)
        >>> count = lambda x, batch: -jnp.abs(jnp.round(x))  # a step function
        >>> estimator = score_function(family, count, num_draws=500, control_variate=leave_one_out)
        >>> start = family.init(jnp.array(3.0))
        >>> direction, _, _ = estimator(start, (), None, jax.random.key(0))
        >>> bool(direction["mean"] > 0.8)
        True
    """
    _check_draws(num_draws)

    def estimate(variational, buffers, batch, key):
        keys = jax.random.split(key, num_draws)
        draws = jax.lax.stop_gradient(jax.vmap(family.draw, (None, 0))(variational, keys))

        def weighted(variational):
            own = jax.vmap(family.log_prob, (None, 0))(variational, draws)
            joint = jax.vmap(log_density, (0, None))(draws, batch)
            values = jax.lax.stop_gradient(own - joint)
            baseline = control_variate(values) if control_variate else jnp.zeros_like(values)
            return jnp.mean((values - baseline) * own), jnp.mean(values)

        direction, loss = jax.grad(weighted, has_aux=True)(variational)
        return direction, buffers, {"loss": loss}

    return estimate


def kl_to_normal_prior(family: Family, prior: Prior) -> Callable[[Tree], jax.Array]:
    """KL(q || prior) in closed form, for a prior that is normal for each entry.

        -entropy(q) + sum [log s + log(2 pi) / 2 + ((mean - m)^2 + variance) / (2 s^2)]

    Args:
        family: with an entropy; of the rest only the first two moments enter.
        prior: whose entries are N(m, s^2).

    Returns:
        variational -> nats [].

    Raises:
        ValueError: a family without an entropy; at the call, a prior that is not normal.
    """
    if family.entropy is None:
        raise ValueError("the entropy of this family has no closed form; take negative_elbo")

    def kl(variational):
        means, variances = (flat(tree) for tree in family.moments(variational))
        cross = [_cross_entropy(prior, path, mean, variances[path]) for path, mean in means.items()]
        return sum(cross, start=-family.entropy(variational))

    return kl


def _cross_entropy(prior, path, mean, variance):
    own = entry_prior(prior, path)
    if not isinstance(own, dist.Normal):
        raise ValueError(
            f"the KL in closed form is to a normal prior; got {type(own).__name__} for {path!r}. "
            "Take negative_elbo, which samples it"
        )
    squares = ((mean - own.loc) ** 2 + variance) / own.scale**2
    return jnp.sum(jnp.log(2 * jnp.pi * own.scale**2) + squares) / 2


def _check_draws(num_draws):
    if num_draws < 1:
        raise ValueError(f"num_draws is at least 1; got {num_draws}")
