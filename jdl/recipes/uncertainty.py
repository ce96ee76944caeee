"""Scores, one table and pictures of classifiers that say how sure they are.

Each has been asked about four sets at once: a validation part, a test part, letters that it has
never seen, and test digits turned by equally spaced angles. Entropies are in nats.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl import metrics
from jdl.bayes.predictive import ClassPredictive
from jdl.metrics.calibration import (
    Reliability,
    expected_calibration_error,
    reliability,
    top_label,
)
from jdl.metrics.conformal import conformal_quantile, lac_scores
from jdl.metrics.ranking import auroc, fpr_at_tpr
from jdl.metrics.scoring import brier_score, negative_log_likelihood
from jdl.plot.calibration import entropy_histograms, reliability_diagram, roc_curves
from jdl.plot.images import image_grid
from jdl.plot.shift import probabilities_over_shift, scores_over_shift

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.99  # of the conformal sets: at 90 % most are of one class, or of none
MILD = 30  # degrees: the turned digits of the reliability diagrams
LETTERS = "ABCDEFGHIJ"
SHOWN = ("single", "dropout", "ensemble", "backprop")  # in pictures with a panel a method
COLUMNS = {
    "accuracy": ("accuracy", "{:.1%}"),
    "NLL": ("nll", "{:.3f}"),
    "ECE": ("ece", "{:.1%}"),
    "Brier": ("brier", "{:.3f}"),
    "H in": ("entropy_digits", "{:.2f}"),
    "H out": ("entropy_letters", "{:.2f}"),
    "MI in": ("information_digits", "{:.3f}"),
    "MI out": ("information_letters", "{:.3f}"),
    "AUROC": ("auroc", "{:.3f}"),
    "FPR95": ("fpr95", "{:.2f}"),
    "covered": ("coverage", "{:.1%}"),
    "set": ("set_size", "{:.2f}"),
    "train s": ("train_s", "{:.0f}"),
    "ask s": ("predict_s", "{:.1f}"),
}


class Probe(NamedTuple):
    """All images that the classifiers are asked about.

    Attributes:
        images: [N, 32, 32, 1] in [-1, 1].
        parts: where in them are "validation", "test", "letters" and "turned".
        labels: of each part; those of the letters count the letters.
        angles: degrees, [T]; the turned part has all digits at the first, then at the second ...
    """

    images: jax.Array
    parts: dict[str, slice]
    labels: dict[str, jax.Array]
    angles: np.ndarray


def probe_of(sets: Mapping[str, tuple[jax.Array, np.ndarray]], angles: np.ndarray) -> Probe:
    """The Probe of images and labels by part."""
    ends = np.cumsum([len(images) for images, _ in sets.values()])
    return Probe(
        jnp.concatenate([images for images, _ in sets.values()]),
        {
            n: slice(int(e) - len(s[1]), int(e))
            for (n, s), e in zip(sets.items(), ends, strict=True)
        },
        {name: jnp.asarray(labels) for name, (_, labels) in sets.items()},
        angles,
    )


def part(probe: Probe, found: ClassPredictive, name: str) -> ClassPredictive:
    """What was said about a part."""
    return jax.tree.map(lambda x: x[probe.parts[name]], found)


def worth(probe: Probe, found: ClassPredictive) -> dict[str, float]:
    """The scores of one classifier on the test part, and against the letters.

    Letters are positive for AUROC and FPR at 95 % TPR, their score is the entropy. The sets are
    those of split conformal prediction at 99 %.
    """
    test, odd = part(probe, found, "test"), part(probe, found, "letters")
    labels, p = probe.labels["test"], test.probabilities
    sets = conformal_sets(probe, found)
    scores = {
        "accuracy": metrics.accuracy(p.argmax(-1), labels),
        "nll": negative_log_likelihood(p, labels),
        "ece": expected_calibration_error(confidences(p, labels)),
        "brier": brier_score(p, labels),
        "entropy_digits": test.total.mean(),
        "entropy_letters": odd.total.mean(),
        "information_digits": test.epistemic.mean(),
        "information_letters": odd.epistemic.mean(),
        "auroc": auroc(*by_entropy(test, odd)),
        "fpr95": fpr_at_tpr(*by_entropy(test, odd)),
        "coverage": sets[jnp.arange(len(labels)), labels].mean(),
        "set_size": sets.sum(-1).mean(),
    }
    return {name: float(value) for name, value in scores.items()}


def by_entropy(inside: ClassPredictive, outside: ClassPredictive) -> tuple[jax.Array, jax.Array]:
    """Entropies of both, and which are of the second."""
    entropies = jnp.concatenate([inside.total, outside.total])
    return entropies, jnp.arange(len(entropies)) >= len(inside.total)


def conformal_sets(probe: Probe, found: ClassPredictive) -> jax.Array:
    """Which classes are in the set of each test image, bool [N, C]."""
    known, labels = part(probe, found, "validation").probabilities, probe.labels["validation"]
    scores = lac_scores(known)[jnp.arange(len(labels)), labels]
    return lac_scores(part(probe, found, "test").probabilities) <= conformal_quantile(scores, LEVEL)


def confidences(probabilities: jax.Array, labels: jax.Array) -> Reliability:
    """The reliability table of the likeliest classes."""
    return reliability(*top_label(probabilities, labels))


def table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """One row a method."""
    lines = ["method".ljust(12) + "".join(name.rjust(9) for name in COLUMNS)]
    for method, row in scores.items():
        cells = [form.format(row[key]).rjust(9) for key, form in COLUMNS.values()]
        lines.append(method.ljust(12) + "".join(cells))
    lines.append(
        "H entropy, MI mutual information, nats; in digits, out letters, told apart by entropy; "
        "covered, set: conformal at 99 %"
    )
    return "\n".join(lines)


def figures(probe: Probe, said: Mapping[str, ClassPredictive]) -> dict[str, "Figure"]:
    """All pictures by name."""
    mild = int((probe.angles <= MILD).sum()) * (len(probe.labels["turned"]) // len(probe.angles))
    tables = {
        name: confidences(
            part(probe, found, "turned").probabilities[:mild], probe.labels["turned"][:mild]
        )
        for name, found in said.items()
        if name in SHOWN
    }
    sets = {"digits": "test", "letters": "letters"}
    entropies = {
        name: {label: np.asarray(part(probe, found, p).total) for label, p in sets.items()}
        for name, found in said.items()
        if name in SHOWN
    }
    ranked = {
        name: by_entropy(part(probe, found, "test"), part(probe, found, "letters"))
        for name, found in said.items()
    }
    is_letter = np.asarray(next(iter(ranked.values()))[1])
    return {
        "reliability": reliability_diagram(tables, f"Test digits turned by 0 to {MILD} degrees"),
        "entropies": entropy_histograms(
            entropies, largest=float(np.log(10)), title="Entropy of what is said"
        ),
        "roc": roc_curves(
            {name: np.asarray(scores) for name, (scores, _) in ranked.items()},
            is_letter,
            "Letters among digits, by entropy",
        ),
        "shift": over_angles(probe, said),
        "turning": turning(probe, said),
        "strangest": strangest(probe, said["ensemble"]),
    }


def over_angles(probe: Probe, said: Mapping[str, ClassPredictive]) -> "Figure":
    """Draws four scores over the angle."""
    count = len(probe.labels["turned"]) // len(probe.angles)
    labels = probe.labels["turned"][:count]
    scores = {"accuracy": {}, "NLL [nats]": {}, "ECE": {}, "mean entropy [nats]": {}}
    for name, found in said.items():
        turned = part(probe, found, "turned")
        by_angle = turned.probabilities.reshape(len(probe.angles), count, -1)
        values = [
            [metrics.accuracy(p.argmax(-1), labels) for p in by_angle],
            [negative_log_likelihood(p, labels) for p in by_angle],
            [expected_calibration_error(confidences(p, labels)) for p in by_angle],
            turned.total.reshape(len(probe.angles), count).mean(1),
        ]
        for kind, numbers in zip(scores.values(), values, strict=True):
            kind[name] = np.asarray([float(x) for x in numbers])
    title = "Test digits turned: all methods err, and most are sure of it"
    return scores_over_shift(probe.angles, scores, shift="angle [degrees]", title=title)


def turning(probe: Probe, said: Mapping[str, ClassPredictive]) -> "Figure":
    """Draws the first 1, 3 and 6 of the test, turned, and what three methods make of them."""
    steps, labels = len(probe.angles), np.asarray(probe.labels["turned"])
    count = len(labels) // steps
    firsts = [np.flatnonzero(labels[:count] == digit)[:1] for digit in (1, 3, 6)]
    chosen = np.concatenate(firsts)

    def shaped(values):
        """By example, then by angle."""
        return np.moveaxis(np.asarray(values).reshape(steps, count, *values.shape[1:]), 0, 1)

    images = shaped(probe.images[probe.parts["turned"]])[chosen]
    probabilities = {
        name: shaped(part(probe, said[name], "turned").probabilities)[chosen]
        for name in ("single", "ensemble", "backprop")
    }
    return probabilities_over_shift(
        probe.angles,
        (images + 1) / 2,
        probabilities,
        [str(i) for i in range(10)],
        labels[chosen],
        shift="angle [degrees]",
        title="Probabilities of digits while a digit is turned (black: what it is)",
    )


def strangest(probe: Probe, found: ClassPredictive, columns: int = 10) -> "Figure":
    """Draws the most uncertain digits, the most and the least uncertain letters."""
    images, titles, colours = [], [], []
    for name, sign in [("test", -1), ("letters", -1), ("letters", 1)]:
        own, labels = part(probe, found, name), np.asarray(probe.labels[name])
        for i in np.argsort(sign * np.asarray(own.total), kind="stable")[:columns]:
            truth = LETTERS[labels[i]] if name == "letters" else str(labels[i])
            said = str(int(own.probabilities[i].argmax()))
            images.append(np.asarray(probe.images[probe.parts[name]][i]))
            titles.append(f"{truth}: {said}, {float(own.total[i]):.2f}")
            colours.append("#333333" if truth == said else "#D55E00")
    return image_grid(
        (np.stack(images) + 1) / 2,
        titles,
        colours=colours,
        rows=["most uncertain\ndigits", "most uncertain\nletters", "most certain\nletters"],
        columns=columns,
        title="Ensemble: what it is, what is said, entropy in nats",
        size=1.05,
    )
