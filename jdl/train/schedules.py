"""Schedules of the learning rate that Optax lacks, by the number of steps made, t = 0, 1, ...

    divided_per_update    max(floor, initial / divisor^t)
    inverse_square_root   model_dim^-1/2 min((t + 1)^-1/2, (t + 1) warmup^-3/2)

The others are Optax's:

    step                  optax.piecewise_constant_schedule(mu, {step: factor})
    halve every n steps   optax.exponential_decay(mu, n, 0.5, staircase=True)
    exponential           optax.exponential_decay(mu, n, factor)
    cosine                optax.cosine_decay_schedule(mu, steps)
    linear to zero        optax.linear_schedule(mu, 0.0, steps)
    warm-up, then cosine  optax.warmup_cosine_decay_schedule(0.0, mu, warmup, steps)
    warm-up, then linear  optax.join_schedules([optax.linear_schedule(0.0, mu, warmup),
                              optax.linear_schedule(mu, 0.0, steps - warmup)], [warmup])
    on a plateau          optax.chain(optimizer, optax.contrib.reduce_on_plateau(0.1, patience))
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Schedule = Callable[[jax.Array], jax.Array]


def divided_per_update(initial: float, divisor: float, floor: float = 0.0) -> Schedule:
    """A rate that every update divides, down to a floor.

        mu_t = max(floor, initial / divisor^t)

    `optax.exponential_decay(initial, 1, 1 / divisor, end_value=floor)` rounds the factor to
    float32, which in 10^5 updates is an error of a part in a thousand.

    Args:
        initial: the rate of the first update.
        divisor: above 1.
        floor: the least rate.

    Source: Goodfellow et al. 2013 and 2014, whose 0.1, 1.00004 and 1e-6 004 ch. 8 has of
    conditional GANs (Mirza and Osindero 2014).

    Example:
        >>> schedule = divided_per_update(0.1, 1.00004, 1e-6)
        >>> [round(float(schedule(t)), 7) for t in (0, 100_000, 300_000)]
        [0.1, 0.0018317, 1e-06]
    """
    if divisor <= 1 or not 0 <= floor <= initial:
        raise ValueError(
            f"expected divisor > 1 and 0 <= floor <= initial; got {divisor}, {floor}, {initial}"
        )
    slope = math.log(divisor)
    return lambda t: jnp.maximum(floor, initial * jnp.exp(-slope * t))


def inverse_square_root(model_dim: int, warmup: int) -> Schedule:
    """The Transformer's rate: a linear warm-up, then the inverse square root of the step.

        mu_t = model_dim^-1/2 min((t + 1)^-1/2, (t + 1) warmup^-3/2)

    Args:
        model_dim: features of the model, 512 in the paper.
        warmup: steps to the largest rate, (model_dim warmup)^-1/2; 4000 in the paper.

    Source: Vaswani et al. 2017, eq. 3, which counts steps from 1.
    """
    if model_dim < 1 or warmup < 1:
        raise ValueError(f"expected model_dim and warmup of at least 1; got {model_dim}, {warmup}")

    def schedule(t):
        made = jnp.asarray(t + 1, jnp.float32)
        return model_dim**-0.5 * jnp.minimum(made**-0.5, made * warmup**-1.5)

    return schedule
