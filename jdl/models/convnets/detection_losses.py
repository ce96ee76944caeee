"""The loss of Faster R-CNN: both stages at once, each on boxes drawn at random.

    loss = objectness + regions + classes + boxes

    classes = mean over the boxes drawn of the cross-entropy of all classes
    boxes   = sum over those that are objects of smooth_l1(offsets - encoded) / number drawn

The second stage is trained on 512 of an image's proposals and true boxes, a quarter of them objects
at the most; an object is what overlaps a true box by an IoU of 0.5. The gradient takes the
proposals for constants ("approximate joint training").

Source: Ren, He, Girshick, Sun 2015, section 3.2; Girshick 2015, section 2.3, eq. 1 to 3; numbers
are torchvision's, whose smooth L1 has beta 1/9 in place of Girshick's 1.

Axes: B images, K proposals, G objects, S drawn, C classes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Key, Model, Objective, Variables
from jdl.models.convnets.faster_rcnn import WEIGHTS
from jdl.models.convnets.region_proposals import (
    Proposals,
    box_distance,
    proposed,
    region_losses,
)
from jdl.nn.box_matching import BACKGROUND, balanced_sample, matched
from jdl.nn.boxes import Objects, encoded, iou


class SampledBoxes(NamedTuple):
    """Boxes that the second stage is trained on.

    Attributes:
        boxes: [B, S, 4].
        labels: [B, S] int32, 0 the background.
        targets: offsets of the objects [B, S, 4], zeros for the background.
        valid: [B, S] bool, False for padding.
    """

    boxes: jax.Array
    labels: jax.Array
    targets: jax.Array
    valid: jax.Array


def detection(
    model: Model,
    *,
    frozen_statistics: bool = False,
    num_proposals: int = 2000,
    proposal_iou: float = 0.7,
    num_anchors: int = 256,
    num_boxes: int = 512,
    positive_fraction: float = 0.25,
) -> Objective:
    """The four losses of `faster_rcnn`, added.

    Args:
        model: as `faster_rcnn` makes it.
        frozen_statistics: batch normalisations use and keep their running averages, as is usual
            with a backbone that was trained before and few images a step; mask their scales and
            biases in the optimizer to freeze all of them.
        num_proposals: of an image, before the suppression (of each level) and after.
        proposal_iou: of the suppression.
        num_anchors: drawn of each image, for the first stage.
        num_boxes: S, drawn of each image for the second.
        positive_fraction: of S, that objects have at the most.

    Returns:
        An Objective of batches (images [B, H, W, 3], Objects [B, G]). Info: `objectness`,
        `regions`, `classes`, `boxes`, the losses.
    """

    def objective(params, buffers, batch, key):
        images, objects = batch
        image_shape = {"image_shape": images.shape[1:3]}
        key_features, key_anchors, key_boxes = jax.random.split(key, 3)
        variables, train = Variables(params, buffers), not frozen_statistics
        pyramid, buffers = model.apply(
            variables, images, key=key_features, train=train, method="features"
        )
        regions, _ = model.apply(variables, pyramid, method="regions", **image_shape)
        objectness, distance = region_losses(regions, objects, key_anchors, sample_size=num_anchors)
        number = num_proposals
        proposals = proposed(
            regions, images.shape[1:3], before=number, after=number, iou_threshold=proposal_iou
        )
        sampled = sampled_boxes(
            proposals, objects, key_boxes, size=num_boxes, positive_fraction=positive_fraction
        )
        (logits, offsets), _ = model.apply(
            variables, pyramid, sampled.boxes, method="classify", **image_shape
        )
        classes, boxes = box_losses(logits, offsets, sampled)
        info = {"objectness": objectness, "regions": distance, "classes": classes, "boxes": boxes}
        return sum(info.values()), (buffers, info)

    return objective


def sampled_boxes(
    proposals: Proposals,
    objects: Objects,
    key: Key,
    *,
    threshold: float = 0.5,
    size: int = 512,
    positive_fraction: float = 0.25,
) -> SampledBoxes:
    """Proposals and true boxes for a step of the second stage.

    Args:
        proposals: [B, K].
        objects: [B, G]; those that are padding are left out.
        key: of the draw.
        threshold: the least IoU with a true box of what is an object.
        size: S.
        positive_fraction: of S, that objects have at the most.

    Returns:
        SampledBoxes, objects first. No gradient flows through them.
    """

    def of_image(proposals, objects, key):
        boxes = jnp.concatenate([proposals.boxes, objects.boxes])
        valid = jnp.concatenate([proposals.valid, objects.valid])
        overlaps = iou(objects.boxes[:, None], boxes[None])
        matches = matched(overlaps, objects.valid, threshold, threshold)
        labels = jnp.where(matches == BACKGROUND, 0, objects.labels[jnp.maximum(matches, 0)])
        sample = balanced_sample(key, jnp.where(valid, labels, -1), size, positive_fraction)
        boxes, matches = boxes[sample.indices], matches[sample.indices]
        labels = jnp.where(sample.valid, labels[sample.indices], 0)
        targets = encoded(objects.boxes[jnp.maximum(matches, 0)], boxes, WEIGHTS)
        targets = jnp.where((labels > 0)[:, None], targets, 0.0)
        return SampledBoxes(boxes, labels.astype(jnp.int32), targets, sample.valid)

    keys = jax.random.split(key, len(proposals.boxes))
    return jax.lax.stop_gradient(jax.vmap(of_image)(proposals, objects, keys))


def box_losses(
    logits: jax.Array, offsets: jax.Array, sampled: SampledBoxes
) -> tuple[jax.Array, jax.Array]:
    """The two losses of the second stage.

    Args:
        logits: [B, S, C].
        offsets: [B, S, C, 4].
        sampled: the boxes that these are of.

    Returns:
        Of the classes [] and of the boxes [], over all images.
    """
    number = jnp.maximum(sampled.valid.sum(), 1)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, sampled.labels)
    own = jnp.take_along_axis(offsets, sampled.labels[..., None, None], axis=2)[..., 0, :]
    distance = box_distance(own, sampled.targets, sampled.valid & (sampled.labels > 0))
    return jnp.sum(entropy * sampled.valid) / number, distance.sum() / number
