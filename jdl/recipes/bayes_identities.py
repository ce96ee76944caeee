"""Bayes' rule and the bound on the evidence, checked in numbers (004, problems 9.1, 9.2, 9.4).

On tables of discrete probabilities (9.1, 9.2) the posterior by the definition of conditional
probability, from the table of everything, is that by Bayes' rule, from likelihood and prior:

    p(theta | x, y) = p(y | x, theta) p(theta) / sum over theta of the same

It adds up to 1, takes data one by one or at once, and needs theta independent of the inputs: on a
table where they depend it is wrong, which is measured too. Departs from the book's 9.3, which
prints p(u | u) for p(u | v) and leaves the dv out.

For a Bayesian line with normal prior and noise (9.4, eq. 9.28), any distribution q of the weights
has ELBO(q) + KL(q || posterior) = log evidence:

    ELBO = E_q[log p(y | theta)] - KL(q || prior)

both by closed forms for 200 random normal q, and by quadrature for a q of two humps. The evidence
itself is the density of y under N(0, noise_std^2 I + prior_std^2 X X'), which uses neither.

In double precision, seeds 0, 1, 2: Bayes' rule errs by less than 2e-16, by 0.47, 0.25, 0.46 where
theta depends on the input; ELBO + KL by less than 4e-13 over all normal q, whose bound is at least
8.7, 3.2, 25 nats too low, and by less than 6e-13 for the two humps. The bound of the posterior
itself is the evidence. Half a second on two busy cores.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from jdl.plot.curves import learning_curves
from jdl.recipes.report import Report


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    values: int = 5
    """Of theta, in the tables."""
    observations: int = 6
    """Of the tables, drawn one by one."""
    points: int = 10
    """Of the line."""
    noise_std: float = 0.5
    """Standard deviation of its noise."""
    prior_std: float = 1.5
    """Standard deviation of intercept and slope before any data."""
    guesses: int = 200
    """Random normal distributions q."""


class Normal(NamedTuple):
    """A normal distribution.

    Attributes:
        mean: [D].
        covariance: [D, D].
    """

    mean: np.ndarray
    covariance: np.ndarray


class Line(NamedTuple):
    """A regression with known noise.

    Attributes:
        x: inputs [N, 2].
        y: targets [N].
        prior: of the weights.
        noise_std: of the targets.
    """

    x: np.ndarray
    y: np.ndarray
    prior: Normal
    noise_std: float


def run(settings: Settings, key: jax.Array) -> Report:
    """Checks the identities and draws the last."""
    random = np.random.default_rng(np.asarray(jax.random.bits(key, [4])))
    line = random_line(random, settings)
    exact, evidence = posterior(line), log_evidence(line)
    metrics = tables(random, settings) | bounds(line, random, settings.guesses)

    shares = np.linspace(0, 1, 21)
    path = [between(line.prior, exact, share) for share in shares]
    elbo = np.array([elbo_of(q, line) for q in path])
    divergence = np.array([kl(q, exact) for q in path])
    quantity = "nats"
    figure = learning_curves(
        {
            quantity: {
                "ELBO": (shares, elbo),
                "KL(q || posterior)": (shares, divergence),
                "ELBO + KL": (shares, elbo + divergence),
                "log evidence": (shares[[0, -1]], [evidence] * 2),
            }
        },
        step="q, from the prior (0) to the posterior (1)",
    )
    return Report(metrics, {"bound": figure}, table(metrics, settings))


def tables(random: np.random.Generator, settings: Settings) -> dict[str, float]:
    """The errors of Bayes' rule on tables of theta, input and target."""
    values, inputs, targets = settings.values, 3, 4
    prior = random.dirichlet(np.ones(values))
    likelihood = random.dirichlet(np.ones(targets), [values, inputs])  # p(y | theta, x)
    seen = random.integers(0, [inputs, targets], [settings.observations, 2])

    def by_rule(prior, x, y):
        joint = prior * likelihood[:, x, y]
        return joint / joint.sum()

    def by_definition(input_given_theta, x, y):
        everything = prior[:, None, None] * input_given_theta[..., None] * likelihood
        return everything[:, x, y] / everything[:, x, y].sum()

    pairs = [(x, y) for x in range(inputs) for y in range(targets)]
    apart = np.broadcast_to(random.dirichlet(np.ones(inputs)), [values, inputs])
    together = random.dirichlet(np.ones(inputs), values)
    found = {
        name: max(np.abs(by_rule(prior, *p) - by_definition(given, *p)).max() for p in pairs)
        for name, given in {"independent": apart, "dependent": together}.items()
    }
    one_by_one = prior
    for x, y in seen:
        one_by_one = by_rule(one_by_one, x, y)
    at_once = prior * np.prod([likelihood[:, x, y] for x, y in seen], 0)
    return {
        "rule_error": float(found["independent"]),
        "sum_error": float(max(abs(by_rule(prior, *p).sum() - 1) for p in pairs)),
        "update_error": float(np.abs(one_by_one - at_once / at_once.sum()).max()),
        "dependent_error": float(found["dependent"]),
    }


def bounds(line: Line, random: np.random.Generator, guesses: int) -> dict[str, float]:
    """The errors of ELBO + KL = log evidence, and how loose the bound was."""
    exact, evidence = posterior(line), log_evidence(line)
    errors, gaps = [], []
    for _ in range(guesses):
        spread = random.normal(size=[2, 2])
        q = Normal(random.normal(size=2), spread @ spread.T + 0.01 * np.eye(2))
        elbo = elbo_of(q, line)
        errors.append(abs(elbo + kl(q, exact) - evidence))
        gaps.append(evidence - elbo)
    humps = [
        Normal(exact.mean + side * np.sqrt(np.diag(exact.covariance)), exact.covariance / 2)
        for side in (-1.5, 1.5)
    ]
    elbo, divergence = by_quadrature(humps, line)
    return {
        "log_evidence": float(evidence),
        "identity_error": float(np.max(errors)),
        "least_gap": float(np.min(gaps)),
        "posterior_gap": float(evidence - elbo_of(exact, line)),
        "two_humps_error": float(abs(elbo + divergence - evidence)),
        "two_humps_gap": float(divergence),
    }


def random_line(random: np.random.Generator, settings: Settings) -> Line:
    """A line drawn from the prior, and noisy points of it."""
    x = np.stack([np.ones(settings.points), random.uniform(-1, 1, settings.points)], -1)
    weights = settings.prior_std * random.normal(size=2)
    y = x @ weights + settings.noise_std * random.normal(size=settings.points)
    prior = Normal(np.zeros(2), settings.prior_std**2 * np.eye(2))
    return Line(x, y, prior, settings.noise_std)


def posterior(line: Line) -> Normal:
    """Of the weights."""
    precision = np.linalg.inv(line.prior.covariance) + line.x.T @ line.x / line.noise_std**2
    covariance = np.linalg.inv(precision)
    return Normal(covariance @ line.x.T @ line.y / line.noise_std**2, covariance)


def log_evidence(line: Line) -> float:
    """log N(y; 0, noise_std^2 I + X prior X'), in nats."""
    covariance = line.x @ line.prior.covariance @ line.x.T
    covariance = covariance + line.noise_std**2 * np.eye(len(line.y))
    return log_normal(line.y, Normal(line.x @ line.prior.mean, covariance))


def elbo_of(q: Normal, line: Line) -> float:
    """E_q[log p(y | theta)] - KL(q || prior), in nats."""
    squares = np.sum((line.y - line.x @ q.mean) ** 2) + np.trace(line.x @ q.covariance @ line.x.T)
    constant = len(line.y) * np.log(2 * np.pi * line.noise_std**2)
    return -(squares / line.noise_std**2 + constant) / 2 - kl(q, line.prior)


def kl(q: Normal, p: Normal) -> float:
    """KL(q || p) in nats."""
    ratio = np.linalg.solve(p.covariance, q.covariance)
    distance = (p.mean - q.mean) @ np.linalg.solve(p.covariance, p.mean - q.mean)
    return (np.trace(ratio) - len(q.mean) + distance - np.linalg.slogdet(ratio)[1]) / 2


def log_normal(x: np.ndarray, p: Normal) -> np.ndarray:
    """The log density of x [..., D] in nats [...]."""
    distance = np.sum((x - p.mean) * np.linalg.solve(p.covariance, (x - p.mean).T).T, -1)
    return -(distance + np.linalg.slogdet(2 * np.pi * p.covariance)[1]) / 2


def by_quadrature(humps: list[Normal], line: Line) -> tuple[float, float]:
    """ELBO and KL(q || posterior) of an even mixture q, by sums over a grid.

    Trapezoids of a smooth function that vanishes at the borders are exact to rounding.
    """
    means = np.stack([hump.mean for hump in humps])
    stds = np.sqrt(np.diag(humps[0].covariance))
    sides = [
        np.linspace(low, high, 401)
        for low, high in zip(means.min(0) - 9 * stds, means.max(0) + 9 * stds, strict=True)
    ]
    theta = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 2)
    cell = np.prod([side[1] - side[0] for side in sides])
    log_q = np.logaddexp(*(log_normal(theta, hump) for hump in humps)) - np.log(2)
    weights = np.exp(log_q) * cell
    errors = line.y - theta @ line.x.T
    log_likelihood = -np.sum(errors**2, -1) / (2 * line.noise_std**2)
    log_likelihood -= len(line.y) * np.log(2 * np.pi * line.noise_std**2) / 2
    elbo = weights @ (log_likelihood + log_normal(theta, line.prior) - log_q)
    return elbo, weights @ (log_q - log_normal(theta, posterior(line)))


def between(start: Normal, end: Normal, share: float) -> Normal:
    """The normal on the straight path of mean and covariance."""
    return Normal(*((1 - share) * a + share * b for a, b in zip(start, end, strict=True)))


def table(metrics: dict[str, float], settings: Settings) -> str:
    """The metrics as text."""
    return "\n".join(
        [
            f"Bayes' rule on tables: error {metrics['rule_error']:.1e}, sum off 1 by "
            f"{metrics['sum_error']:.1e}, {settings.observations} data one by one or at once "
            f"{metrics['update_error']:.1e}; theta not independent of x: error "
            f"{metrics['dependent_error']:.2f}",
            f"log evidence {metrics['log_evidence']:.4f} nats; ELBO + KL differs by at most "
            f"{metrics['identity_error']:.1e} for {settings.guesses} normal q, whose ELBO is at "
            f"least {metrics['least_gap']:.2f} too low, and by {metrics['posterior_gap']:.1e} for "
            "the posterior",
            f"two humps by quadrature: {metrics['two_humps_error']:.1e}, their KL "
            f"{metrics['two_humps_gap']:.3f}",
        ]
    )
