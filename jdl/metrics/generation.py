"""How good generated samples are.

Axes: N samples, K modes, D features.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class ModeCoverage(NamedTuple):
    """What of a mixture of Gaussians the samples cover.

    Attributes:
        high_quality: fraction of the samples that lie near a mode, [].
        shares: fraction of the samples that lie near each mode, [K]; they add up to `high_quality`.
        modes: number of modes with a sample near, [].
    """

    high_quality: jax.Array
    shares: jax.Array
    modes: jax.Array


def mode_coverage(
    samples: jax.Array, centres: jax.Array, std: float, deviations: float = 3.0
) -> ModeCoverage:
    """Counts the modes of a mixture that samples reach, and the samples near a mode.

    A sample is near the closest mode if it is at most `deviations` standard deviations away. Of
    samples of the mixture itself, in the plane, a fraction 1 - exp(-deviations^2 / 2) is: 0.989.

    Args:
        samples: [N, D].
        centres: of the modes, [K, D].
        std: of each coordinate within a mode.
        deviations: how near is near.

    Returns:
        The fraction of samples of high quality, the share of each mode, and how many modes have
        one.

    Raises:
        ValueError: other shapes.

    Source: Srivastava and others 2017, "VEEGAN"; Lin and others 2018, "PacGAN".
    """
    if samples.ndim != 2 or centres.ndim != 2 or samples.shape[1] != centres.shape[1]:
        raise ValueError(
            f"samples are [N, D] and centres [K, D]; got {list(samples.shape)} and "
            f"{list(centres.shape)}"
        )
    distances = jnp.linalg.norm(samples[:, None] - centres[None], axis=-1)
    near = distances.min(-1) <= deviations * std
    closest = jax.nn.one_hot(distances.argmin(-1), len(centres))
    shares = (closest * near[:, None]).mean(0)
    return ModeCoverage(near.mean(), shares, (shares > 0).sum())
