"""Whether to believe draws: R-hat, effective sample sizes, divergences, energies.

    R-hat = sqrt(variance of all draws together / mean variance within a chain)
    ESS   = chains * draws / (1 + 2 sum of autocorrelations)
    BFMI  = mean squared change of the energy from draw to draw / variance of the energy

each chain split in two, R-hat and bulk ESS of the ranks of the draws made normal, tail ESS of the
indicators of the outer twentieths. Anything of shape [chains, draws, ...] can be judged. Weights of
a network are not identified (hidden units may be exchanged), so judge its predictions.

Source: Gelman and Rubin 1992; Geyer 1992 for where to end the sum; Vehtari, Gelman, Simpson,
Carpenter, Buerkner 2021 (Rank-normalization, folding, and localization), whose limits are 1.01 and
100 effective draws a chain; Betancourt 2016 (Diagnosing suboptimal cotangent disintegrations) for
BFMI, with the limit 0.3 of Stan.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from numpyro import diagnostics

from jdl.core import Tree
from jdl.train.records import flat

R_HAT_LIMIT, ESS_LIMIT, BFMI_LIMIT = 1.01, 100, 0.3
JUDGED = 512  # params, evenly spaced, that `diagnose` looks at


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
    return diagnostics.split_gelman_rubin(_checked(draws))


def rank_r_hat(draws) -> np.ndarray:
    """The larger of the R-hat of normalised ranks and of those of distances from the median.

    It sees chains that differ in scale alone, and needs no finite variance.

    Args:
        draws: [chains, draws, ...], at least 4 draws.

    Returns:
        [...].
    """
    draws = _checked(draws)
    folded = np.abs(draws - np.median(draws, axis=(0, 1)))
    return np.maximum(r_hat(_normal_ranks(draws)), r_hat(_normal_ranks(folded)))


def effective_sample_size(draws) -> np.ndarray:
    """The number of independent draws that would give the mean the same variance.

    Args:
        draws: [chains, draws, ...], at least 4 draws.

    Returns:
        [...], in all chains together.

    Raises:
        ValueError: another shape.
    """
    return _effective(_checked(draws))


def bulk_ess(draws) -> np.ndarray:
    """The effective sample size of normalised ranks: how well the centre is known.

    Args:
        draws: [chains, draws, ...], at least 8 draws.

    Returns:
        [...].
    """
    return _effective(_halves(_normal_ranks(_checked(draws, 8))))


def tail_ess(draws) -> np.ndarray:
    """The smaller of the effective sample sizes of the 5 % and the 95 % quantile.

    Args:
        draws: [chains, draws, ...], at least 8 draws.

    Returns:
        [...]; NaN where all draws are the same.
    """
    draws = _halves(_checked(draws, 8))
    sizes = [
        _effective((draws <= np.quantile(draws, q, (0, 1))).astype(float)) for q in (0.05, 0.95)
    ]
    return np.minimum(*sizes)


def bfmi(energy) -> np.ndarray:
    """The Bayesian fraction of missing information of each chain; below 0.3 is a warning.

    Args:
        energy: [chains, draws], nats, as HMC and NUTS report it.

    Returns:
        [chains]: how far the resampling of the momentum moves the energy, beside how far it goes.

    Raises:
        ValueError: another shape, or one draw.
    """
    energy = _checked(np.asarray(energy, float), 2)
    changes = np.mean(np.diff(energy, axis=1) ** 2, axis=1)
    return changes / np.maximum(np.var(energy, axis=1), np.finfo(float).tiny)


class Worst(NamedTuple):
    """The worst of many numbers; NaN if some chain never moved.

    Attributes:
        r_hat: the largest.
        bulk_ess: the smallest.
        tail_ess: the smallest.
    """

    r_hat: float
    bulk_ess: float
    tail_ess: float


class Diagnosis(NamedTuple):
    """Whether to believe some chains; print it.

    Attributes:
        chains: how many.
        draws: of each.
        functions: the worst of the function values; None if there are none.
        params: the worst of the params, of which a network's need not be identified.
        divergences: draws that diverged.
        bfmi: the smallest of the chains; None for samplers without energy.
        problems: reasons to doubt the draws, in words.
    """

    chains: int
    draws: int
    functions: Worst | None
    params: Worst
    divergences: int
    bfmi: float | None
    problems: tuple[str, ...]

    @property
    def converged(self) -> bool:
        """Whether no reason was found to doubt the draws."""
        return not self.problems

    def __str__(self):
        rows = [("params", self.params)]
        if self.functions is not None:
            rows.insert(0, ("functions", self.functions))
        lines = [f"{self.chains} chains of {self.draws} draws, {self.divergences} divergences"]
        lines += [
            f"{name:9s} R-hat at most {worst.r_hat:.3f}, effective draws at least "
            f"{worst.bulk_ess:.0f} in the bulk and {worst.tail_ess:.0f} in the tails"
            for name, worst in rows
        ]
        if self.bfmi is not None:
            lines.append(f"BFMI at least {self.bfmi:.2f}")
        if self.problems:
            lines += ["Did not converge, or cannot be told to have:"]
            lines += [f"  {problem}" for problem in self.problems]
        return "\n".join(lines)


def diagnose(
    draws: Tree, info: dict[str, Any] | None = None, functions: np.ndarray | None = None
) -> Diagnosis:
    """Judges chains by their function values, or by their params if there are none.

    Args:
        draws: params with leading axes of chains and draws, at least 4 draws; of more than 512
            numbers, 512 are looked at.
        info: of the sampler, [chains, draws] each: `diverged` and `energy` if it has them.
        functions: [chains, draws, ...], what the chains are to agree on: predictions.

    Returns:
        A Diagnosis.

    Raises:
        ValueError: fewer than 4 draws.
    """
    info = {} if info is None else info
    leaves = [_checked(x) for x in jax.tree.leaves(draws)]
    chains, length = leaves[0].shape[:2]
    entries = np.concatenate([x.reshape(chains, length, -1) for x in leaves], axis=-1)
    params = _worst(entries[..., :: -(-entries.shape[-1] // JUDGED)])
    judged = params if functions is None else _worst(functions)
    diverged = int(np.sum(info.get("diverged", 0)))
    energy = float(bfmi(info["energy"]).min()) if "energy" in info else None
    what = "params" if functions is None else "function values"
    problems = [*_doubts(judged, what, chains, length)]
    if diverged:
        problems.append(
            f"{diverged / (chains * length):.1%} of the draws diverged: the sampler does not reach "
            "all of the posterior. Aim at a higher acceptance, or change the parameters"
        )
    if energy is not None and energy < BFMI_LIMIT:
        problems.append(
            f"BFMI {energy:.2f} is below {BFMI_LIMIT}: energies are explored slowly. Heavy tails? "
            "A narrower prior or other parameters help, more draws do not"
        )
    worst = None if functions is None else judged
    return Diagnosis(chains, length, worst, params, diverged, energy, tuple(problems))


def _doubts(worst, what, chains, length):
    if length < 8:
        yield f"{length} draws are too few for a diagnosis; take 100 and more of each chain"
        return
    if chains == 1:
        yield "one chain cannot tell whether another would agree; take four"
    if np.isnan(worst.r_hat):
        yield f"R-hat of the {what} is undefined: a chain never moved. Take smaller steps"
    elif worst.r_hat > R_HAT_LIMIT:
        yield (
            f"R-hat of the {what} is {worst.r_hat:.3f}, above {R_HAT_LIMIT}: the chains disagree. "
            "Warm up and draw longer, or take longer trajectories"
        )
    if not min(worst.bulk_ess, worst.tail_ess) >= ESS_LIMIT * chains:
        yield (
            f"{min(worst.bulk_ess, worst.tail_ess):.0f} effective draws of the {what} are fewer "
            f"than {ESS_LIMIT} a chain: means and intervals are uncertain. Draw more"
        )


def _worst(values):
    """Of all that are not the same in all draws, such as the output of a unit that is off."""
    values = np.asarray(values)
    columns = values.reshape(*values.shape[:2], -1)
    moving = columns[..., np.ptp(columns, axis=(0, 1)) > 0]
    if not moving.size:
        return Worst(np.nan, np.nan, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        if columns.shape[1] < 8:
            return Worst(float(r_hat(moving).max()), np.nan, np.nan)
        largest = np.max(rank_r_hat(moving))
        smallest = [np.min(size(moving)) for size in (bulk_ess, tail_ess)]
    return Worst(float(largest), *map(float, smallest))


def _normal_ranks(draws):
    from scipy import special, stats

    together = draws.reshape(-1, *draws.shape[2:])
    ranks = stats.rankdata(together, axis=0).reshape(draws.shape)
    return special.ndtri((ranks - 3 / 8) / (len(together) + 1 / 4))


def _effective(draws):
    """At most N log10 N for N draws (Vehtari et al. 2021): of draws that alternate about the mean
    the sum of autocorrelations is -1/2 or less, and says nothing."""
    count = draws.shape[0] * draws.shape[1]
    sizes, most = diagnostics.effective_sample_size(draws), count * np.log10(count)
    return np.where((sizes < 0) | (sizes > most), most, sizes)


def _halves(draws):
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _checked(draws, least=4):
    draws = np.asarray(draws)
    if draws.ndim < 2 or draws.shape[1] < least or draws.shape[0] < 1:
        raise ValueError(
            f"draws are [chains, draws, ...] with at least {least} draws; got {draws.shape}. "
            "Give one chain its axis: draws[None]"
        )
    return draws


def to_arviz(draws: Tree, info: dict[str, Any] | None = None) -> Any:
    """The draws as ArviZ holds them, for its plots, tables and files; needs the extra `arviz`.

    Args:
        draws: params with leading axes of chains and draws.
        info: of the sampler, [chains, draws] each.

    Returns:
        `arviz.InferenceData`, or the `xarray.DataTree` that ArviZ 1 has in its place: a group
        `posterior` whose variables are the leaves by path, and `sample_stats` with ArviZ's names
        (`diverging`, `acceptance_rate`, `n_steps`, `energy`).

    Raises:
        ImportError: ArviZ is missing.
    """
    try:
        import arviz
    except ImportError as error:
        raise ImportError("to_arviz needs ArviZ: pip install arviz") from error
    names = {"diverged": "diverging", "acceptance": "acceptance_rate", "num_steps": "n_steps"}
    stats = {names.get(name, name): np.asarray(x) for name, x in (info or {}).items()}
    if "diverging" in stats:
        stats["diverging"] = stats["diverging"].astype(bool)
    groups = {"posterior": {name: np.asarray(x) for name, x in flat(draws).items()}}
    groups |= {"sample_stats": stats} if stats else {}
    if int(arviz.__version__.split(".")[0]) < 1:
        return arviz.from_dict(**groups)
    return arviz.from_dict(groups)
