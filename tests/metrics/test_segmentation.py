"""Scores of segmentations against scikit-learn's."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn

from jdl.metrics import segmentation
from tests.conformance.case import quick

RNG = np.random.default_rng(0)
LABELS = RNG.choice([0, 1, 2, 255], size=[2, 6, 7], p=[0.5, 0.3, 0.1, 0.1])
PREDICTIONS = np.where(
    RNG.random(LABELS.shape) < 0.6, LABELS % 255, RNG.integers(0, 3, LABELS.shape)
)


def scores(predictions, labels, num_classes, **options):
    confusion = segmentation.pixel_confusion(predictions, labels, num_classes, **options)
    return {
        "confusion": confusion,
        "pixel": segmentation.pixel_accuracy(confusion),
        "accuracy": segmentation.mean_accuracy(confusion),
        "iou": segmentation.class_iou(confusion),
        "mean": segmentation.mean_iou(confusion),
        "weighted": segmentation.frequency_weighted_iou(confusion),
        "dice": segmentation.dice(confusion),
    }


def test_the_scores_are_those_of_scikit_learn_on_the_pixels_that_have_a_label():
    found = quick(lambda p, y: scores(p, y, 3))(PREDICTIONS, LABELS)
    known = LABELS != 255
    pair = LABELS[known], PREDICTIONS[known]
    expected = {
        "confusion": sklearn.confusion_matrix(*pair),
        "pixel": sklearn.accuracy_score(*pair),
        "accuracy": sklearn.balanced_accuracy_score(*pair),
        "iou": sklearn.jaccard_score(*pair, average=None),
        "mean": sklearn.jaccard_score(*pair, average="macro"),
        "weighted": sklearn.jaccard_score(*pair, average="weighted"),
        "dice": sklearn.f1_score(*pair, average=None),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


def test_means_leave_out_classes_that_are_not_there():
    found = quick(lambda p, y: scores(p, y, 5))(PREDICTIONS, LABELS)
    fewer = quick(lambda p, y: scores(p, y, 3))(PREDICTIONS, LABELS)
    for name in ("pixel", "accuracy", "mean", "weighted"):
        np.testing.assert_allclose(found[name], fewer[name], rtol=1e-6)
    np.testing.assert_array_equal(found["iou"][3:], [0, 0])


def test_a_class_that_is_predicted_but_does_not_occur_counts_in_the_mean_iou():
    found = scores(jnp.array([0, 0, 1]), jnp.array([0, 0, 0]), 2)
    np.testing.assert_allclose(found["mean"], (2 / 3 + 0) / 2)
    np.testing.assert_allclose(found["accuracy"], 2 / 3)


def test_the_label_to_ignore_may_be_a_class():
    found = scores(jnp.array([0, 1, 1]), jnp.array([0, 1, 0]), 2, ignore_label=0)
    np.testing.assert_array_equal(found["confusion"], [[0, 0], [0, 1]])


def test_nothing_labelled_scores_nothing():
    found = scores(jnp.array([0, 1]), jnp.array([255, 255]), 2)
    assert all((np.asarray(value) == 0).all() for value in found.values())


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        segmentation.pixel_confusion(jnp.zeros([2, 3]), jnp.zeros([3, 2]), 2)
    with pytest.raises(ValueError, match="argmax"):
        segmentation.pixel_confusion(jnp.zeros([2, 3]), jnp.zeros([2, 3], jnp.int32), 2)
