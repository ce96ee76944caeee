"""Spike-timing-dependent plasticity: a synapse learns from the order of two spikes.

    dt = t_post - t_pre
    change(dt) =   A_plus  e^(-dt / tau_plus)     dt > 0   potentiation (LTP): pre before post
                 - A_minus e^( dt / tau_minus)    dt < 0   depression (LTD): pre after post
                   0                              dt = 0

Sources: Bi and Poo 1998; Song, Miller, Abbott 2000, whose constants are the defaults (20 ms,
0.005 of the largest weight, A_minus / A_plus = 1.05); Morrison, Diesmann, Gerstner 2008, section
4.1, for the pairings. 001's figure has t_pre - t_post as its axis and LTP where it is positive:
the text beside it, pre before post, is right.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def stdp_window(
    dt: jax.Array,
    *,
    amplitude_plus: float = 0.005,
    amplitude_minus: float = 0.00525,
    tau_plus: float = 20.0,
    tau_minus: float = 20.0,
) -> jax.Array:
    """The change of a weight by one pair of spikes.

    Args:
        dt: t_post - t_pre in ms, of any shape.
        amplitude_plus: of potentiation, A_plus.
        amplitude_minus: of depression, A_minus, positive.
        tau_plus: time constant of potentiation in ms.
        tau_minus: time constant of depression in ms.

    Returns:
        Changes of the shape of dt, 0 where it is nan or infinite.

    Example:
        >>> dt = jnp.array([-20.0, 0.0, 20.0])
        >>> [round(float(x), 4) for x in stdp_window(dt, amplitude_plus=1, amplitude_minus=2)]
        [-0.7358, 0.0, 0.3679]
    """
    size = jnp.abs(dt)
    potentiation = amplitude_plus * jnp.exp(-size / tau_plus)
    depression = amplitude_minus * jnp.exp(-size / tau_minus)
    return jnp.where(dt > 0, potentiation, jnp.where(dt < 0, -depression, 0.0))


def stdp_all_to_all(
    pre_times: jax.Array, post_times: jax.Array, window: Callable = stdp_window
) -> jax.Array:
    """The change of a weight when every presynaptic spike pairs with every postsynaptic one.

    Args:
        pre_times: [P] in ms, in any order; nan pads a short train.
        post_times: [Q] in ms, likewise.
        window: dt -> change.

    Returns:
        [], the sum over the pairs.
    """
    return jnp.sum(window(_differences(pre_times, post_times)))


def stdp_nearest_neighbours(
    pre_times: jax.Array, post_times: jax.Array, window: Callable = stdp_window
) -> jax.Array:
    """The change of a weight when a spike pairs with the last one of the other side before it.

    Morrison's symmetric interpretation: each postsynaptic spike pairs with the last presynaptic
    spike before it (potentiation), each presynaptic spike with the last postsynaptic spike before
    it (depression).

    Args:
        pre_times: [P] in ms, in any order; nan pads a short train.
        post_times: [Q] in ms, likewise.
        window: dt -> change; 0 for infinite dt.

    Returns:
        [], the sum over these pairs.
    """
    dt = _differences(pre_times, post_times)
    last_pre = jnp.min(jnp.where(dt > 0, dt, jnp.inf), 0, initial=jnp.inf)
    last_post = jnp.max(jnp.where(dt < 0, dt, -jnp.inf), 1, initial=-jnp.inf)
    return jnp.sum(window(last_pre)) + jnp.sum(window(last_post))


def _differences(pre_times, post_times):
    """[P, Q]: t_post - t_pre."""
    return post_times[None, :] - pre_times[:, None]
