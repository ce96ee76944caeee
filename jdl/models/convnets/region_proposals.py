"""The region proposal network: where there may be an object, from anchors at all places of maps.

    map [B, H, W, D] -> conv 3x3, D maps -> relu
                          -> objectness 1x1, A   one logit an anchor
                          -> offsets 1x1, 4 A    of the box from its anchor

One head serves all levels of a pyramid. The boxes proposed: of each level those of the largest
objectness, decoded, clipped to the image, non-maximum suppression within each level, and then the
largest of all levels. The loss of a step is of 256 anchors of each image, half of them objects at
the most, drawn at random:

    objectness = mean over all of the cross-entropy
    boxes      = sum over the objects of smooth_l1(offsets - encoded) / number of all

    smooth_l1(e) = e^2 / (2 beta) for |e| < beta = 1/9, else |e| - beta / 2, summed over the four

Source: Ren, He, Girshick, Sun 2015, section 3.1; Lin et al. 2017, section 4.1. Departs from the
former's equation 1, as torchvision and Detectron do: both terms are divided by the number drawn,
and lambda is 1. Parameters: D (9 D + 1) + 5 A (D + 1).

Axes: B images, D maps, A anchors at a place, N_l = H_l W_l A anchors of level l, K proposals, G
objects.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jdl.core import Key
from jdl.nn.anchors import anchors
from jdl.nn.box_matching import BACKGROUND, balanced_sample, matched
from jdl.nn.boxes import Objects, clipped, decoded, encoded, iou
from jdl.nn.nms import non_maximum_suppression

BETA = 1 / 9  # of the smooth L1 loss, in both stages


class Regions(NamedTuple):
    """What the head says of the anchors, an entry a level.

    Attributes:
        anchors: boxes [N_l, 4], in pixels.
        objectness: logits [B, N_l] float32.
        offsets: [B, N_l, 4] float32.
    """

    anchors: tuple[jax.Array, ...]
    objectness: tuple[jax.Array, ...]
    offsets: tuple[jax.Array, ...]


class Proposals(NamedTuple):
    """Boxes where there may be an object, by falling objectness.

    Attributes:
        boxes: [B, K, 4], in pixels; zeros where padded.
        valid: [B, K] bool, False for padding.
    """

    boxes: jax.Array
    valid: jax.Array


class RegionHead(nnx.Module):
    """The head of the network.

    Args:
        features: D.
        sizes: of the anchors of each level, square roots of areas in pixels.
        ratios: of their height to width; A is their number.
        dtype: of the computation.
        param_dtype: of the params.
        rngs: of the params.
    """

    def __init__(
        self,
        features: int,
        sizes: Sequence[float] = (32, 64, 128, 256, 512),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        *,
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        conv = functools.partial(
            nnx.Conv,
            kernel_init=nnx.initializers.normal(0.01),
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.sizes, self.ratios = tuple(sizes), tuple(ratios)
        self.conv = conv(features, features, (3, 3), padding=1)
        self.objectness = conv(features, len(ratios), (1, 1))
        self.offsets = conv(features, 4 * len(ratios), (1, 1))

    def __call__(self, pyramid: Sequence[jax.Array], image_shape: Sequence[int]) -> Regions:
        """Maps [B, H_l, W_l, D] of images of this shape -> Regions."""
        if len(pyramid) != len(self.sizes):
            raise ValueError(
                f"each level has anchors of one size; got {len(pyramid)} levels and sizes "
                f"{self.sizes}"
            )
        hidden = [jax.nn.relu(self.conv(maps)) for maps in pyramid]
        levels = zip(pyramid, self.sizes, strict=True)
        boxes = [anchors(image_shape, x.shape[1:3], [size], self.ratios) for x, size in levels]
        objectness = [self.objectness(x).reshape(len(x), -1) for x in hidden]
        offsets = [self.offsets(x).reshape(len(x), -1, 4) for x in hidden]
        full = jax.tree.map(lambda x: x.astype(jnp.float32), (boxes, objectness, offsets))
        return Regions(*map(tuple, full))


def proposed(
    regions: Regions,
    image_shape: Sequence[int],
    *,
    before: int = 1000,
    after: int = 1000,
    iou_threshold: float = 0.7,
    min_size: float = 1e-3,
) -> Proposals:
    """The boxes of the largest objectness that do not overlap too much.

    Args:
        regions: what the head says.
        image_shape: rows and columns of the images.
        before: boxes of each level that go into the suppression; 2000 in training.
        after: boxes of an image that come out of it; 2000 in training.
        iou_threshold: of the suppression.
        min_size: pixels that a side must have.

    Returns:
        Proposals, K = `after` or all anchors if they are fewer. No gradient flows through them.
    """
    regions = jax.lax.stop_gradient(regions)

    def of_image(objectness, offsets):
        scores, boxes, levels = [], [], []
        for level, around in enumerate(regions.anchors):
            best, places = jax.lax.top_k(objectness[level], min(before, len(around)))
            scores.append(best)
            boxes.append(decoded(offsets[level][places], around[places]))
            levels.append(jnp.full(places.shape, level))
        scores, boxes, levels = map(jnp.concatenate, (scores, boxes, levels))
        boxes = clipped(boxes, image_shape)
        picks = non_maximum_suppression(
            boxes,
            scores,
            min(after, len(scores)),
            iou_threshold,
            groups=levels,
            valid=wider(boxes, min_size),
        )
        boxes = jnp.where(picks.valid[:, None], boxes[picks.indices], 0.0)
        return Proposals(boxes, picks.valid)

    return jax.vmap(of_image)(regions.objectness, regions.offsets)


def region_losses(
    regions: Regions,
    objects: Objects,
    key: Key,
    *,
    high: float = 0.7,
    low: float = 0.3,
    sample_size: int = 256,
    positive_fraction: float = 0.5,
) -> tuple[jax.Array, jax.Array]:
    """The two losses of the network.

    Args:
        regions: what the head says.
        objects: of the images, [B, G].
        key: of the draw of anchors.
        high: the least IoU with an object of an anchor that is one.
        low: the IoU below which it is background.
        sample_size: anchors of an image that the losses see.
        positive_fraction: of these, that objects have at the most.

    Returns:
        Of the objectness [] and of the boxes [], over all images.
    """
    around = jnp.concatenate(regions.anchors)

    def of_image(objectness, offsets, objects, key):
        overlaps = iou(objects.boxes[:, None], around[None])
        matches = matched(overlaps, objects.valid, high, low, low_quality=True)
        labels = jnp.where(matches >= 0, 1, jnp.where(matches == BACKGROUND, 0, -1))
        sample = balanced_sample(key, labels, sample_size, positive_fraction)
        positive = sample.valid & (labels[sample.indices] > 0)
        boxes = objects.boxes[jnp.maximum(matches[sample.indices], 0)]
        entropy = optax.sigmoid_binary_cross_entropy(objectness[sample.indices], positive)
        distance = box_distance(
            offsets[sample.indices], encoded(boxes, around[sample.indices]), positive
        )
        return jnp.sum(entropy * sample.valid), jnp.sum(distance), jnp.sum(sample.valid)

    objectness, offsets = (
        jnp.concatenate(x, axis=1) for x in (regions.objectness, regions.offsets)
    )
    keys = jax.random.split(key, len(offsets))
    entropy, distance, number = jax.vmap(of_image)(objectness, offsets, objects, keys)
    number = jnp.maximum(number.sum(), 1)
    return entropy.sum() / number, distance.sum() / number


def box_distance(offsets: jax.Array, targets: jax.Array, wanted: jax.Array) -> jax.Array:
    """Smooth L1 of offsets [..., 4] and targets [..., 4], 0 where not wanted: [...]."""
    targets = jnp.where(wanted[..., None], targets, 0.0)
    distance = optax.huber_loss(offsets, targets, delta=BETA).sum(-1) / BETA
    return jnp.where(wanted, distance, 0.0)


def wider(boxes: jax.Array, size: float) -> jax.Array:
    """Whether both sides of boxes [..., 4] have this length: [...] bool."""
    return (boxes[..., 2:] - boxes[..., :2] >= size).all(-1)
