"""Key maps of VGG and AlexNet, whose first hidden layer sees the maps in an order of axes."""

import math

from jdl.models.pretrained.key_map import (
    KERAS,
    POINTWISE,
    SAME,
    TORCH,
    KeyMap,
    blocks_of,
    flattened,
)


def _vgg_features(paths):
    """torchvision and timm number all layers, rectifiers and poolings too."""
    normed = any(path.startswith("stages.0.0.norm.") for path in paths)
    number, before = 0, 0
    for stage, unit in blocks_of(paths):
        number += stage - before  # the pooling between
        before = stage
        yield f"features.{number}", f"stages.{stage}.{unit}.conv"
        yield f"features.{number + 1}", f"stages.{stage}.{unit}.norm"
        number += 3 if normed else 2


def _flattened(shapes, last=None, **options):
    """The first hidden layer, which sees all places of the last maps."""
    if "head.dense1.kernel" not in shapes:
        return SAME  # no head
    if last is None:
        stage, unit = max(blocks_of(shapes))
        last = f"stages.{stage}.{unit}.conv.kernel"
    channels = shapes[last].shape[-1]
    grid = math.isqrt(shapes["head.dense1.kernel"].shape[0] // channels)
    return flattened(channels, grid, grid, **options)


def _vgg_torchvision(shapes):
    return (
        *_vgg_features(shapes),
        ("classifier.0.weight", "head.dense1.kernel", _flattened(shapes)),
        ("classifier.0", "head.dense1"),
        ("classifier.3", "head.dense2"),
        ("classifier.6", "head.head"),
    )


def _vgg_timm(shapes):
    """The hidden layers are convolutions over all of the map."""
    return (
        *_vgg_features(shapes),
        (
            "pre_logits.fc1.weight",
            "head.dense1.kernel",
            _flattened(shapes, as_conv=True),
        ),
        ("pre_logits.fc1", "head.dense1"),
        ("pre_logits.fc2.weight", "head.dense2.kernel", POINTWISE),
        ("pre_logits.fc2", "head.dense2"),
        ("head.fc", "head.head"),
    )


VGG_TORCHVISION = KeyMap(TORCH, _vgg_torchvision, head=(("classifier.6.*",), "head.head"))
VGG_TIMM = KeyMap(TORCH, _vgg_timm, head=(("head.fc.*",), "head.head"))
VGG_KERAS = KeyMap(  # it flattens channels last, as here
    KERAS,
    (
        ("block{s+1}_conv{c+1}", "stages.{s}.{c}.conv"),
        ("fc1", "head.dense1"),
        ("fc2", "head.dense2"),
        ("predictions", "head.head"),
    ),
    head=(("predictions/*",), "head.head"),
)


ALEXNET_LAYERS = (0, 3, 6, 8, 10)  # of torchvision's Sequential, with rectifiers and poolings


def _alexnet_torchvision(shapes):
    yield from (
        (f"features.{theirs}", f"convs.{ours}") for ours, theirs in enumerate(ALEXNET_LAYERS)
    )
    yield "classifier.1.weight", "head.dense1.kernel", _flattened(shapes, "convs.4.kernel")
    yield "classifier.1", "head.dense1"
    yield "classifier.4", "head.dense2"
    yield "classifier.6", "head.head"


ALEXNET_TORCHVISION = KeyMap(TORCH, _alexnet_torchvision, head=(("classifier.6.*",), "head.head"))
