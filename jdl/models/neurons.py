"""Single binary neurons, from the logical calculus to stochastic units.

    McCulloch-Pitts        y = [no inhibitory input is on] [sum of excitatory inputs >= theta]
    threshold unit         y = [z > theta]
    sign unit              y = 1 if z > 0 else -1
    tempered sigmoid       y = 1 / (1 + e^(-z/T)),  the threshold unit as T -> 0
    stochastic unit        y ~ Bernoulli(1 / (1 + e^(-z/T)))

Sources: McCulloch and Pitts 1943; Ackley, Hinton, Sejnowski 1985 (units with a temperature);
Bengio, Leonard, Courville 2013, section 4 (straight-through). 000 and 001 give a threshold unit 0
at a tie, 004 a sign unit -1: those are the defaults, and the value at a tie is an argument.
"""

import jax
import jax.numpy as jnp

from jdl.core import Key


def mcculloch_pitts(excitatory: jax.Array, inhibitory: jax.Array, threshold: int) -> jax.Array:
    """The neuron of 1943: binary inputs, unit weights, absolute inhibition.

    004 fires when the sum is larger than the threshold, the paper when it reaches it: 004's
    threshold is one less.

    Args:
        excitatory: [..., D] of 0 and 1.
        inhibitory: [..., I] of 0 and 1; one of them suffices to silence the neuron.
        threshold: how many excitatory inputs make it fire.

    Returns:
        [...] of 0 and 1, of the dtype of `excitatory`.

    Example:
        >>> both, none = jnp.array([1, 1]), jnp.array([0])
        >>> [int(mcculloch_pitts(both, none, threshold)) for threshold in (1, 2, 3)]
        [1, 1, 0]
        >>> int(mcculloch_pitts(both, jnp.array([1]), 1))
        0
    """
    fires = (jnp.sum(excitatory, -1) >= threshold) & ~jnp.any(inhibitory > 0, -1)
    return fires.astype(jnp.result_type(excitatory))


def binary_threshold(
    z: jax.Array, threshold: float = 0.0, *, at_threshold: float = 0.0
) -> jax.Array:
    """The binary threshold unit (BTU, Heaviside's step): 1 above the threshold, 0 below.

    Its derivative is 0 everywhere, not only missing at the threshold: that is what stops
    backpropagation.

    Args:
        z: of any shape.
        threshold: where it switches.
        at_threshold: the value at a tie; 0 in 000 and 001, 1 by the rule of McCulloch and Pitts.

    Example:
        >>> binary_threshold(jnp.array([-1.0, 0.0, 1.0])).tolist()
        [0.0, 0.0, 1.0]
    """
    return _step(z, threshold, 0.0, at_threshold)


def sign(z: jax.Array, *, at_zero: float = -1.0) -> jax.Array:
    """The sign unit: 1 for positive inputs, -1 for negative.

    Args:
        z: of any shape.
        at_zero: the value at a tie; -1 in 004, eq. 1.4. `jnp.sign` has 0.

    Example:
        >>> sign(jnp.array([-2.0, 0.0, 2.0])).tolist()
        [-1.0, -1.0, 1.0]
    """
    return _step(z, 0.0, -1.0, at_zero)


def tempered_sigmoid(z: jax.Array, temperature: float | jax.Array) -> jax.Array:
    """The mean of a stochastic binary unit, its answer in mean-field mode.

        1 / (1 + e^(-z/T)),   slope 1 / (4 T) at 0

    As T -> 0 it becomes `binary_threshold` with 1/2 at a tie. 001 calls the limit of large T "more
    linear"; it is flat, 1/2 everywhere. 004 eq. 7.3.

    Args:
        z: of any shape.
        temperature: T > 0.
    """
    return jax.nn.sigmoid(z / temperature)


def stochastic_binary(z: jax.Array, key: Key, temperature: float | jax.Array = 1.0) -> jax.Array:
    """A draw of a stochastic binary unit: 1 with probability `tempered_sigmoid`.

    No gradient passes; `straight_through_binary` lets one pass.

    Args:
        z: of any shape.
        key: of the draw.
        temperature: T > 0.
    """
    draws = jax.random.bernoulli(key, tempered_sigmoid(jax.lax.stop_gradient(z), temperature))
    return draws.astype(jnp.result_type(z))


def straight_through_binary(
    z: jax.Array, key: Key, temperature: float | jax.Array = 1.0
) -> jax.Array:
    """A draw of a stochastic binary unit with the gradient of its mean.

        forward  y ~ Bernoulli(p),   backward  dy/dz = dp/dz,   p = `tempered_sigmoid`

    The derivative with respect to p is taken to be 1 although y is a step of it: a biased gradient
    unless what follows is linear in y. Bengio et al. found the form without dp/dz to train better.

    Args:
        z: of any shape.
        key: of the draw.
        temperature: T > 0.
    """
    mean = tempered_sigmoid(z, temperature)
    return mean + jax.lax.stop_gradient(stochastic_binary(z, key, temperature) - mean)


def _step(z, threshold, below, tie):
    steps = jnp.where(z > threshold, 1.0, jnp.where(z < threshold, below, tie))
    return steps.astype(jnp.result_type(z))
