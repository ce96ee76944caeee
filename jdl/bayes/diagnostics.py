"""Whether to believe draws: R-hat and effective sample size, NumPyro's own.

    R-hat = sqrt(variance of all draws together / mean variance within a chain)
    ESS   = chains * draws / (1 + 2 sum of autocorrelations)

Anything of shape [chains, draws, ...] can be judged. The weights of a network are not identified
(hidden units may be exchanged), so judge its predictions.

Source: Gelman and Rubin 1992, with each chain split in two; Geyer 1992 for where to end the sum.
"""

import numpy as np
from numpyro import diagnostics


def r_hat(draws) -> np.ndarray:
    """Split R-hat: 1 when the chains agree; above 1.01 to 1.05 they have not mixed.

    Args:
        draws: [chains, draws, ...], at least 4 draws. NaN where a chain never moved.

    Returns:
        [...].

    Raises:
        ValueError: another shape.

    Example:
        >>> chains = np.random.default_rng(0).normal(size=[4, 1000])
        >>> bool(r_hat(chains) < 1.01), bool(r_hat(chains + np.arange(4)[:, None]) > 1.5)
        (True, True)
    """
    return diagnostics.split_gelman_rubin(_checked(draws, 4))


def effective_sample_size(draws) -> np.ndarray:
    """The number of independent draws that would give the mean the same variance.

    Args:
        draws: [chains, draws, ...], at least 4 draws.

    Returns:
        [...], in all chains together.

    Raises:
        ValueError: another shape.
    """
    return diagnostics.effective_sample_size(_checked(draws, 4))


def _checked(draws, least):
    draws = np.asarray(draws)
    if draws.ndim < 2 or draws.shape[1] < least or draws.shape[0] < 1:
        raise ValueError(
            f"draws are [chains, draws, ...] with at least {least} draws; got {draws.shape}. "
            "Give one chain its axis: draws[None]"
        )
    return draws
