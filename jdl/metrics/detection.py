"""How good the boxes are that a detector finds: precision over recall, and average precision.

By falling score each detection is a hit if it overlaps an object of its class, which no detection
before it has, by an IoU of at least a threshold; if not it is a false alarm:

    precision_k = hits of the first k / k        recall_k = hits of the first k / objects

    AP, points = n   mean over r = 0, 1/(n-1), .., 1 of max {precision_k : recall_k >= r}
    AP, all points   the area under that maximum, over recall

    PASCAL VOC until 2009    11 points, rule "voc", IoU 0.5
    PASCAL VOC from 2010     all points, rule "voc", IoU 0.5
    COCO                     101 points, rule "coco", mean over IoU 0.5, 0.55, .., 0.95

Average precision of a class, the mean over classes that occur (mAP), and over thresholds. In the
rule "coco" a detection takes, of the objects that are left, the one that it overlaps most; in "voc"
it takes the one that it overlaps most of all, and is a false alarm if that is gone. What is
`ignored` (difficult objects of VOC, crowds of COCO) is neither to be found nor wrong to find; a
crowd overlaps by the part of the detection that lies in it. 001 averages over recall levels and
classes and says no threshold: these are the definitions in use.

These are functions of the host, in NumPy: the number of detections of a class depends on the data.

Source: Everingham et al. 2010, section 4.2; Lin et al. 2014 and pycocotools' cocoeval.

Axes: N images, D detections, G objects, T thresholds, C classes with the background, class 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jdl.nn.boxes import Detections, Objects, area, intersection, iou

COCO_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
RULES = ("coco", "voc")


class PrecisionRecall(NamedTuple):
    """Precision and recall of the first k detections, k = 1 .. K.

    Attributes:
        precision: [K].
        recall: [K]; nan if there are no objects.
        scores: [K], falling: of the k-th.
    """

    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray


class Hits(NamedTuple):
    """The detections of one class in all images, at each threshold.

    Attributes:
        scores: [K].
        hits: [T, K] bool, whether it found an object.
        counted: [T, K] bool, False where it found what is ignored.
        num_objects: how many there are to be found.
    """

    scores: np.ndarray
    hits: np.ndarray
    counted: np.ndarray
    num_objects: int


class DetectionScores(NamedTuple):
    """Average precisions, and their means; nan where no object is of a class.

    Attributes:
        mean: mAP, over classes and thresholds.
        by_threshold: [T], over classes.
        by_class: [C - 1], over thresholds, of class 1 first.
        average_precision: [T, C - 1].
    """

    mean: float
    by_threshold: np.ndarray
    by_class: np.ndarray
    average_precision: np.ndarray


def precision_recall(scores: np.ndarray, hits: np.ndarray, num_objects: int) -> PrecisionRecall:
    """The curve of detections of one class.

    Args:
        scores: [K]; equal ones keep their order.
        hits: [K] bool.
        num_objects: how many there are to be found.

    Returns:
        A PrecisionRecall.

    Example:
        >>> curve = precision_recall(np.array([0.9, 0.5, 0.7]), np.array([True, True, False]), 4)
        >>> curve.recall.tolist(), curve.precision.round(2).tolist()
        ([0.25, 0.25, 0.5], [1.0, 0.5, 0.67])
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    found = np.cumsum(np.asarray(hits, bool)[order])
    recall = found / num_objects if num_objects else np.full(len(order), np.nan)
    return PrecisionRecall(found / (1 + np.arange(len(order))), recall, np.asarray(scores)[order])


def average_precision(curve: PrecisionRecall, points: int | None = 101) -> float:
    """The precision, made to fall with recall, averaged over recall from 0 to 1.

    Args:
        curve: of one class.
        points: at which it is read; None for the area itself.

    Returns:
        A number in [0, 1]; nan without objects, 0 without detections.

    Raises:
        ValueError: fewer than two points.
    """
    if points is not None and points < 2:
        raise ValueError(f"11, 101, or None for all points; got {points}")
    if np.isnan(curve.recall).any():
        return float("nan")
    best = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0.0)
    if points is None:
        return float(np.sum(np.diff(curve.recall, prepend=0.0) * best[:-1]))
    levels = np.linspace(0, 1, points)
    return float(best[np.searchsorted(curve.recall, levels, side="left")].mean())


def matched_hits(
    detections: Detections,
    objects: Objects,
    label: int,
    *,
    iou_thresholds: Sequence[float] = COCO_THRESHOLDS,
    rule: str = "coco",
    ignored: np.ndarray | None = None,
    max_detections: int = 100,
) -> Hits:
    """Which detections of one class are hits.

    Args:
        detections: [N, D].
        objects: [N, G].
        label: of the class.
        iou_thresholds: T of them.
        rule: "coco" or "voc".
        ignored: [N, G] bool, objects that need not be found.
        max_detections: of the class in an image; those of the largest scores count.

    Returns:
        Hits; images in their order, within each by falling score.

    Raises:
        ValueError: another rule, or other numbers of images.
    """
    prepared = _prepared(detections, objects, rule, ignored)
    return _hits(prepared, label, iou_thresholds, rule, max_detections)


def mean_average_precision(
    detections: Detections,
    objects: Objects,
    num_classes: int,
    *,
    iou_thresholds: Sequence[float] = COCO_THRESHOLDS,
    points: int | None = 101,
    rule: str = "coco",
    ignored: np.ndarray | None = None,
    max_detections: int = 100,
) -> DetectionScores:
    """The average precision of all classes at all thresholds, and its means.

    Args:
        detections: [N, D], of all images.
        objects: [N, G].
        num_classes: C, with the background.
        iou_thresholds: T of them; (0.5,) for VOC.
        points: of recall; 11 or None for VOC.
        rule: "coco" or "voc".
        ignored: [N, G] bool, objects that need not be found.
        max_detections: of a class in an image.

    Returns:
        DetectionScores; the defaults are COCO's AP.

    Example:
        >>> boxes = np.array([[[0.0, 0, 4, 4], [6, 6, 9, 9]]])
        >>> labels, there = np.array([[1, 2]]), np.array([[True, True]])
        >>> found = Detections(boxes, np.array([[0.9, 0.8]]), np.array([[1, 1]]), there)
        >>> mean_average_precision(found, Objects(boxes, labels, there), 3).by_class.tolist()
        [1.0, 0.0]
    """
    prepared = _prepared(detections, objects, rule, ignored)
    table = np.zeros([len(iou_thresholds), num_classes - 1])
    for label in range(1, num_classes):
        scores, hits, counted, number = _hits(prepared, label, iou_thresholds, rule, max_detections)
        for t, (hit, kept) in enumerate(zip(hits, counted, strict=True)):
            curve = precision_recall(scores[kept], hit[kept], number)
            table[t, label - 1] = average_precision(curve, points) if number else np.nan
    occur = ~np.isnan(table[0])
    means = [np.full(len(table), np.nan), np.nan]
    if occur.any():
        means = [table[:, occur].mean(1), float(table[:, occur].mean())]
    return DetectionScores(means[1], means[0], table.mean(0), table)


def _prepared(detections, objects, rule, ignored):
    """Of each image its detections, objects, which of these are ignored, and overlaps [D, G]."""
    detections, objects = jax.tree.map(np.asarray, (detections, objects))
    if rule not in RULES or len(detections.boxes) != len(objects.boxes):
        raise ValueError(
            f"rule is one of {RULES} and detections are of the images of the objects; got "
            f"{rule!r}, {len(detections.boxes)} and {len(objects.boxes)} images"
        )
    ignored = np.zeros(objects.valid.shape, bool) if ignored is None else np.asarray(ignored, bool)
    images = []
    for i, left_out in enumerate(ignored):
        own = jax.tree.map(lambda x, i=i: x[i], (detections, objects))
        crowd = left_out & (rule == "coco")
        images.append((*own, left_out, _overlaps(own[0].boxes, own[1].boxes, crowd)))
    return images


def _overlaps(boxes, objects, crowd):
    """IoU [D, G], or with a crowd the part of the detection that lies in it."""
    found = iou(boxes[:, None], objects[None])
    if not crowd.any():
        return np.asarray(found)
    part = intersection(boxes[:, None], objects[None])
    part /= np.maximum(area(boxes), np.finfo(np.float32).tiny)[:, None]
    return np.where(crowd[None], part, found)


def _hits(prepared, label, iou_thresholds, rule, max_detections):
    thresholds = np.asarray(iou_thresholds, np.float32)  # as the overlaps are
    match = {"coco": _take_best_left, "voc": _take_best}[rule]
    none = np.zeros([len(thresholds), 0], bool)
    found, number = [(np.zeros(0), none, none)], 0
    for detections, objects, ignored, overlaps in prepared:
        wanted = objects.valid & (objects.labels == label)
        number += int((wanted & ~ignored).sum())
        here = np.flatnonzero(detections.valid & (detections.labels == label))
        if len(here):
            order = np.argsort(-detections.scores[here], kind="stable")
            here = here[order][:max_detections]
            overlap = overlaps[here][:, wanted]
            found.append((detections.scores[here], *match(overlap, ignored[wanted], thresholds)))
    return Hits(*(np.concatenate(x, axis=-1) for x in zip(*found, strict=True)), number)


def _take_best_left(overlaps, ignored, thresholds):
    """Of the objects left the most overlapped, the last of equals; those ignored come last."""
    taken = np.zeros([len(thresholds), len(ignored)], bool)
    hits = np.zeros([len(thresholds), len(overlaps)], bool)
    counted = np.ones_like(hits)
    for k, overlap in enumerate(overlaps if len(ignored) else []):
        near = (overlap[None] >= thresholds[:, None]) & (~taken | ignored[None])
        left = near & ~ignored[None]
        hits[:, k] = left.any(1)
        counted[:, k] = hits[:, k] | ~near.any(1)
        best = len(ignored) - 1 - np.where(left, overlap[None], -1)[:, ::-1].argmax(1)
        taken[hits[:, k], best[hits[:, k]]] = True
    return hits, counted


def _take_best(overlaps, ignored, thresholds):
    """The object that is overlapped most of all, whether it is left or not."""
    taken = np.zeros([len(thresholds), len(ignored)], bool)
    hits = np.zeros([len(thresholds), len(overlaps)], bool)
    counted = np.ones_like(hits)
    for k, overlap in enumerate(overlaps if len(ignored) else []):
        best = overlap.argmax()
        enough = overlap[best] >= thresholds
        hits[:, k] = enough & ~taken[:, best] & ~ignored[best]
        counted[:, k] = ~(enough & ignored[best])
        taken[:, best] |= enough
    return hits, counted
