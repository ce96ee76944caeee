"""Negative log-likelihoods of outputs that are not classes, constants included, in nats.

    Gaussian   targets ~ N(means, covariance):  one std for all, a full covariance, or a variance
               that the network gives for each output
    Poisson    targets ~ Poisson(rate), counts

Source: 004 eqs. 1.81-1.85 and problem 1.7.1; Nix, Weigend 1994 for the variance as an output. For
one std the gradient is (means - targets) / std^2: least squares.

Axes: K outputs, last.
"""

import chex
import jax
import jax.numpy as jnp

LOG_2PI = 1.8378770664093453


def gaussian_nll(means: jax.Array, targets: jax.Array, *, std: float | jax.Array) -> jax.Array:
    """Independent errors of one standard deviation, 004 eq. 1.81.

        K/2 log(2 pi std^2) + |targets - means|^2 / (2 std^2)

    Args:
        means: [..., K].
        targets: [..., K].
        std: a number, in the unit of the targets.

    Returns:
        [...], nats.

    Raises:
        ValueError: the shapes differ.
    """
    errors = _errors(means, targets) / std
    return jnp.sum(errors**2 / 2 + jnp.log(std) + LOG_2PI / 2, axis=-1)


def full_covariance_nll(
    means: jax.Array, targets: jax.Array, *, covariance: jax.Array
) -> jax.Array:
    """Correlated errors, 004 problem 1.7.1, by the Cholesky factor L of the covariance.

        K/2 log(2 pi) + sum_i log L_ii + |L^-1 (targets - means)|^2 / 2

    Args:
        means: [..., K].
        targets: [..., K].
        covariance: [K, K], or one for each example, [..., K, K]; one that is not positive definite
            gives nan.

    Returns:
        [...], nats.

    Raises:
        ValueError: the shapes of means and targets differ, or the covariance has another.
    """
    errors = _errors(means, targets)
    size = errors.shape[-1]
    if covariance.shape not in {(size, size), (*errors.shape, size)}:
        raise ValueError(
            f"the covariance of {size} outputs is {[size, size]} or {[*errors.shape, size]}; "
            f"got {list(covariance.shape)}"
        )

    def nll(factor, errors):
        whitened = jax.scipy.linalg.solve_triangular(factor, errors, lower=True)
        return jnp.sum(whitened**2 / 2 + jnp.log(jnp.diagonal(factor)) + LOG_2PI / 2)

    factors = jnp.linalg.cholesky(covariance)
    if factors.ndim == 2:
        factors = factors.reshape((1,) * (errors.ndim - 1) + factors.shape)
    return jnp.vectorize(nll, signature="(k,k),(k)->()")(factors, errors)


def heteroscedastic_nll(
    means: jax.Array, log_variances: jax.Array, targets: jax.Array
) -> jax.Array:
    """Independent errors whose variances are outputs of the network too.

        sum_k (log(2 pi) + s_k + (target_k - mean_k)^2 e^(-s_k)) / 2,   s = log variance

    The logarithm, not the variance, is the output, so that any number is allowed and none is
    divided by zero. A mean that fits exactly costs no nan, down to s = -177 in float32.

    Args:
        means: [..., K].
        log_variances: [..., K].
        targets: [..., K].

    Returns:
        [...], nats.

    Raises:
        ValueError: the shapes differ.
    """
    chex.assert_equal_shape([means, log_variances], exception_type=ValueError)
    errors = _errors(means, targets) * jnp.exp(-log_variances / 2)
    return jnp.sum(LOG_2PI + log_variances + errors**2, axis=-1) / 2


def poisson_nll(log_rates: jax.Array, counts: jax.Array) -> jax.Array:
    """Counts of a Poisson distribution whose log rate is the output.

        e^s - y s + log y!

    Keras, which 004 ch. 3 lists, takes the rates and leaves the last term out, which has no
    gradient.

    Args:
        log_rates: s, any shape.
        counts: y, the same shape.

    Returns:
        Nats, of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    chex.assert_equal_shape([log_rates, counts], exception_type=ValueError)
    return jnp.exp(log_rates) - counts * log_rates + jax.scipy.special.gammaln(counts + 1.0)


def _errors(means, targets):
    chex.assert_equal_shape(
        [means, targets],
        exception_type=ValueError,
        custom_message="targets have the shape of the means, [B, 1] for one output",
    )
    return targets - means
