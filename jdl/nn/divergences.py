"""How far apart two distributions are.

    KL(p, q) = sum_k p_k log(p_k / q_k)                       infinite where q = 0 < p
    JS(p, q) = KL(p, m) / 2 + KL(q, m) / 2,  m = (p + q) / 2  at most log 2, when disjoint
    TV(p, q) = max_A |p(A) - q(A)| = sum_k |p_k - q_k| / 2    at most 1, when disjoint
    W1(p, q) = min E|x - y| over joint distributions of x ~ p and y ~ q
             = integral of |F_p - F_q| on a line, F the cumulative distributions

Source: 004 eqs. 8.5-8.8; Arjovsky, Chintala, Bottou 2017, section 2. 004 eq. 8.7, as that paper,
prints JS without the factors 1/2, which is `2 * jensen_shannon(p, q)`. 004 says that JS may be
infinite for disjoint supports: it is log 2 there, however far they lie, and KL is infinite. The
value of the game of a GAN against its best discriminator is -log 4 + 2 JS.

Logarithms are natural. Probabilities [..., K] sum to 1 along the last axis.
"""

import jax
import jax.numpy as jnp


def kl_divergence(p: jax.Array, q: jax.Array) -> jax.Array:
    """The Kullback-Leibler divergence, 004 eq. 8.6, with 0 log 0 = 0.

    `optax.kl_divergence(log q, p)` is nan where both are 0. Of logits take
    `optax.losses.kl_divergence_with_log_targets(log_softmax(q), log_softmax(p))`, of which nothing
    underflows.

    Args:
        p: probabilities [..., K], that the expectation is over.
        q: probabilities [..., K].

    Returns:
        [...], nats.

    Example:
        >>> half, one = jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0])
        >>> kl_divergence(one, half).item() > 0.69, kl_divergence(half, one).item()
        (True, inf)
    """
    return jnp.sum(jax.scipy.special.rel_entr(p, q), axis=-1)


def jensen_shannon(p: jax.Array, q: jax.Array) -> jax.Array:
    """The Jensen-Shannon divergence with its factors 1/2, in [0, log 2].

    Args:
        p: probabilities [..., K].
        q: probabilities [..., K].

    Returns:
        [...], nats.
    """
    return jnp.sum(_against_mean(p, q) + _against_mean(q, p), axis=-1) / 2


def total_variation(p: jax.Array, q: jax.Array) -> jax.Array:
    """The total variation distance, 004 eq. 8.5, in [0, 1].

    Args:
        p: probabilities [..., K].
        q: probabilities [..., K].

    Returns:
        [...].
    """
    return jnp.sum(_absolute(p - q), axis=-1) / 2


def wasserstein(p: jax.Array, q: jax.Array, positions: jax.Array) -> jax.Array:
    """The Wasserstein-1 (earth mover's) distance of distributions on the same points of a line.

        sum_k |F_p(k) - F_q(k)| (x_{k+1} - x_k)

    Args:
        p: probabilities [..., K].
        q: probabilities [..., K].
        positions: x [K], in ascending order.

    Returns:
        [...], in the unit of the positions.
    """
    gaps = _absolute(jnp.cumsum(p - q, axis=-1))[..., :-1]
    return jnp.sum(gaps * jnp.broadcast_to(jnp.diff(positions), gaps.shape), axis=-1)


def empirical_wasserstein(first: jax.Array, second: jax.Array) -> jax.Array:
    """The Wasserstein-1 distance between two samples of numbers.

    For samples of one size it is the mean distance of the sorted numbers, mean |x_(i) - y_(i)|.

    Args:
        first: [N].
        second: [M].

    Returns:
        [], in the unit of the numbers.

    Example:
        >>> empirical_wasserstein(jnp.array([0.0, 1.0]), jnp.array([6.0, 5.0])).item()
        5.0
    """
    every = jnp.sort(jnp.concatenate([first, second]))
    below = [
        jnp.searchsorted(jnp.sort(sample), every[:-1], side="right") / len(sample)
        for sample in (first, second)
    ]
    return jnp.sum(jnp.abs(below[0] - below[1]) * jnp.diff(every))


def bernoulli_kl(p: jax.Array, q: jax.Array) -> jax.Array:
    """The Kullback-Leibler divergence of two coins, 004 eq. 7.22.

        p log(p / q) + (1 - p) log((1 - p) / (1 - q))

    Args:
        p: probabilities of a 1.
        q: probabilities of a 1, of the same shape, or either a scalar.

    Returns:
        Nats, of that shape.
    """
    relative = jax.scipy.special.rel_entr
    return relative(p, q) + relative(1 - p, 1 - q)


def gaussian_kl(
    mean: jax.Array,
    log_variance: jax.Array,
    other_mean: jax.Array | float = 0.0,
    other_log_variance: jax.Array | float = 0.0,
) -> jax.Array:
    """The Kullback-Leibler divergence of normal distributions of single numbers.

        (r - 1 - log r + (mean - other_mean)^2 / other_variance) / 2,   r = variance/other_variance

    From N(0, 1) by default, which is the term of variational autoencoders. 002 writes it with the
    exponential of sigma; what stands there is the logarithm of the variance.

    Args:
        mean: of any shape.
        log_variance: of the same shape.
        other_mean: a scalar, or of the same shape.
        other_log_variance: a scalar, or of the same shape.

    Returns:
        Nats, of that shape; sum over independent numbers.
    """
    log_ratio = log_variance - other_log_variance
    squares = (mean - other_mean) ** 2 * jnp.exp(-other_log_variance)
    return (jnp.expm1(log_ratio) - log_ratio + squares) / 2


def _against_mean(p, q):
    """p log(p / m), with no m that underflows."""
    there = p > 0
    safe = jnp.where(there, p, 1.0)
    return jnp.where(there, p * jnp.log(2 * (safe / (safe + q))), 0.0)


def _absolute(x):
    """|x| with derivative 0 at 0, where that of `jnp.abs` is 1."""
    return x * jnp.sign(x)
