"""Faster R-CNN: boxes are proposed, their maps cut out, and each is classified and moved.

    images [B, H, W, 3]
      -> backbone (ResNet-50)     maps of strides 4, 8, 16, 32
      -> feature pyramid          P2 .. P5, P6 of 256 maps
      -> region head              objectness and offsets of 3 anchors at each place of P2 .. P6
      -> proposals                1000 boxes an image [B, K, 4]
      -> RoIAlign of P2 .. P5     [B, K, 7, 7, 256]
      -> box head                 12544 -> 1024 -> 1024
      -> predictor                K logits of classes and background; 4 offsets for each class

Any network whose `method="features"` gives maps of halving size may be the backbone. Weights of one
trained alone are put in by `variables.params | {"backbone": weights}`, its buffers likewise. A loss
is `detection(model)` of `jdl.models.convnets.detection_losses`; boxes found are
`detected(outputs, image_shape)`.

Images of a batch have one size, a multiple of the coarsest stride (32). To resize so that the
shorter side has 800 pixels and to pad below and to the right is the data pipeline's, as is the
normalisation.

Source: Ren, He, Girshick, Sun 2015; Lin et al. 2017, section 4 (pyramid, two layers of 1024);
He et al. 2017 (RoIAlign). Numbers are those of torchvision's fasterrcnn_resnet50_fpn: 41,808,406
parameters with 91 classes of COCO. Its first dense layer, fc6, reads maps flattened [D, 7, 7], here
[7, 7, D]. Departs from torchvision in the first weights of the predictor, those of Girshick 2015,
section 2.3 (deviations 0.01 and 0.001).

Axes: B images, D maps, K proposals, C classes with the background, which is class 0.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jdl.core import Model, Variables
from jdl.functional import functional
from jdl.models.convnets.region_proposals import (
    Proposals,
    RegionHead,
    Regions,
    proposed,
    wider,
)
from jdl.models.convnets.resnet import resnet50
from jdl.nn.boxes import Detections, clipped, decoded
from jdl.nn.feature_pyramid import FeaturePyramid
from jdl.nn.nms import non_maximum_suppression
from jdl.nn.roi_align import pyramid_levels, pyramid_roi_align

WEIGHTS = (10.0, 5.0)  # of the offsets of the second stage


class Outputs(NamedTuple):
    """What the network says of images.

    Attributes:
        regions: of the first stage.
        proposals: K boxes of each image.
        logits: of their classes [B, K, C] float32, 0 the background.
        offsets: from them, for each class [B, K, C, 4] float32.
    """

    regions: Regions
    proposals: Proposals
    logits: jax.Array
    offsets: jax.Array


def faster_rcnn(
    backbone: Callable[..., Model] = resnet50,
    num_classes: int = 91,
    *,
    in_channels: int = 3,
    num_maps: int = 4,
    pyramid_dim: int = 256,
    hidden_dim: int = 1024,
    anchor_sizes: Sequence[float] = (32, 64, 128, 256, 512),
    anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
    pool_size: int = 7,
    canonical_size: float = 224.0,
    num_proposals: int = 1000,
    dtype=None,
    param_dtype=jnp.float32,
) -> Model:
    """A detector of two stages.

    Args:
        backbone: backbone(num_classes=None, in_channels=..., dtype=..., param_dtype=...), a factory
            of networks with `features`.
        num_classes: C, with the background.
        in_channels: of the images.
        num_maps: of the last maps of the backbone that the pyramid has; the first of these is taken
            to have stride 4.
        pyramid_dim: D.
        hidden_dim: of the two dense layers.
        anchor_sizes: of each level, one more than maps.
        anchor_ratios: height to width of the anchors.
        pool_size: rows and columns that a box is resampled to.
        canonical_size: pixels of a box that reads P4; 224.
        num_proposals: K of a pass, before and after the suppression.
        dtype: of the computation; scores and boxes are of float32.
        param_dtype: of the params.

    Returns:
        A Model: images [B, H, W, in_channels] -> Outputs. Its methods: "features", images -> the
        pyramid; "regions", pyramid (and image_shape=(H, W)) -> Regions; "classify", pyramid and
        boxes [B, K, 4] (and image_shape) -> logits [B, K, C], offsets [B, K, C, 4].

    Raises:
        ValueError: from `apply`, images whose size is no multiple of the coarsest map's stride.

    Example:
        >>> model = faster_rcnn()
        >>> variables = jax.eval_shape(model.init, jax.random.key(0))
        >>> sum(x.size for x in jax.tree.leaves(variables.params))
        41808406
    """
    dtypes = {"dtype": dtype, "param_dtype": param_dtype}
    body = backbone(num_classes=None, in_channels=in_channels, **dtypes)
    images = jax.ShapeDtypeStruct([1, 64, 64, in_channels], jnp.float32)
    maps = jax.eval_shape(lambda x: _maps(body, body.init(jax.random.key(0)), x)[0], images)
    channels = [x.shape[-1] for x in maps[-num_maps:]]
    heads = functional(
        lambda rngs: DetectionHeads(
            channels,
            (pyramid_dim, hidden_dim, num_classes),
            (anchor_sizes, anchor_ratios, num_proposals),
            (pool_size, canonical_size),
            dtypes | {"rngs": rngs},
        )
    )

    def init(key):
        key_body, key_heads = jax.random.split(key)
        own, others = body.init(key_body), heads.init(key_heads)
        return Variables({"backbone": own.params, **others.params}, {"backbone": own.buffers})

    def apply(variables, inputs, *more, key=None, train=False, method="__call__", **options):
        params = dict(variables.params)
        own, buffers = Variables(params.pop("backbone"), variables.buffers["backbone"]), None
        rest = Variables(params, {})
        if method in ("__call__", "features"):
            options = options if method == "features" else {"image_shape": inputs.shape[1:3]}
            maps, buffers = _maps(body, own, inputs, key=key, train=train)
            _check_size(inputs, maps[-num_maps:])
            inputs, _ = heads.apply(rest, maps[-num_maps:], method="features")
        outputs = inputs
        if method != "features":
            outputs, _ = heads.apply(rest, inputs, *more, method=method, **options)
        buffers = variables.buffers if buffers is None else {"backbone": buffers}
        return outputs, buffers

    return Model(init, apply)


class DetectionHeads(nnx.Module):
    """All of the network of `faster_rcnn` behind its backbone."""

    def __init__(self, channels, widths, regions, pooling, made):
        features, hidden_dim, num_classes = widths
        sizes, ratios, self.num_proposals = regions
        self.pool_size, self.canonical_size = pooling
        self.pyramid = FeaturePyramid(channels, features, **made)
        self.region_head = RegionHead(features, sizes, ratios, **made)
        self.box_head = BoxHead(features * self.pool_size**2, hidden_dim, **made)
        self.predictor = Predictor(hidden_dim, num_classes, **made)

    def features(self, maps: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
        """The maps of the backbone -> the pyramid."""
        return self.pyramid(maps)

    def regions(self, pyramid: Sequence[jax.Array], image_shape: Sequence[int]) -> Regions:
        """The pyramid -> what is said of the anchors."""
        return self.region_head(pyramid, image_shape)

    def classify(
        self, pyramid: Sequence[jax.Array], boxes: jax.Array, image_shape: Sequence[int]
    ) -> tuple[jax.Array, jax.Array]:
        """The pyramid and boxes [B, K, 4] -> logits [B, K, C] and offsets [B, K, C, 4]."""
        pyramid = pyramid[:-1]  # the pooled level is of the proposals alone
        scales = [maps.shape[1] / image_shape[0] for maps in pyramid]
        levels = pyramid_levels(boxes, len(pyramid), canonical_size=self.canonical_size)
        pool = functools.partial(pyramid_roi_align, output_size=self.pool_size, scales=scales)
        cut = jax.vmap(pool)(pyramid, jax.lax.stop_gradient(boxes), levels)
        return self.predictor(self.box_head(cut.reshape(*boxes.shape[:2], -1)))

    def __call__(self, pyramid: Sequence[jax.Array], image_shape: Sequence[int]) -> Outputs:
        """The pyramid -> both stages."""
        regions = self.regions(pyramid, image_shape)
        number = self.num_proposals
        proposals = proposed(regions, image_shape, before=number, after=number)
        return Outputs(regions, proposals, *self.classify(pyramid, proposals.boxes, image_shape))


class BoxHead(nnx.Module):
    """Two dense layers, each with a rectifier."""

    def __init__(self, in_features, hidden_dim, *, rngs, **dtypes):
        self.fc6 = nnx.Linear(in_features, hidden_dim, **dtypes, rngs=rngs)
        self.fc7 = nnx.Linear(hidden_dim, hidden_dim, **dtypes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, K, S S D] -> [B, K, hidden_dim]."""
        return jax.nn.relu(self.fc7(jax.nn.relu(self.fc6(x))))


class Predictor(nnx.Module):
    """The classes of a box, and its offsets were it of each of them."""

    def __init__(self, in_features, num_classes, *, rngs, **dtypes):
        linear = functools.partial(nnx.Linear, in_features, **dtypes, rngs=rngs)
        self.classes = linear(num_classes, kernel_init=nnx.initializers.normal(0.01))
        self.offsets = linear(4 * num_classes, kernel_init=nnx.initializers.normal(0.001))

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[B, K, hidden_dim] -> logits [B, K, C] and offsets [B, K, C, 4], of float32."""
        logits, offsets = self.classes(x), self.offsets(x)
        offsets = offsets.reshape(*logits.shape, 4)
        return logits.astype(jnp.float32), offsets.astype(jnp.float32)


def detected(
    outputs: Outputs,
    image_shape: Sequence[int],
    *,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    min_size: float = 1e-2,
) -> Detections:
    """The boxes that are found: each class of each proposal, suppressed within the class.

    Args:
        outputs: of the network.
        image_shape: rows and columns of the images.
        score_threshold: probability above which a class is found.
        iou_threshold: of the suppression.
        max_detections: D, of an image.
        min_size: pixels that a side must have.

    Returns:
        Detections [B, D] of labels 1 .. C - 1, zeros where there are fewer.
    """

    def of_image(proposals, logits, offsets):
        scores = jax.nn.softmax(logits)[:, 1:]
        boxes = decoded(offsets[:, 1:], proposals.boxes[:, None], WEIGHTS)
        boxes = clipped(boxes, image_shape)
        labels = jnp.broadcast_to(jnp.arange(1, logits.shape[-1])[None], scores.shape)
        there = (scores > score_threshold) & wider(boxes, min_size) & proposals.valid[:, None]
        boxes, scores, labels = boxes.reshape(-1, 4), scores.ravel(), labels.ravel()
        picks = non_maximum_suppression(
            boxes, scores, max_detections, iou_threshold, groups=labels, valid=there.ravel()
        )
        found = boxes[picks.indices], scores[picks.indices], labels[picks.indices]
        none = jax.tree.map(jnp.zeros_like, found)
        there = picks.valid[:, None], picks.valid, picks.valid
        return Detections(*map(jnp.where, there, found, none), picks.valid)

    return jax.vmap(of_image)(outputs.proposals, outputs.logits, outputs.offsets)


def _maps(body, variables, images, **options):
    return body.apply(variables, images, method="features", **options)


def _check_size(images, maps):
    """Each map halves the one before, so that boxes and maps have one scale."""
    stride = images.shape[1] // maps[0].shape[1] * 2 ** (len(maps) - 1)
    if images.shape[1] % stride or images.shape[2] % stride:
        raise ValueError(
            f"images have rows and columns that are multiples of {stride}; got "
            f"{list(images.shape)}. Pad them below and to the right"
        )


fasterrcnn_resnet50_fpn = functools.partial(faster_rcnn, resnet50)
FASTER_RCNNS = {"fasterrcnn_resnet50_fpn": fasterrcnn_resnet50_fpn}
