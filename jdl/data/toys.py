"""Made-up data in two dimensions and in time, pure functions of a key.

Each says the distribution that it draws from, so that what is learned can be compared with it.

Axes: N examples.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Key


class Points(NamedTuple):
    """Points of classes.

    Attributes:
        inputs: [N, D] float32.
        labels: [N] int32.
    """

    inputs: jax.Array
    labels: jax.Array


def blobs(key: Key, examples: int, centres: jax.Array, std: float = 1.0) -> Points:
    """Draws from an even mixture of round Gaussians.

        label ~ uniform(0 .. K-1),   x ~ N(centres[label], std^2 I)

    Args:
        key: of the draws.
        examples: N.
        centres: [K, D], one row a class.
        std: standard deviation of each coordinate.

    Returns:
        Points [N, D] and the component of each.

    Example:
        >>> points = blobs(jax.random.key(0), 5, jnp.array([[-1.0, 1.0], [1.0, -1.0]]), std=0.5)
        >>> points.inputs.shape, points.labels.shape
        ((5, 2), (5,))
    """
    key_label, key_noise = jax.random.split(key)
    centres = jnp.asarray(centres, jnp.float32)
    labels = jax.random.randint(key_label, [examples], 0, len(centres), jnp.int32)
    noise = std * jax.random.normal(key_noise, [examples, centres.shape[1]])
    return Points(centres[labels] + noise, labels)


def ring_centres(modes: int = 8, radius: float = 2.0) -> jax.Array:
    """The centres [modes, 2] of `ring_of_gaussians`: the first at angle 0, anticlockwise."""
    angles = 2 * math.pi * jnp.arange(modes) / modes
    return radius * jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)


def ring_of_gaussians(
    key: Key, examples: int, modes: int = 8, radius: float = 2.0, std: float = 0.02
) -> Points:
    """Draws from narrow Gaussians on a circle, the usual test of mode collapse.

    Args:
        key: of the draws.
        examples: N.
        modes: number of Gaussians, evenly spaced and evenly likely.
        radius: of the circle.
        std: standard deviation of each coordinate within a mode.

    Returns:
        Points [N, 2] and the mode of each.

    Source: Metz, Poole, Pfau, Sohl-Dickstein 2017, "Unrolled generative adversarial networks",
    section 3.1, whose 8 modes, radius and std are the defaults.
    """
    return blobs(key, examples, ring_centres(modes, radius), std)


def xor(key: Key, examples: int, std: float = 0.6) -> Points:
    """Draws from four Gaussians at (+-1, +-1), with label 1 where the signs differ.

    Args:
        key: of the draws.
        examples: N.
        std: standard deviation of each coordinate within a cloud.

    Returns:
        Points [N, 2] with labels 0 and 1.

    Source: 004 ex. 1.5.4 and 3.1.3, which has 100 points a cloud; here a cloud is drawn for each
    point.
    """
    centres = jnp.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    inputs, clouds = blobs(key, examples, centres, std)
    return Points(inputs, jnp.array([0, 1, 1, 0], jnp.int32)[clouds])


def circles(
    key: Key, examples: int, radii: tuple[float, ...] = (1.0, 0.8), std: float = 0.05
) -> Points:
    """Draws from concentric rings, one a class.

        angle ~ uniform(0, 2 pi),   distance from the origin ~ N(radii[label], std^2)

    Args:
        key: of the draws.
        examples: N.
        radii: of the rings, one a class.
        std: standard deviation of the distance.

    Returns:
        Points [N, 2] and the ring of each.

    Source: 004 ex. 1.5.4 and 3.1.3, with the outer ring as class 0.
    """
    key_label, key_angle, key_noise = jax.random.split(key, 3)
    labels = jax.random.randint(key_label, [examples], 0, len(radii), jnp.int32)
    angles = jax.random.uniform(key_angle, [examples], maxval=2 * math.pi)
    distances = jnp.array(radii)[labels] + std * jax.random.normal(key_noise, [examples])
    directions = jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
    return Points(distances[:, None] * directions, labels)


def moons(key: Key, examples: int, std: float = 0.1) -> Points:
    """Draws from two interleaved half circles of radius 1, with noise.

        t ~ uniform(0, pi)
        class 0:  (cos t, sin t) + noise
        class 1:  (1 - cos t, 1/2 - sin t) + noise

    Args:
        key: of the draws.
        examples: N.
        std: standard deviation of the noise of each coordinate.

    Returns:
        Points [N, 2] with labels 0 and 1.

    Source: scikit-learn's `make_moons`, which spaces t evenly.
    """
    key_label, key_angle, key_noise = jax.random.split(key, 3)
    labels = jax.random.randint(key_label, [examples], 0, 2, jnp.int32)
    t = jax.random.uniform(key_angle, [examples], maxval=math.pi)
    upper = jnp.stack([jnp.cos(t), jnp.sin(t)], -1)
    means = jnp.where(labels[:, None] == 0, upper, jnp.array([[1.0, 0.5]]) - upper)
    return Points(means + std * jax.random.normal(key_noise, [examples, 2]), labels)


def spirals(
    key: Key, examples: int, arms: int = 2, turns: float = 1.5, std: float = 0.02
) -> Points:
    """Draws from the arms of an Archimedean spiral, one a class, inside the unit circle.

        t ~ sqrt(uniform(0, 1))                      even along the area, hence roughly the arm
        angle = 2 pi (turns t + label / arms)
        x = t (cos angle, sin angle) + noise

    Args:
        key: of the draws.
        examples: N.
        arms: number of classes.
        turns: of each arm around the origin.
        std: standard deviation of the noise of each coordinate.

    Returns:
        Points [N, 2] and the arm of each.

    Source: after the two spirals of Lang and Witbrock 1988, which have three turns and no noise.
    """
    key_label, key_t, key_noise = jax.random.split(key, 3)
    labels = jax.random.randint(key_label, [examples], 0, arms, jnp.int32)
    t = jnp.sqrt(jax.random.uniform(key_t, [examples]))
    angles = 2 * math.pi * (turns * t + labels / arms)
    means = t[:, None] * jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
    return Points(means + std * jax.random.normal(key_noise, [examples, 2]), labels)


def harmonic_series(key: Key, length: int, std: float = 0.1) -> jax.Array:
    """A series of three harmonics of the period 12, with noise.

        x_t = cos(pi t / 6) + cos(pi t / 3) / 2 + cos(2 pi t / 3) / 2 + noise,   t = 0, 1, ...

    Args:
        key: of the noise.
        length: T.
        std: standard deviation of the noise.

    Returns:
        The series [T].

    Source: 004 eq. 5.24, ex. 5.3.1.
    """
    t = jnp.arange(length) % 12
    mean = jnp.cos(math.pi * t / 6) + (jnp.cos(math.pi * t / 3) + jnp.cos(2 * math.pi * t / 3)) / 2
    return mean + std * jax.random.normal(key, [length])
