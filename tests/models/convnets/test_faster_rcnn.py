"""Faster R-CNN: its published count, and each step of it against loops in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jdl.functional import functional
from jdl.metrics.detection import mean_average_precision
from jdl.models.convnets.detection_losses import (
    SampledBoxes,
    box_losses,
    detection,
    sampled_boxes,
)
from jdl.models.convnets.faster_rcnn import WEIGHTS, Outputs, detected, faster_rcnn
from jdl.models.convnets.region_proposals import (
    Proposals,
    Regions,
    box_distance,
    proposed,
    region_losses,
)
from jdl.models.convnets.resnet import resnet
from jdl.nn.boxes import Objects, decoded
from jdl.train.descent import descent, gradient
from tests.models.convnets.abstract import abstract, output, random_variables
from tests.nn.test_convolution import quick
from tests.nn.test_nms import greedy, overlap

IMAGE = (64, 64)


class Stem(nnx.Module):
    """A backbone of one map, of stride 4."""

    def __init__(self, in_channels, dtypes, rngs):
        self.conv = nnx.Conv(in_channels, 3, (4, 4), 4, **dtypes, rngs=rngs)

    def features(self, images):
        return (jax.nn.relu(self.conv(images)),)


def stem(num_classes, in_channels, **dtypes):
    return functional(lambda rngs: Stem(in_channels, dtypes, rngs))


def tiny(backbone=stem, **options):
    sizes = {"num_maps": 1, "pyramid_dim": 4, "hidden_dim": 5, "anchor_sizes": (8, 16)}
    sizes |= {"anchor_ratios": (1.0,), "pool_size": 2, "num_proposals": 6}
    return faster_rcnn(backbone, 3, **sizes | options)


def corners(rng, *shape):
    low = rng.uniform(0, 40, [*shape, 2])
    return np.concatenate([low, low + rng.uniform(8, 24, [*shape, 2])], -1).astype(np.float32)


def drawn_objects(rng, images=2):
    valid = np.array([[True, True, False], [True, False, False]][:images])
    return Objects(corners(rng, images, 3), rng.integers(1, 3, [images, 3]).astype("i4"), valid)


@pytest.fixture(scope="module")
def published():
    return faster_rcnn(dtype=jnp.bfloat16)


def test_the_parts_have_torchvisions_counts(published):
    parts = abstract(published).params.items()
    counts = {name: sum(x.size for x in jax.tree.leaves(part)) for name, part in parts}
    assert counts == {
        "backbone": 23_508_032,
        "pyramid": 3_344_384,
        "region_head": 593_935,
        "box_head": 13_895_680,
        "predictor": 93_275 + 373_100,  # 91 classes, 364 offsets
    }
    # With the 53,120 of the normalisations frozen, the 41,755,286 of COCO_V1's num_params.
    assert sum(counts.values()) == 41_808_406 == 41_755_286 + 53_120


def test_shapes_of_a_pass_a_loss_and_detections_of_full_size(published):
    model, variables = published, abstract(published)
    images = jax.ShapeDtypeStruct([2, 800, 1216, 3], jnp.float32)
    objects = Objects(
        jax.ShapeDtypeStruct([2, 20, 4], jnp.float32),
        jax.ShapeDtypeStruct([2, 20], jnp.int32),
        jax.ShapeDtypeStruct([2, 20], bool),
    )
    outputs, _ = jax.eval_shape(model.apply, variables, images)
    places = [200 * 304, 100 * 152, 50 * 76, 25 * 38, 13 * 19]
    assert [x.shape for x in outputs.regions.objectness] == [(2, 3 * n) for n in places]
    assert outputs.logits.shape == (2, 1000, 91) and outputs.offsets.shape == (2, 1000, 91, 4)
    assert {x.dtype for x in jax.tree.leaves(outputs)} == {jnp.dtype("f4"), jnp.dtype(bool)}
    found = jax.eval_shape(functools.partial(detected, image_shape=(800, 1216)), outputs)
    assert found.boxes.shape == (2, 100, 4) and found.labels.shape == (2, 100)
    batch = images, objects
    loss, (buffers, info) = jax.eval_shape(detection(model), *variables, batch, jax.random.key(0))
    assert loss.shape == () and sorted(info) == ["boxes", "classes", "objectness", "regions"]
    assert jax.tree.map(jnp.shape, buffers) == jax.tree.map(jnp.shape, variables.buffers)


def regions_of(rng, images=2):
    numbers = [20, 9]
    return Regions(
        tuple(corners(rng, n) for n in numbers),
        tuple(rng.normal(size=[images, n]).astype("f4") for n in numbers),
        tuple(rng.normal(size=[images, n, 4]).astype("f4") * 0.2 for n in numbers),
    )


def test_proposals_are_decoded_clipped_and_suppressed_within_their_level():
    regions = regions_of(np.random.default_rng(0))
    options = {"before": 12, "after": 7, "iou_threshold": 0.3, "min_size": 5}
    found = quick(lambda r: proposed(r, (50, 48), **options), regions)
    for image in range(2):
        boxes, scores, levels = [], [], []
        for level, anchors in enumerate(regions.anchors):
            objectness = regions.objectness[level][image]
            for place in np.argsort(-objectness)[:12]:
                x0, y0, x1, y1 = anchors[place]
                a, b, c, d = regions.offsets[level][image, place]
                x, y = (x0 + x1) / 2 + a * (x1 - x0), (y0 + y1) / 2 + b * (y1 - y0)
                w, h = np.exp(c) * (x1 - x0) / 2, np.exp(d) * (y1 - y0) / 2
                box = np.clip([x - w, y - h, x + w, y + h], 0, [48, 50, 48, 50])
                boxes.append(box)
                scores.append(objectness[place])
                levels.append(level)
        wide = [min(b[2] - b[0], b[3] - b[1]) >= 5 for b in boxes]
        kept = greedy(boxes, scores, 0.3, levels, np.array(wide))[:7]
        number = len(kept)
        np.testing.assert_allclose(
            found.boxes[image, :number], np.array(boxes)[kept], rtol=1e-4, atol=1e-3
        )
        assert found.valid[image].tolist() == [True] * number + [False] * (7 - number)
        assert not found.boxes[image, number:].any()


def test_no_gradient_flows_through_proposals_and_boxes():
    regions = regions_of(np.random.default_rng(0), 1)
    model = tiny()
    variables = random_variables(model)
    pyramid = (jnp.ones([1, 4, 4, 4]), jnp.ones([1, 2, 2, 4]))

    def total(offsets, boxes):
        proposals = proposed(regions._replace(offsets=offsets), IMAGE, before=5, after=5)
        logits, offsets = model.apply(
            variables, pyramid, boxes, method="classify", image_shape=(16, 16)
        )[0]
        return proposals.boxes.sum() + logits.sum() + offsets.sum()

    boxes = jnp.array([[[1.0, 1.0, 9.0, 12.0]]])
    slopes = quick(jax.grad(total, (0, 1)), regions.offsets, boxes)
    assert not any(np.any(x) for x in jax.tree.leaves(slopes))


def smooth_l1(errors):
    errors = np.abs(errors)
    return np.where(errors < 1 / 9, errors**2 * 4.5, errors - 1 / 18).sum(-1)


def offsets_of(box, anchor):
    (x, y, u, v), (a, b, c, d) = box, anchor
    return np.array(
        [
            (x + u - a - c) / 2 / (c - a),
            (y + v - b - d) / 2 / (d - b),
            np.log((u - x) / (c - a)),
            np.log((v - y) / (d - b)),
        ]
    )


def test_the_losses_of_regions_are_their_formulas_where_all_are_drawn():
    rng = np.random.default_rng(0)
    regions, objects = regions_of(rng), drawn_objects(rng)
    options = {"high": 0.3, "low": 0.1, "sample_size": 99, "positive_fraction": 1.0}
    found = quick(
        lambda r, o, k: region_losses(r, o, k, **options), regions, objects, jax.random.key(0)
    )
    anchors = np.concatenate(regions.anchors)
    entropy, distance, number = 0, 0, 0
    for i in range(2):
        boxes = objects.boxes[i][objects.valid[i]]
        overlaps = np.array([[overlap(box, anchor) for anchor in anchors] for box in boxes])
        best = (overlaps == overlaps.max(1, keepdims=True)).any(0)
        for n, (anchor, values) in enumerate(zip(anchors, overlaps.T, strict=True)):
            logit = np.concatenate([x[i] for x in regions.objectness])[n]
            offsets = np.concatenate([x[i] for x in regions.offsets])[n]
            positive = values.max() >= 0.3 or best[n]
            if not positive and values.max() >= 0.1:
                continue
            number += 1
            entropy += np.log1p(np.exp(-logit if positive else logit))
            if positive:
                distance += smooth_l1(offsets - offsets_of(boxes[values.argmax()], anchor))
    assert 0 < distance and number < 58
    np.testing.assert_allclose(found, [entropy / number, distance / number], rtol=1e-4)


def test_the_second_stage_sees_true_boxes_and_offsets_lead_to_objects():
    rng = np.random.default_rng(1)
    objects = drawn_objects(rng)
    near = objects.boxes[:, [0, 0, 1]] + rng.normal(size=[2, 3, 4]).astype("f4")
    boxes = np.concatenate([near, np.zeros([2, 2, 4], "f4"), corners(rng, 2, 5)], axis=1)
    valid = np.ones([2, 10], bool)
    valid[:, 3:5] = False
    draw = functools.partial(sampled_boxes, size=16, positive_fraction=0.5)
    found = quick(draw, Proposals(boxes, valid), objects, jax.random.key(0))
    back = decoded(found.targets, found.boxes, WEIGHTS)
    for i, there in enumerate(objects.valid):
        rows = np.asarray(found.valid[i])
        assert rows.sum() == 8 + there.sum()  # padding of either kind is left out
        for row in np.flatnonzero(rows):
            values = [overlap(box, found.boxes[i, row]) for box in objects.boxes[i][there]]
            best = int(np.argmax(values))
            positive = values[best] >= 0.5
            assert found.labels[i, row] == (objects.labels[i, best] if positive else 0)
            if positive:
                np.testing.assert_allclose(back[i, row], objects.boxes[i, best], atol=1e-3)
        own = np.asarray(found.boxes[i])[rows]
        for box in objects.boxes[i][there]:
            assert (np.abs(own - box).max(1) == 0).any()


def test_the_losses_of_boxes_are_their_formulas():
    rng = np.random.default_rng(0)
    logits, offsets = rng.normal(size=[2, 4, 3]), rng.normal(size=[2, 4, 3, 4])
    labels, valid = np.array([[2, 0, 1, 0], [1, 0, 0, 0]]), np.ones([2, 4], bool)
    valid[:, 3] = False
    targets = rng.normal(size=[2, 4, 4]) * (labels > 0)[..., None]
    sampled = SampledBoxes(np.zeros([2, 4, 4]), labels, targets, valid)
    found = quick(box_losses, np.float32(logits), np.float32(offsets), sampled)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    entropy = -np.log(np.take_along_axis(chances, labels[..., None], -1))[..., 0][valid].sum() / 6
    places = [(0, 0, 2), (0, 2, 1), (1, 0, 1)]
    distance = sum(smooth_l1(offsets[i, s, c] - targets[i, s]) for i, s, c in places) / 6
    np.testing.assert_allclose(found, [entropy, distance], rtol=1e-4)
    nan = jnp.full(4, jnp.nan)
    assert (
        jax.grad(lambda x: box_distance(x, nan, jnp.array(False)))(jnp.ones(4)).tolist() == [0] * 4
    )


def test_detections_are_those_of_a_loop_over_classes():
    rng = np.random.default_rng(0)
    proposals = Proposals(corners(rng, 1, 12), np.array([[True] * 10 + [False] * 2]))
    logits = rng.normal(size=[1, 12, 4]).astype("f4")
    offsets = rng.normal(size=[1, 12, 4, 4]).astype("f4") * 0.3
    outputs = Outputs(None, proposals, logits, offsets)
    options = {"score_threshold": 0.15, "iou_threshold": 0.3, "max_detections": 30}
    found = quick(lambda o: detected(o, (60, 50), **options), outputs)
    chances = np.exp(logits[0]) / np.exp(logits[0]).sum(-1, keepdims=True)
    boxes, rows = np.clip(decoded(offsets[0], proposals.boxes[0][:, None], WEIGHTS), 0, None), []
    boxes = np.minimum(boxes, [50, 60, 50, 60])
    for label in (1, 2, 3):
        there = (chances[:, label] > 0.15) & proposals.valid[0]
        for k in greedy(boxes[:, label], chances[:, label], 0.3, np.zeros(12), there):
            rows.append((chances[k, label], label, *boxes[k, label]))
    rows = np.array(sorted(rows, reverse=True))
    assert found.valid[0].sum() == len(rows) < (chances[:10, 1:] > 0.15).sum()
    number = len(rows)
    np.testing.assert_allclose(found.scores[0, :number], rows[:, 0], rtol=1e-5)
    assert found.labels[0, :number].tolist() == rows[:, 1].tolist()
    np.testing.assert_allclose(found.boxes[0, :number], rows[:, 2:], rtol=1e-4, atol=1e-3)
    assert not found.boxes[0, number:].any() and not found.scores[0, number:].any()


def test_statistics_stay_where_they_are_frozen():
    body = functools.partial(resnet, (1,), bottleneck=False, widths=(2,))
    model, rng = tiny(body), np.random.default_rng(0)
    batch, same = (jnp.zeros([2, *IMAGE, 3]), drawn_objects(rng)), []

    def buffers(variables, frozen):
        objective = detection(model, frozen_statistics=frozen, num_proposals=6)
        _, (after, _) = objective(*variables, batch, jax.random.key(0))
        same.append(
            [x is y for x, y in zip(*map(jax.tree.leaves, (variables[1], after)), strict=True)]
        )
        return after

    for frozen in (True, False):
        jax.eval_shape(functools.partial(buffers, frozen=frozen), abstract(model))
    assert all(same[0]) and len(same[0]) > 4 and not any(same[1])


@pytest.mark.slow
def test_each_loss_moves_its_own_head():
    model = tiny()
    variables, rng = random_variables(model, 0.1), np.random.default_rng(0)
    objective = detection(model, num_proposals=6, num_anchors=8, num_boxes=6)
    batch = rng.normal(size=[2, *IMAGE, 3]).astype("f4"), drawn_objects(rng)

    def losses(params):
        info = objective(params, variables.buffers, batch, jax.random.key(0))[1][1]
        return info, info

    found, values = quick(jax.jacrev(losses, has_aux=True), variables.params)
    assert all(np.isfinite(x) and x > 0 for x in values.values())
    heads = {"objectness": "region_head", "regions": "region_head"}
    for name, slope in found.items():
        own = heads.get(name, "predictor")
        other = {"region_head": "predictor", "predictor": "region_head"}[own]
        assert np.any(slope["backbone"]["conv"]["kernel"])
        assert any(np.any(x) for x in jax.tree.leaves(slope[own]))
        assert not any(np.any(x) for x in jax.tree.leaves(slope[other]))


def test_images_of_other_sizes_are_refused():
    body = functools.partial(resnet, (1, 1), bottleneck=False, widths=(2, 4))
    model = tiny(body, num_maps=2, anchor_sizes=(8, 16, 32))
    assert output(model, 24, 40, 3).logits.shape == (2, 6, 3)
    with pytest.raises(ValueError, match="multiples of 8"):
        output(model, 24, 36, 3)
    with pytest.raises(ValueError, match="2 levels and sizes"):
        output(tiny(anchor_sizes=(8,)), 16, 16, 3)


def scenes(seed, number):
    """Images of squares (class 1) and discs (class 2) of random colours, up to three of them."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 0.1, [number, *IMAGE, 3])
    boxes, labels = np.zeros([number, 3, 4]), np.zeros([number, 3], np.int32)
    y, x = np.mgrid[: IMAGE[0], : IMAGE[1]] + 0.5
    for n in range(number):
        taken = np.zeros(IMAGE, bool)
        for g in range(rng.integers(1, 4)):
            side = rng.integers(10, 25)
            left, top = rng.integers(0, 64 - side, 2)
            place = np.s_[top : top + side, left : left + side]
            if taken[place].any():
                continue
            taken[place] = True
            labels[n, g] = rng.integers(1, 3)
            inside = np.zeros(IMAGE, bool)
            inside[place] = True
            if labels[n, g] == 2:
                inside &= np.hypot(x - left - side / 2, y - top - side / 2) < side / 2
            images[n][inside] += rng.uniform(0.5, 1, 3)
            boxes[n, g] = left, top, left + side, top + side
    return images.astype("f4"), Objects(boxes.astype("f4"), labels, labels > 0)


@pytest.mark.slow
def test_training_finds_squares_and_discs():
    body = functools.partial(resnet, (1, 1), bottleneck=False, widths=(16, 32))
    model = tiny(
        body,
        num_maps=2,
        pyramid_dim=16,
        hidden_dim=64,
        anchor_sizes=(12, 20, 32),
        pool_size=5,
        canonical_size=64,
        num_proposals=32,
    )
    objective = detection(
        model, num_proposals=32, num_anchors=64, num_boxes=32, positive_fraction=0.5
    )
    steps = 160
    rate = optax.cosine_decay_schedule(3e-3, steps)
    algorithm = descent(gradient(objective), optax.adam(rate))
    step = jax.jit(algorithm.step)
    (images, objects), seen = scenes(1, 64), scenes(0, 256)

    @jax.jit
    def found(variables):
        return detected(model.apply(variables, images)[0], IMAGE, max_detections=10)

    def score(variables):
        thresholds = {"iou_thresholds": (0.5, 0.75)}
        return mean_average_precision(found(variables), objects, 3, **thresholds).mean

    state, rng = algorithm.init(model.init(jax.random.key(0))), np.random.default_rng(0)
    before = score(state.variables)
    for key in jax.random.split(jax.random.key(1), steps):
        rows = rng.integers(0, 256, 16)
        state, info = step(state, jax.tree.map(lambda x, rows=rows: x[rows], seen), key)
    assert before < 0.05 and np.isfinite(info["loss"])
    assert score(state.variables) > 0.4  # 0.65 after 200 steps
