"""Noise on inputs or hidden units while training.

    gaussian_noise    x + scale * normal
    salt_and_pepper   each entry, with probability rate, replaced by low or high, evenly
    masking           each entry, with probability rate, replaced by 0; nothing is rescaled

Source: Vincent et al. 2010, section 3.3; 001; 003.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Key


def gaussian_noise(x: jax.Array, key: Key, scale: float) -> jax.Array:
    """Adds normal noise.

    Args:
        x: of any shape.
        key: of the noise.
        scale: its standard deviation, in the unit of x.
    """
    return x + scale * jax.random.normal(key, x.shape, x.dtype)


def salt_and_pepper(
    x: jax.Array, key: Key, rate: float, low: float = 0.0, high: float = 1.0
) -> jax.Array:
    """Replaces entries by the least or the greatest value.

    Args:
        x: of any shape.
        key: of the noise.
        rate: probability of each entry, half of it for each value.
        low: of pepper.
        high: of salt.
    """
    _check(rate)
    drawn = jax.random.uniform(key, x.shape)
    return jnp.where(drawn < rate / 2, low, jnp.where(drawn < rate, high, x)).astype(x.dtype)


def masking(x: jax.Array, key: Key, rate: float) -> jax.Array:
    """Replaces entries by 0.

    Args:
        x: of any shape.
        key: of the noise.
        rate: probability of each entry.
    """
    _check(rate)
    return jnp.where(jax.random.bernoulli(key, rate, x.shape), jnp.zeros_like(x), x)


class Noise(nnx.Module):
    """A layer that disturbs hidden units while training, and nothing in evaluation."""

    def __init__(self, noise: Callable[[jax.Array, Key], jax.Array]):
        self.noise, self.deterministic = noise, False

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Inputs of any shape -> the same shape."""
        return x if self.deterministic else self.noise(x, rngs.noise())


def _check(rate):
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is a probability; got {rate}")
