"""Average precision by hand, against scikit-learn, and against a slow evaluation with lists."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from jdl.metrics.detection import (
    COCO_THRESHOLDS,
    average_precision,
    matched_hits,
    mean_average_precision,
    precision_recall,
)
from jdl.nn.boxes import Detections, Objects

# Scores fall from left to right; four objects, three of them found.
HITS = np.array([True, False, True, False, False, True])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])


def test_a_curve_by_hand():
    order = [3, 1, 5, 0, 2, 4]
    curve = precision_recall(SCORES[order], HITS[order], 4)
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3, 1 / 2, 2 / 5, 1 / 2])
    np.testing.assert_allclose(curve.recall, [1 / 4, 1 / 4, 1 / 2, 1 / 2, 1 / 2, 3 / 4])
    np.testing.assert_array_equal(curve.scores, SCORES)


def test_average_precision_by_hand():
    curve = precision_recall(SCORES, HITS, 4)
    # Recall up to 1/4 at precision 1, to 1/2 at 2/3, to 3/4 at 1/2; 1 is not reached.
    assert average_precision(curve, None) == pytest.approx((1 + 2 / 3 + 1 / 2) / 4)
    # Recall 0, .1, .2 | .3, .4, .5 | .6, .7 | .8, .9, 1.
    assert average_precision(curve, 11) == pytest.approx((3 * 1 + 3 * 2 / 3 + 2 / 2) / 11)
    # 0 .. .25 are 26 points, .26 .. .50 and .51 .. .75 are 25 each.
    assert average_precision(curve) == pytest.approx((26 + 25 * 2 / 3 + 25 / 2) / 101)
    with pytest.raises(ValueError, match="11, 101"):
        average_precision(curve, 1)


def test_steps_that_already_fall_are_scikit_learns_area():
    # Without the maximum scikit-learn's area is smaller; here precision falls at each hit.
    hits = np.array([True, True, False, True, False, False, False, True, False])
    scores = np.linspace(0.9, 0.1, len(hits))
    curve = precision_recall(scores, hits, int(hits.sum()))
    assert average_precision(curve, None) == pytest.approx(average_precision_score(hits, scores))
    rising = precision_recall(SCORES, HITS, 3)
    assert average_precision(rising, None) == pytest.approx(average_precision_score(HITS, SCORES))


def test_nothing_to_find_is_nan_and_nothing_found_is_zero():
    assert np.isnan(average_precision(precision_recall(SCORES, HITS, 0)))
    assert average_precision(precision_recall(SCORES[:0], HITS[:0], 3)) == 0


def scene(seed, num_images=12, num_classes=4):
    """Objects, and detections that are objects moved a little, of a wrong class, or anywhere."""
    rng = np.random.default_rng(seed)

    def boxes(number):
        low = rng.uniform(0, 60, [num_images, number, 2])
        return np.concatenate([low, low + rng.uniform(15, 40, [num_images, number, 2])], axis=-1)

    true = boxes(6)
    objects = Objects(
        true.astype(np.float32),
        rng.integers(1, num_classes, [num_images, 6]),
        rng.random([num_images, 6]) < 0.8,
    )
    moved = np.concatenate([true, true], axis=1) + rng.normal(size=[num_images, 12, 4]) * 2
    found = np.concatenate([moved, boxes(8)], axis=1)
    labels = np.concatenate(
        [objects.labels] * 2 + [rng.integers(1, num_classes, [num_images, 8])], 1
    )
    wrong = rng.random(labels.shape) < 0.1
    labels = np.where(wrong, rng.integers(1, num_classes, labels.shape), labels)
    scores = rng.random(labels.shape).round(2)
    detections = Detections(
        found.astype(np.float32), scores, labels, rng.random(labels.shape) < 0.9
    )
    return detections, objects, rng.random([num_images, 6]) < 0.3


def overlap(a, b, crowd):
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(width, 0) * max(height, 0)
    own, other = np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])
    return shared / own if crowd else shared / (own + other - shared)


def slow(detections, objects, label, threshold, ignored, rule):
    """Hits of one class at one threshold, one by one: (score, hit) of those that count."""
    rows = []
    for i in range(len(objects.boxes)):
        left = {g for g in range(6) if objects.valid[i, g] and objects.labels[i, g] == label}
        all_ = set(left)
        own = np.flatnonzero(detections.valid[i] & (detections.labels[i] == label))
        for d in sorted(own, key=lambda d: -detections.scores[i, d]):
            values = {
                g: overlap(
                    detections.boxes[i, d],
                    objects.boxes[i, g],
                    rule == "coco" and ignored[i, g],
                )
                for g in all_
            }
            if rule == "voc":
                best = max(all_, key=lambda g: values[g], default=None)
                if best is None or values[best] < threshold:
                    rows.append((detections.scores[i, d], False))
                elif not ignored[i, best]:
                    rows.append((detections.scores[i, d], best in left))
                    left.discard(best)
                continue
            near = [g for g in all_ if values[g] >= threshold]
            real = [g for g in near if not ignored[i, g] and g in left]
            if real:
                left.discard(max(real, key=lambda g: values[g]))
            if real or not any(ignored[i, g] for g in near):
                rows.append((detections.scores[i, d], bool(real)))
    return rows


@pytest.mark.parametrize("rule", ["coco", "voc"])
def test_hits_are_those_of_a_slow_evaluation(rule):
    detections, objects, ignored = scene(0)
    thresholds = (0.5, 0.75)
    for label in (1, 2, 3):
        found = matched_hits(
            detections, objects, label, iou_thresholds=thresholds, rule=rule, ignored=ignored
        )
        wanted = objects.valid & (objects.labels == label) & ~ignored
        assert found.num_objects == wanted.sum() > 5
        for t, threshold in enumerate(thresholds):
            expected = slow(detections, objects, label, threshold, ignored, rule)
            kept = found.counted[t]
            rows = list(zip(found.scores[kept], found.hits[t][kept], strict=True))
            assert rows == expected
            assert 0 < found.hits[t].sum() < kept.sum() < len(kept)


def test_the_rules_differ_where_two_detections_want_one_object():
    objects = Objects(
        np.array([[[0.0, 0, 10, 10], [0, 0, 10, 7]]]), np.array([[1, 1]]), np.array([[True] * 2])
    )
    boxes = np.array([[[0.0, 0, 10, 10], [0, 0, 10, 9]]])
    detections = Detections(boxes, np.array([[0.9, 0.8]]), objects.labels, objects.valid)
    coco, voc = (
        matched_hits(detections, objects, 1, iou_thresholds=[0.5], rule=rule).hits[0].tolist()
        for rule in ("coco", "voc")
    )
    assert coco == [True, True] and voc == [True, False]


def test_the_mean_leaves_out_classes_that_do_not_occur():
    detections, objects, _ = scene(1)
    found = mean_average_precision(detections, objects, 6)
    assert found.average_precision.shape == (10, 5) and len(COCO_THRESHOLDS) == 10
    assert np.isnan(found.by_class[3:]).all() and (found.by_class[:3] > 0.1).all()
    assert found.mean == pytest.approx(found.by_class[:3].mean())
    assert found.mean == pytest.approx(found.by_threshold.mean())
    assert (np.diff(found.by_threshold) <= 0).all()  # a stricter overlap finds less
    perfect = Detections(objects.boxes, np.ones(objects.labels.shape), *objects[1:])
    assert mean_average_precision(perfect, objects, 4).mean == pytest.approx(1)
    few = mean_average_precision(detections, objects, 4, max_detections=1)
    assert few.mean < found.mean


def test_another_rule_and_other_images_are_refused():
    detections, objects, _ = scene(1)
    with pytest.raises(ValueError, match="got 'best'"):
        matched_hits(detections, objects, 1, rule="best")
    with pytest.raises(ValueError, match="3 and 12 images"):
        matched_hits(Detections(*(x[:3] for x in detections)), objects, 1)
