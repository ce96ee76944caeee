"""Mean average precision against pycocotools, with crowds and without."""

import contextlib
import io

import numpy as np
import pytest

from jdl.metrics.detection import mean_average_precision
from tests.metrics.test_detection import scene

pytestmark = pytest.mark.parity


def theirs(oracle, detections, objects, crowd):
    """precision [T, R, classes] of COCOeval."""
    coco, evaluation = oracle("pycocotools.coco"), oracle("pycocotools.cocoeval")

    def entry(image, box, label):
        x, y, u, v = map(float, box)
        size = [x, y, u - x, v - y]
        area = size[2] * size[3]
        return {"image_id": image, "category_id": int(label), "bbox": size, "area": area}

    truth, found = [], []
    for image, there in enumerate(objects.valid):
        for g in np.flatnonzero(there):
            row = entry(image, objects.boxes[image, g], objects.labels[image, g])
            truth.append(row | {"id": len(truth) + 1, "iscrowd": int(crowd[image, g])})
        for d in np.flatnonzero(detections.valid[image]):
            row = entry(image, detections.boxes[image, d], detections.labels[image, d])
            found.append(row | {"score": float(detections.scores[image, d])})
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            "images": [{"id": i} for i in range(len(objects.valid))],
            "annotations": truth,
            "categories": [{"id": i} for i in range(1, 4)],
        }
        data.createIndex()
        run = evaluation.COCOeval(data, data.loadRes(found), "bbox")
        run.evaluate()
        run.accumulate()
    return run.eval["precision"][..., 0, -1]


@pytest.mark.parametrize("crowds", [False, True])
def test_average_precision_is_that_of_pycocotools(oracle, crowds):
    for seed in range(3):
        detections, objects, crowd = scene(seed, 20)
        crowd &= crowds
        expected = theirs(oracle, detections, objects, crowd).mean(1)
        found = mean_average_precision(detections, objects, 4, ignored=crowd)
        np.testing.assert_allclose(found.average_precision, expected, atol=1e-9)
