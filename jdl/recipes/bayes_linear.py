"""What a Bayesian line predicts: mean theta' x, variance x' M x + sigma^2 (004, problem 9.3).

Data: y = theta' x + noise, x = (1, position), the position uniform in [-1, 1]. The posterior of
theta is normal, with mean theta_hat and covariance M:

    M         = (I / prior_std^2 + X' X / noise_std^2)^-1
    theta_hat = M X' y / noise_std^2

A new target is a sum of the independent normals theta' x and noise, so it is normal with mean
theta_hat' x; its variance is the epistemic x' M x plus the aleatoric noise_std^2. The recipe puts
draws from the posterior through `jdl.bayes.predict` and compares. Where the book asks for a
method to find the variance, the mean over draws is one, and for a line no draw is needed.

Seeds 0, 1, 2, 4000 draws: the mean is that of the closed form to within 0.013 of a target's
deviation, the epistemic variance to within 4 %, the distribution to within 0.014 in Kolmogorov's
distance (0.0137 is the mean of 4000 draws of the very distribution). Over 2000 lines drawn from the
prior with 4 points each, the 95 % band holds 96.1, 95.5, 94.3 % of new targets (counting errs by
0.5); a band of the noise alone about the least-squares line holds 84 to 86 %. The epistemic
variance falls as N^-1.01 (64 points and more), and the noise stays. 5 to 15 s on
two busy cores, most of it compilation.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from jdl.bayes import conjugate
from jdl.bayes.conjugate import LinearPosterior, linear_regression
from jdl.bayes.likelihoods import gaussian
from jdl.bayes.predictive import predict, predictive, sample_targets
from jdl.metrics.calibration import central_coverage
from jdl.models.mlp import mlp
from jdl.plot.bayes import uncertainty_split
from jdl.plot.calibration import coverage_curves
from jdl.plot.curves import learning_curves
from jdl.recipes.report import Report

GRID = np.linspace(-2, 2, 81, dtype=np.float32)
LEVELS = np.linspace(0, 1, 101, dtype=np.float32)


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    points: int = 8
    """Training points of the picture."""
    noise_std: float = 0.5
    """Standard deviation of the noise, known to the likelihood."""
    prior_std: float = 2.0
    """Standard deviation of intercept and slope before any data."""
    draws: int = 4000
    """From the posterior."""
    few: int = 4
    """Training points of the lines that coverage is counted on."""
    lines: int = 2000
    """Drawn from the prior, to count coverage on."""
    sizes: tuple[int, ...] = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
    """Training points, to see the variance fall."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Compares draws with the closed form, counts coverage, follows the variance over N."""
    key_line, key_draws, key_lines, key_sizes = jax.random.split(key, 4)

    @jax.jit
    def of_one_line(key_line, key_draws):
        line, x, y = sampled_line(key_line, settings.points, settings)
        fitted = linear_regression(x, y, settings.noise_std, settings.prior_std)
        exact = conjugate.predictive(fitted, inputs(GRID))
        return x[:, 1], y, inputs(GRID) @ line, exact, compared(fitted, key_draws, settings.draws)

    x, y, target, exact, metrics = of_one_line(key_line, key_draws)
    metrics = {name: float(x) for name, x in metrics.items()}

    levels = coverage(key_lines, settings)
    at_95 = int(np.argmin(np.abs(LEVELS - 0.95)))
    metrics |= {f"coverage_{name}": float(shares[at_95]) for name, shares in levels.items()}
    sizes = np.array(settings.sizes)
    variances = epistemic(key_sizes, settings)
    slope = np.polyfit(np.log(sizes[-4:]), np.log(variances[-4:]), 1)[0]
    metrics |= {"epistemic_power_of_n": float(slope), "epistemic_least": float(variances[-1])}

    noise = np.full(len(sizes), settings.noise_std**2)
    curves = {"epistemic": (np.log2(sizes), variances), "aleatoric": (np.log2(sizes), noise)}
    quantity = "mean variance of a target"
    figures = {
        "predictive": uncertainty_split(
            GRID,
            *map(np.asarray, (exact.mean, exact.aleatoric, exact.epistemic)),
            data=(np.asarray(x), np.asarray(y)),
            target=np.asarray(target),
            title=f"A Bayesian line of {settings.points} points",
        ),
        "coverage": coverage_curves(
            LEVELS,
            {"predictive: with x' M x": levels["predictive"], "noise alone": levels["noise_alone"]},
            examples=settings.lines,
            title=f"Targets inside intervals, {settings.few} points a line",
        ),
        "shrinkage": learning_curves(
            {quantity: curves}, logarithmic=[quantity], step="log2 of the number of points"
        ),
    }
    return Report(metrics, figures, table(metrics, settings))


def inputs(position: jax.Array) -> jax.Array:
    """Positions [N] -> (1, position) [N, 2]."""
    return jnp.stack([jnp.ones_like(position), position], -1)


def sampled_line(key, points: int, settings: Settings):
    """A line [2] from the prior, and inputs [points, 2] and noisy targets [points] of it."""
    key_line, key_x, key_noise = jax.random.split(key, 3)
    line = settings.prior_std * jax.random.normal(key_line, [2])
    x = inputs(jax.random.uniform(key_x, [points], minval=-1, maxval=1))
    return line, x, x @ line + settings.noise_std * jax.random.normal(key_noise, [points])


def compared(fitted: LinearPosterior, key: jax.Array, count: int) -> dict[str, jax.Array]:
    """How far predictions by draws are from the closed form."""
    key_draws, key_noise = jax.random.split(key)
    draws = jax.random.multivariate_normal(key_draws, fitted.mean, fitted.covariance, [count])
    params = {"layers": {"0": {"bias": draws[:, :1], "kernel": draws[:, 1:, None]}}}
    outputs = predict(mlp([1, 1]), params, GRID[:, None])[..., 0]
    likelihood = gaussian(fitted.noise_std)
    found, exact = predictive(outputs, likelihood), conjugate.predictive(fitted, inputs(GRID))
    exact_std = jnp.sqrt(exact.aleatoric + exact.epistemic)
    targets = sample_targets(outputs, likelihood, key_noise)
    places = jnp.sort(norm.cdf(targets, exact.mean[None], exact_std[None]), 0)
    uniform = jnp.arange(1, count + 1)[:, None] / count
    return {
        "mean_gap": jnp.max(jnp.abs(found.mean - exact.mean) / exact_std),
        "variance_gap": jnp.max(jnp.abs(found.epistemic / exact.epistemic - 1)),
        "kolmogorov_distance": jnp.mean(jnp.max(jnp.abs(places - uniform), 0)),
    }


def coverage(key: jax.Array, settings: Settings) -> dict[str, np.ndarray]:
    """Shares of new targets in central intervals, over lines from the prior: each [levels]."""

    def place(key):
        key_line, key_new = jax.random.split(key)
        line, x, y = sampled_line(key_line, settings.few, settings)
        key_x, key_noise = jax.random.split(key_new)
        new = inputs(jax.random.uniform(key_x, [1], minval=-1, maxval=1))
        target = new @ line + settings.noise_std * jax.random.normal(key_noise, [1])
        fitted = linear_regression(x, y, settings.noise_std, settings.prior_std)
        mean, variance, *_ = conjugate.predictive(fitted, new)
        squares = new @ jnp.linalg.solve(x.T @ x, x.T @ y)
        return {
            "predictive": norm.cdf(target, mean, jnp.sqrt(variance))[0],
            "noise_alone": norm.cdf(target, squares, settings.noise_std)[0],
        }

    @jax.jit
    def shares(keys):
        places = jax.vmap(place)(keys)
        return {name: central_coverage(x, jnp.array(LEVELS)) for name, x in places.items()}

    found = shares(jax.random.split(key, settings.lines))
    return {name: np.asarray(x) for name, x in found.items()}


def epistemic(key: jax.Array, settings: Settings) -> np.ndarray:
    """x' M x for each of the sizes, in the mean over positions in [-1, 1] and 20 sets of points."""
    where = inputs(jnp.linspace(-1, 1, 41))

    def of_one(key):
        _, x, _ = sampled_line(key, max(settings.sizes), settings)
        grown = jnp.cumsum(x[:, :, None] * x[:, None], 0)[jnp.array(settings.sizes) - 1]
        precision = jnp.eye(2)[None] / settings.prior_std**2 + grown / settings.noise_std**2
        return jnp.einsum("pi,sij,pj->sp", where, jnp.linalg.inv(precision), where).mean(-1)

    return np.asarray(jax.jit(jax.vmap(of_one))(jax.random.split(key, 20)).mean(0))


def table(metrics: dict[str, float], settings: Settings) -> str:
    """The metrics as text."""
    return "\n".join(
        [
            f"{settings.draws} draws beside the closed form: mean within {metrics['mean_gap']:.3f} "
            f"standard deviations, epistemic variance within {metrics['variance_gap']:.1%}, "
            f"Kolmogorov distance {metrics['kolmogorov_distance']:.4f}",
            f"new targets in the 95 % band, {settings.few} points a line: "
            f"{metrics['coverage_predictive']:.1%}; noise alone "
            f"{metrics['coverage_noise_alone']:.1%}",
            f"epistemic variance falls as N^{metrics['epistemic_power_of_n']:.2f}, to "
            f"{metrics['epistemic_least']:.5f} at {settings.sizes[-1]} points; the noise stays "
            f"at {settings.noise_std**2:g}",
        ]
    )
