"""The logit-Laplace distribution: of pixels, which lie between 0 and 1.

    f(x | mu, b) = exp(-|logit(x) - mu| / b) / (2 b x (1 - x)),   0 < x < 1

The sigmoid of a Laplace variable has it. Pixels are squeezed first, x = (1 - 2 eps) pixel + eps, so
that their logits are finite and the density is not asked where it goes up without a bound.

Source: Ramesh et al. 2021, section 3.1 and appendix A.3, eq. 2, with eps = 0.1.
"""

import jax
import jax.numpy as jnp

EPSILON = 0.1


def squeezed(pixels: jax.Array, epsilon: float = EPSILON) -> jax.Array:
    """Pixels from 0 to 1 -> eps to 1 - eps."""
    return (1 - 2 * epsilon) * pixels + epsilon


def unsqueezed(x: jax.Array, epsilon: float = EPSILON) -> jax.Array:
    """The pixels that `squeezed` makes x of, clipped to 0 and 1."""
    return jnp.clip((x - epsilon) / (1 - 2 * epsilon), 0, 1)


def logit_laplace_nll(means: jax.Array, log_scales: jax.Array, targets: jax.Array) -> jax.Array:
    """The negative log-density of each target.

    Args:
        means: mu, of logits, [...].
        log_scales: ln b, [...].
        targets: x, above 0 and below 1, [...].

    Returns:
        [...], in nats.

    Example:
        >>> nll = logit_laplace_nll(jnp.array(0.0), jnp.array(0.0), jnp.array(0.5))
        >>> f"{jnp.exp(-nll):.1f}"  # 1 / (2 * 0.5 * 0.5)
        '2.0'
    """
    logits = jnp.log(targets) - jnp.log1p(-targets)
    spread = jnp.abs(logits - means) * jnp.exp(-log_scales)
    return spread + log_scales + jnp.log(2 * targets * (1 - targets))
