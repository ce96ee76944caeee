"""Key maps of MobileNets."""

from jdl.models.pretrained.key_map import (
    KERAS,
    KERAS_DEPTHWISE,
    KERAS_POINTWISE,
    TORCH,
    KeyMap,
    blocks_of,
)
from jdl.models.pretrained.maps.efficientnet import EFFICIENTNET_TIMM


def _mobilenet_v1_units(paths, layers):
    """Rows of the four layers of each unit; `layers` gives theirs of a unit's number."""
    ours = ("depthwise", "depthwise_norm", "pointwise", "pointwise_norm")
    for number, (stage, unit) in enumerate(blocks_of(paths)):
        for theirs, name in zip(layers(number), ours, strict=True):
            yield theirs, f"stages.{stage}.{unit}.{name}"


def _mobilenet_v1_hf(paths):
    """Depthwise and pointwise layers are counted together."""
    yield "mobilenet_v1.conv_stem.convolution", "stem"
    yield "mobilenet_v1.conv_stem.normalization", "stem_norm"
    yield "classifier", "head.linear"

    def layers(number):
        for layer in (2 * number, 2 * number + 1):
            yield f"mobilenet_v1.layer.{layer}.convolution"
            yield f"mobilenet_v1.layer.{layer}.normalization"

    yield from _mobilenet_v1_units(paths, layers)


def _mobilenet_v1_timm(paths):
    yield from (("conv_stem", "stem"), ("bn1", "stem_norm"), ("classifier", "head.linear"))
    for stage, unit in blocks_of(paths):
        ours, theirs = f"stages.{stage}.{unit}", f"blocks.{stage}.{unit}"
        yield f"{theirs}.conv_dw", f"{ours}.depthwise"
        yield f"{theirs}.bn1", f"{ours}.depthwise_norm"
        yield f"{theirs}.conv_pw", f"{ours}.pointwise"
        yield f"{theirs}.bn2", f"{ours}.pointwise_norm"


def _mobilenet_v1_keras(paths):
    """The head is a 1x1 convolution."""
    yield from (("conv1", "stem"), ("conv1_bn", "stem_norm"))
    yield "conv_preds/0", "head.linear.kernel", KERAS_POINTWISE
    yield "conv_preds", "head.linear"
    for number, (stage, unit) in enumerate(blocks_of(paths), 1):
        ours = f"stages.{stage}.{unit}"
        yield f"conv_dw_{number}/0", f"{ours}.depthwise.kernel", KERAS_DEPTHWISE
        yield f"conv_dw_{number}_bn", f"{ours}.depthwise_norm"
        yield f"conv_pw_{number}", f"{ours}.pointwise"
        yield f"conv_pw_{number}_bn", f"{ours}.pointwise_norm"


MOBILENET_V1_HF = KeyMap(
    TORCH, _mobilenet_v1_hf, head=(("classifier.*",), "head"), prefix="mobilenet_v1."
)
MOBILENET_V1_TIMM = KeyMap(TORCH, _mobilenet_v1_timm, head=(("classifier.*",), "head"))
MOBILENET_V1_KERAS = KeyMap(KERAS, _mobilenet_v1_keras, head=(("conv_preds/*",), "head"))


def _mobilenet_v2_hf(paths):
    """The block without expansion is part of the stem."""
    body = "mobilenet_v2"
    yield from (
        (f"{body}.conv_stem.first_conv.convolution", "stem"),
        (f"{body}.conv_stem.first_conv.normalization", "stem_norm"),
        (f"{body}.conv_1x1.convolution", "top"),
        (f"{body}.conv_1x1.normalization", "top_norm"),
        ("classifier", "head.linear"),
    )
    layers = (("expand_1x1", "expand"), ("conv_3x3", "depthwise"), ("reduce_1x1", "project"))
    for number, (stage, block) in enumerate(blocks_of(paths), -1):
        theirs = f"{body}.conv_stem" if number < 0 else f"{body}.layer.{number}"
        for layer, name in layers:
            yield f"{theirs}.{layer}.convolution", f"stages.{stage}.{block}.{name}"
            yield f"{theirs}.{layer}.normalization", f"stages.{stage}.{block}.{name}_norm"


def _mobilenet_v2_torchvision(paths):
    """A block is a Sequential of (conv, norm, act) triples, of which the last is not nested."""
    blocks = blocks_of(paths)
    expanding = {path.rsplit(".", 2)[0] for path in paths if path.endswith(".expand.kernel")}
    last = len(blocks) + 1
    yield from (
        ("features.0.0", "stem"),
        ("features.0.1", "stem_norm"),
        (f"features.{last}.0", "top"),
        (f"features.{last}.1", "top_norm"),
        ("classifier.1", "head.linear"),
    )
    for number, (stage, block) in enumerate(blocks, 1):
        ours, theirs = f"stages.{stage}.{block}", f"features.{number}.conv"
        first = 1 if ours in expanding else 0
        if first:
            yield f"{theirs}.0.0", f"{ours}.expand"
            yield f"{theirs}.0.1", f"{ours}.expand_norm"
        yield f"{theirs}.{first}.0", f"{ours}.depthwise"
        yield f"{theirs}.{first}.1", f"{ours}.depthwise_norm"
        yield f"{theirs}.{first + 1}", f"{ours}.project"
        yield f"{theirs}.{first + 2}", f"{ours}.project_norm"


def _mobilenet_v2_keras(paths):
    yield from (
        ("Conv1", "stem"),
        ("bn_Conv1", "stem_norm"),
        ("Conv_1", "top"),
        ("Conv_1_bn", "top_norm"),
        ("predictions", "head.linear"),
    )
    for number, (stage, block) in enumerate(blocks_of(paths)):
        ours = f"stages.{stage}.{block}"
        theirs = f"block_{number}" if number else "expanded_conv"
        yield f"{theirs}_expand", f"{ours}.expand"
        yield f"{theirs}_expand_BN", f"{ours}.expand_norm"
        yield f"{theirs}_depthwise/0", f"{ours}.depthwise.kernel", KERAS_DEPTHWISE
        yield f"{theirs}_depthwise_BN", f"{ours}.depthwise_norm"
        yield f"{theirs}_project", f"{ours}.project"
        yield f"{theirs}_project_BN", f"{ours}.project_norm"


MOBILENET_V2_HF = KeyMap(
    TORCH, _mobilenet_v2_hf, head=(("classifier.*",), "head"), prefix="mobilenet_v2."
)
MOBILENET_V2_TIMM = EFFICIENTNET_TIMM  # the same class there
MOBILENET_V2_TORCHVISION = KeyMap(
    TORCH, _mobilenet_v2_torchvision, head=(("classifier.*",), "head")
)
MOBILENET_V2_KERAS = KeyMap(KERAS, _mobilenet_v2_keras, head=(("predictions/*",), "head"))
