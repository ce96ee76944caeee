"""How good the class of each pixel is: functions of the confusion matrix of the pixels.

With n[i, j] pixels of class i predicted as j, and t_i = sum_j n[i, j] of class i:

    pixel accuracy   sum_i n[i, i] / sum_i t_i
    mean accuracy    1 / C sum_i n[i, i] / t_i
    IoU of a class   n[i, i] / (t_i + sum_j n[j, i] - n[i, i])      intersection over union, Jaccard
    mean IoU         1 / C sum_i IoU_i
    weighted IoU     sum_i t_i IoU_i / sum_i t_i
    Dice             2 n[i, i] / (t_i + sum_j n[j, i]) = 2 IoU / (1 + IoU)             the F1 score

Matrices of images add up, and scores are taken of the sum, not averaged over images. Counts are
int32: past 2 thousand million pixels add them as NumPy's int64. A class that neither occurs nor is
predicted has an IoU of 0, and the means leave it out.

Source: Long, Shelhamer, Darrell 2015, section 5; Dice 1945; 001 (IoU); 004 problem 7.6, table 8.1.

Axes: B images, H rows, W columns, C classes.
"""

import jax
import jax.numpy as jnp

from jdl.metrics.classification import confusion_matrix, f1, recall, weighted_average


def pixel_confusion(
    predictions: jax.Array, labels: jax.Array, num_classes: int, ignore_label: int = 255
) -> jax.Array:
    """Counts the pixels of each true and each predicted class.

    Args:
        predictions: classes [B, H, W], or of any one shape, integers.
        labels: true classes, of the same shape.
        num_classes: C.
        ignore_label: pixels with this label count nowhere; it may lie in [0, C).

    Returns:
        The counts [C, C] int32, true classes down.

    Raises:
        ValueError: other shapes or types.

    Example:
        >>> labels = jnp.array([[0, 0, 1, 255]])
        >>> confusion = pixel_confusion(jnp.array([[0, 1, 1, 1]]), labels, 2)
        >>> confusion.tolist(), round(float(mean_iou(confusion)), 4)
        ([[1, 1], [0, 1]], 0.5)
    """
    if predictions.shape != labels.shape:
        raise ValueError(
            f"predictions and labels have one shape; got {list(predictions.shape)} and "
            f"{list(labels.shape)}. Take logits.argmax(-1) first"
        )
    labels = jnp.where(labels == ignore_label, -1, labels.astype(jnp.int32))
    return confusion_matrix(predictions.ravel(), labels.ravel(), num_classes)


def pixel_accuracy(confusion: jax.Array) -> jax.Array:
    """The fraction of right pixels: [C, C] -> []."""
    return jnp.trace(confusion) / jnp.maximum(confusion.sum(), 1)


def mean_accuracy(confusion: jax.Array) -> jax.Array:
    """The mean over the classes that occur of the fraction of their pixels found: [C, C] -> []."""
    return _mean(recall(confusion), confusion.sum(1) > 0)


def class_iou(confusion: jax.Array) -> jax.Array:
    """Intersection over union of each class: [C, C] -> [C]."""
    shared = dice(confusion)
    return shared / (2 - shared)


def mean_iou(confusion: jax.Array) -> jax.Array:
    """The mean of `class_iou` over the classes that occur or are predicted: [C, C] -> []."""
    return _mean(class_iou(confusion), confusion.sum(0) + confusion.sum(1) > 0)


def frequency_weighted_iou(confusion: jax.Array) -> jax.Array:
    """The mean of `class_iou`, weighted by the pixels of each class: [C, C] -> []."""
    return weighted_average(class_iou(confusion), confusion)


def dice(confusion: jax.Array) -> jax.Array:
    """The Dice coefficient of each class: [C, C] -> [C]."""
    return f1(confusion)


def _mean(scores, occurs):
    return jnp.where(occurs, scores, 0).sum() / jnp.maximum(occurs.sum(), 1)
