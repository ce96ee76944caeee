"""Gumbel-softmax: draws from a categorical distribution that have a gradient.

    g_k = -log(-log u_k),   y = softmax((logits + g) / tau)

argmax(logits + g) is a draw from softmax(logits), whatever tau; y goes to its one-hot vector as tau
goes to 0, and to the uniform vector as tau grows.

Source: Jang, Gu, Poole 2017, eq. 1 and 2; Maddison, Mnih, Teh 2017 (the concrete distribution).

Axes: K classes, last.
"""

import jax
import jax.numpy as jnp

from jdl.core import Key


def gumbel_softmax(
    logits: jax.Array, key: Key, temperature: float | jax.Array, *, hard: bool = False
) -> jax.Array:
    """A relaxed draw.

    Args:
        logits: [..., K].
        key: of the draw.
        temperature: tau, above 0.
        hard: whether the draw is the one-hot vector, with the gradient of the relaxed one
            (straight-through).

    Returns:
        [..., K], not negative, of sum 1.

    Example:
        >>> draws = gumbel_softmax(jnp.zeros([2, 3]), jax.random.key(0), 0.5, hard=True)
        >>> draws.sum(axis=-1).tolist()
        [1.0, 1.0]
    """
    noisy = logits + jax.random.gumbel(key, logits.shape, logits.dtype)
    relaxed = jax.nn.softmax(noisy / jnp.asarray(temperature, noisy.dtype), axis=-1)
    if not hard:
        return relaxed
    chosen = jax.nn.one_hot(jnp.argmax(noisy, axis=-1), logits.shape[-1], dtype=noisy.dtype)
    return relaxed + jax.lax.stop_gradient(chosen - relaxed)
