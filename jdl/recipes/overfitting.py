"""How far a linear classifier overfits, by training examples and dimension (004, example 2.2.1).

Two round Gaussians, w'x + b of least squared error (and of least norm, where many have it), 10,000
training sets of each size at once by vmap. The test error is computed, not sampled. The classes of
the N examples come in turn, or are drawn; the book does not say which. The second panel is problem
2.1: the variance is half the squared distance of the means, and D is larger.

The book has at N = 2 a training error of about 10^-3.5 and a test error above 0.1, and a gap that
closes with N. Here, for seed 0, the test error at N = 2 is 0.147 with classes drawn, 0.012 with one
example of each; the training error is 0, for no rule of least squares misses one of two points: a
training error of 10^-3.5 is that of N = 6 or 7. At N = 100 they are 0.0021 and 0.0026, and the
least possible is 0.0023. What the book does not show: the worst N is D + 1, where the classifier
begins to be determined (0.13 or 0.23 at N = 3), so that two examples are better than three; in
problem 2.1 too, at N = 3, 11 and 31 for D = 2, 10 and 30. 16 s on two busy cores.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from jdl.plot.generalization import ErrorPanel, Errors, error_curves, lines_of_samples
from jdl.recipes.report import Report

CENTRES = ((-1.0, 1.0), (1.0, -1.0))
KINDS = ("classes in turn", "classes drawn")


@dataclass(frozen=True)
class Settings:
    """Of the recipe."""

    repeats: int = 10_000
    """Training sets of each size in the book's example."""
    examples: tuple[int, ...] = (2, 3, 4, 6, 8, 10, 14, 20, 30, 50, 100)
    """Sizes of its training sets."""
    std: float = 0.5
    """Of both classes in every direction."""
    lines: int = 60
    """Classifiers to draw for a size."""
    dimensions: tuple[int, ...] = (2, 10, 30)
    """Of the points of problem 2.1, whose variance is half the squared distance of the means."""
    many_examples: tuple[int, ...] = (
        *(2, 3, 4, 6, 8, 11, 14, 18, 23, 27, 31, 36, 45, 60, 100, 200),
    )
    """Sizes of the training sets of problem 2.1."""
    many_repeats: int = 300
    """Training sets of each size there."""


def run(settings: Settings, key: jax.Array) -> Report:
    """Trains all classifiers of a dimension at once."""
    centres = jnp.array(CENTRES)
    keys = jax.random.split(key, 2 + len(settings.dimensions))

    def study(key, centres, std, sizes, repeats, balanced):
        """Errors [2, sizes], training and test, and the classifiers [sizes, repeats, D + 1]."""

        def one(key, size):
            inputs, targets = sample(key, centres, std, max(sizes), balanced=balanced)
            line = least_squares(inputs, targets, size)
            said = extended(inputs) @ line
            seen = jnp.arange(max(sizes)) < size
            wrong = jnp.sum(seen * (jnp.sign(said) != targets)) / size
            return jnp.stack([wrong, exact_error(line, centres, std)]), line

        over_repeats = jax.vmap(one, (0, None))
        every = jax.jit(jax.vmap(over_repeats, (None, 0), 0))
        errors, lines = every(jax.random.split(key, repeats), jnp.array(sizes))
        return Errors(sizes, *np.asarray(errors.mean(1)).T), np.asarray(lines)

    of_kind = {
        name: study(k, centres, settings.std, settings.examples, settings.repeats, name == KINDS[0])
        for name, k in zip(KINDS, keys, strict=False)
    }
    example = {name: errors for name, (errors, _) in of_kind.items()}

    problem = {}
    for dimension, k in zip(settings.dimensions, keys[2:], strict=True):
        axis = jnp.eye(2, dimension)
        means = jnp.stack([axis[0], -axis[0]])  # 2 apart, so the variance is 2
        sizes, repeats = settings.many_examples, settings.many_repeats
        problem[f"D = {dimension}"] = study(k, means, 2**0.5, sizes, repeats, balanced=True)[0]

    least = float(norm.sf(jnp.linalg.norm(centres[0] - centres[1]) / 2 / settings.std))
    hard = float(norm.sf(1 / 2**0.5))
    metrics = numbers(settings, example, problem) | {"least_error": least, "least_error_2_1": hard}
    drawn = {
        f"N = {size}": of_kind[KINDS[0]][1][index, : settings.lines]
        for index, size in enumerate(settings.examples)
        if size in (settings.examples[0], 10, settings.examples[-1])
    }
    figures = {
        "lines": lines_of_samples(drawn, np.array(CENTRES), settings.std, np.array([-1.0, 1.0, 0])),
        "errors": error_curves(
            {
                "Example 2.2.1: D = 2": ErrorPanel(example, least),
                "Problem 2.1: means closer together": ErrorPanel(problem, hard, "linear"),
            }
        ),
    }
    return Report(metrics, figures, table(settings, example, metrics))


def sample(key: jax.Array, centres: jax.Array, std, size: int, *, balanced: bool):
    """Points [size, D] of two round Gaussians and their targets, 1 and -1."""
    key_label, key_noise = jax.random.split(key)
    drawn = jax.random.bernoulli(key_label, shape=[size]).astype(jnp.int32)
    labels = jnp.arange(size) % 2 if balanced else drawn
    noise = std * jax.random.normal(key_noise, [size, centres.shape[1]])
    return centres[labels] + noise, 1.0 - 2 * labels


def extended(inputs: jax.Array) -> jax.Array:
    """The points with a 1 at their end, for the bias."""
    return jnp.concatenate([inputs, jnp.ones([len(inputs), 1])], axis=1)


def least_squares(inputs: jax.Array, targets: jax.Array, size: jax.Array) -> jax.Array:
    """(w, b) of least squared error on the first `size` points, and of least norm if many are."""
    seen = (jnp.arange(len(inputs)) < size).astype(inputs.dtype)
    return jnp.linalg.lstsq(seen[:, None] * extended(inputs), seen * targets)[0]


def exact_error(line: jax.Array, centres: jax.Array, std) -> jax.Array:
    """The probability that sign(w'x + b) is wrong, over all points: no test set is drawn."""
    margins = jnp.array([1.0, -1.0]) * (centres @ line[:-1] + line[-1])
    return jnp.mean(norm.sf(margins / (std * jnp.linalg.norm(line[:-1]))))


def numbers(settings: Settings, example, problem) -> dict[str, float]:
    """The errors at the smallest and largest training set, and where problem 2.1 is worst."""
    metrics = {}
    for name, errors in example.items():
        kind = "in_turn" if name == KINDS[0] else "drawn"
        for index in (0, -1):
            size = settings.examples[index]
            metrics[f"training_error_{kind}_{size}"] = float(errors.training[index])
            metrics[f"test_error_{kind}_{size}"] = float(errors.test[index])
    for name, errors in problem.items():
        stem = name.replace(" = ", "_")
        metrics[f"test_error_{stem}"] = float(errors.test[-1])
        metrics[f"worst_size_{stem}"] = settings.many_examples[int(np.argmax(errors.test))]
    return metrics


def table(settings: Settings, example, metrics) -> str:
    """The errors of the book's example."""
    lines = ["N       " + "".join(f"{name + ':':>20s} training     test" for name in example)]
    for index, size in enumerate(settings.examples):
        row = f"{size:<8d}"
        for errors in example.values():
            row += f"{errors.training[index]:29.5f}{errors.test[index]:9.5f}"
        lines.append(row)
    return "\n".join(
        [
            *lines,
            f"least possible {metrics['least_error']:.5f}; "
            "the book: 10^-3.5 and above 0.1 at N = 2, closer with N",
        ]
    )
