"""How good predicted classes are.

Everything but `accuracy` and `top_k_accuracy` is a function of the confusion matrix, whose row is
the true class and whose column is the predicted one:

    n[i, j] = number of examples of class i predicted as j

Matrices of batches add up to that of the whole. With true positives TP = n[i, i], false negatives
FN = sum_j n[i, j] - TP, false positives FP = sum_j n[j, i] - TP, and TN the rest:

    precision   TP / (TP + FP)        recall        TP / (TP + FN)
    F1          2 TP / (2 TP + FP + FN)     specificity   TN / (TN + FP)

A ratio 0 / 0 is 0, as in scikit-learn: the precision of a class that is never predicted, the recall
of a class that never occurs. The mean of the scores of all classes is the macro average.

Source: 001 "Evaluation metrics", whose 2 x 2 matrix has the positive class first.

Axes: N examples, C classes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


def accuracy(predictions: jax.Array, labels: jax.Array) -> jax.Array:
    """The fraction of right predictions.

    Args:
        predictions: classes [N], integers.
        labels: true classes [N], integers.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: other shapes or types; take the argmax of logits first.
    """
    _check(predictions, labels)
    return jnp.mean(predictions == labels)


def top_k_accuracy(logits: jax.Array, labels: jax.Array, k: int = 5) -> jax.Array:
    """The fraction of examples whose true class is among the k of the largest logits.

    Among equal logits the smaller class is taken first.

    Args:
        logits: [N, C], or probabilities.
        labels: true classes [N], integers.
        k: how many classes may be named.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: other shapes, or k outside 1 to C.
    """
    if logits.ndim != 2 or logits.shape[:1] != labels.shape or not 1 <= k <= logits.shape[1]:
        raise ValueError(
            f"top_k_accuracy takes logits [N, C], labels [N] and k in 1 .. C; "
            f"got {list(logits.shape)}, {list(labels.shape)} and k={k}"
        )
    _, classes = jax.lax.top_k(logits, k)
    return jnp.mean((classes == labels[:, None]).any(-1))


def confusion_matrix(predictions: jax.Array, labels: jax.Array, num_classes: int) -> jax.Array:
    """Counts the examples of each true and each predicted class.

    Args:
        predictions: classes [N], integers in [0, C).
        labels: true classes [N], integers in [0, C).
        num_classes: C.

    Returns:
        The counts [C, C] int32, true classes down, predicted classes across. Examples with a class
        outside [0, C) count nowhere.

    Raises:
        ValueError: other shapes or types.

    Example:
        >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    _check(predictions, labels)
    true, predicted = (
        jax.nn.one_hot(x, num_classes, dtype=jnp.int32) for x in (labels, predictions)
    )
    return true.T @ predicted


def precision(confusion: jax.Array) -> jax.Array:
    """Of the examples predicted as a class, the fraction that is: [C, C] -> [C]."""
    return _ratio(jnp.diagonal(confusion), confusion.sum(0))


def recall(confusion: jax.Array) -> jax.Array:
    """Of the examples of a class, the fraction found, also called sensitivity: [C, C] -> [C]."""
    return _ratio(jnp.diagonal(confusion), confusion.sum(1))


def specificity(confusion: jax.Array) -> jax.Array:
    """Of the examples of other classes, the fraction not predicted as this one: [C, C] -> [C]."""
    others = confusion.sum() - confusion.sum(1)
    return _ratio(others - (confusion.sum(0) - jnp.diagonal(confusion)), others)


def f1(confusion: jax.Array) -> jax.Array:
    """The harmonic mean of precision and recall: [C, C] -> [C]."""
    return _ratio(2 * jnp.diagonal(confusion), confusion.sum(0) + confusion.sum(1))


def weighted_average(scores: jax.Array, confusion: jax.Array) -> jax.Array:
    """The mean of scores [C] of classes, weighted by the examples of each in `confusion`."""
    support = confusion.sum(1)
    return _ratio((scores * support).sum(), support.sum())


class ClassificationReport(NamedTuple):
    """The scores of each class; `print` shows a table as scikit-learn's.

    Attributes:
        confusion: counts [C, C], true classes down.
        names: of the classes.
    """

    confusion: jax.Array
    names: tuple[str, ...]

    def __str__(self) -> str:
        """The table: a row a class, then accuracy, macro and weighted averages."""
        support = self.confusion.sum(1)
        scores = jnp.stack([score(self.confusion) for score in (precision, recall, f1)], -1)
        weighted = _ratio((scores * support[:, None]).sum(0), support.sum())
        right = _ratio(jnp.trace(self.confusion), support.sum())
        width = max(len("weighted avg"), *map(len, self.names))

        def row(name, values, count):
            cells = "".join(f" {value:>9}" for value in values)
            return f"{name:>{width}} {cells} {int(count):>9}"

        def number(x):
            return f"{x:.3f}"

        return "\n".join(
            [
                f"{'':>{width}}  precision    recall  f1-score   support",
                "",
                *(
                    row(name, map(number, values), count)
                    for name, values, count in zip(self.names, scores, support, strict=True)
                ),
                "",
                row("accuracy", ["", "", number(right)], support.sum()),
                row("macro avg", map(number, scores.mean(0)), support.sum()),
                row("weighted avg", map(number, weighted), support.sum()),
            ]
        )


def classification_report(
    predictions: jax.Array, labels: jax.Array, names: tuple[str, ...]
) -> ClassificationReport:
    """Precision, recall, F1 and number of examples of each class.

    Args:
        predictions: classes [N], integers.
        labels: true classes [N], integers.
        names: of the C classes.

    Returns:
        A report whose `str` is a table.

    Raises:
        ValueError: other shapes or types.

    Example:
        >>> predictions, labels = jnp.array([0, 1, 1]), jnp.array([0, 0, 1])
        >>> report = classification_report(predictions, labels, ("no", "yes"))
        >>> print(str(report).splitlines()[2].strip())
        no      1.000     0.500     0.667         2
    """
    return ClassificationReport(confusion_matrix(predictions, labels, len(names)), tuple(names))


def _ratio(part, whole):
    return jnp.where(whole == 0, 0.0, part / jnp.where(whole == 0, 1, whole))


def _check(predictions, labels):
    shapes = [list(predictions.shape), list(labels.shape)]
    integers = all(jnp.issubdtype(x.dtype, jnp.integer) for x in (predictions, labels))
    if predictions.ndim != 1 or shapes[0] != shapes[1] or not integers:
        raise ValueError(
            "predictions and labels are integer classes [N]; got "
            f"{shapes[0]} {predictions.dtype} and {shapes[1]} {labels.dtype}. "
            "Take logits.argmax(-1) first"
        )
