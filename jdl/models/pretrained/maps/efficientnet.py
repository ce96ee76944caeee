"""Key maps of EfficientNets."""

from jdl.models.pretrained.key_map import (
    KERAS,
    KERAS_DEPTHWISE,
    KERAS_POINTWISE,
    POINTWISE,
    TORCH,
    KeyMap,
    blocks_of,
)


def _gate(theirs, ours, reduce, expand, joint=".", layout=POINTWISE, weight=".weight"):
    """Squeeze-and-excitation, whose linear layers are 1x1 convolutions elsewhere."""
    for name, layer in ((reduce, "squeeze"), (expand, "excite")):
        yield f"{theirs}{joint}{name}{weight}", f"{ours}.gate.{layer}.kernel", layout
        yield f"{theirs}{joint}{name}", f"{ours}.gate.{layer}"


def _efficientnet_timm(paths):
    """Blocks without expansion call their layers otherwise (stage 0)."""
    expanding = {path.rsplit(".", 2)[0] for path in paths if path.endswith(".expand.kernel")}
    yield from (
        ("conv_stem", "stem"),
        ("bn1", "stem_norm"),
        ("conv_head", "top"),
        ("bn2", "top_norm"),
        ("classifier", "head.linear"),
    )
    for stage, block in blocks_of(paths):
        ours, theirs = f"stages.{stage}.{block}", f"blocks.{stage}.{block}"
        expands = ours in expanding
        names = ("conv_dw", "bn1", "conv_pw", "bn2")
        if expands:
            yield f"{theirs}.conv_pw", f"{ours}.expand"
            yield f"{theirs}.bn1", f"{ours}.expand_norm"
            names = ("conv_dw", "bn2", "conv_pwl", "bn3")
        layers = ("depthwise", "depthwise_norm", "project", "project_norm")
        yield from ((f"{theirs}.{n}", f"{ours}.{m}") for n, m in zip(names, layers, strict=True))
        yield from _gate(theirs, ours, "se.conv_reduce", "se.conv_expand")


def _efficientnet_torchvision(paths):
    """A block is a Sequential named `block`, of [expand], depthwise, gate, project."""
    blocks = blocks_of(paths)
    expanding = {path.rsplit(".", 2)[0] for path in paths if path.endswith(".expand.kernel")}
    last = max(stage for stage, _ in blocks) + 2
    yield from (
        ("features.0.0", "stem"),
        ("features.0.1", "stem_norm"),
        (f"features.{last}.0", "top"),
        (f"features.{last}.1", "top_norm"),
        ("classifier.1", "head.linear"),
    )
    for stage, block in blocks:
        ours, theirs = f"stages.{stage}.{block}", f"features.{stage + 1}.{block}.block"
        first = 1 if ours in expanding else 0
        if first:
            yield f"{theirs}.0.0", f"{ours}.expand"
            yield f"{theirs}.0.1", f"{ours}.expand_norm"
        yield f"{theirs}.{first}.0", f"{ours}.depthwise"
        yield f"{theirs}.{first}.1", f"{ours}.depthwise_norm"
        yield from _gate(f"{theirs}.{first + 1}", ours, "fc1", "fc2")
        yield f"{theirs}.{first + 2}.0", f"{ours}.project"
        yield f"{theirs}.{first + 2}.1", f"{ours}.project_norm"


def _efficientnet_hf(paths):
    """Blocks are numbered through all stages."""
    yield from (
        ("efficientnet.embeddings.convolution", "stem"),
        ("efficientnet.embeddings.batchnorm", "stem_norm"),
        ("efficientnet.encoder.top_conv", "top"),
        ("efficientnet.encoder.top_bn", "top_norm"),
        ("classifier", "head.linear"),
    )
    for number, (stage, block) in enumerate(blocks_of(paths)):
        ours, theirs = f"stages.{stage}.{block}", f"efficientnet.encoder.blocks.{number}"
        yield f"{theirs}.expansion.expand_conv", f"{ours}.expand"
        yield f"{theirs}.expansion.expand_bn", f"{ours}.expand_norm"
        yield f"{theirs}.depthwise_conv.depthwise_conv", f"{ours}.depthwise"
        yield f"{theirs}.depthwise_conv.depthwise_norm", f"{ours}.depthwise_norm"
        yield from _gate(theirs, ours, "squeeze_excite.reduce", "squeeze_excite.expand")
        yield f"{theirs}.projection.project_conv", f"{ours}.project"
        yield f"{theirs}.projection.project_bn", f"{ours}.project_norm"


def _efficientnet_keras(paths):
    """Blocks are block1a, block2a, block2b."""
    yield from (
        ("stem_conv", "stem"),
        ("stem_bn", "stem_norm"),
        ("top_conv", "top"),
        ("top_bn", "top_norm"),
        ("predictions", "head.linear"),
    )
    for stage, block in blocks_of(paths):
        ours, theirs = f"stages.{stage}.{block}", f"block{stage + 1}{chr(ord('a') + block)}"
        yield f"{theirs}_expand_conv", f"{ours}.expand"
        yield f"{theirs}_expand_bn", f"{ours}.expand_norm"
        yield f"{theirs}_dwconv/0", f"{ours}.depthwise.kernel", KERAS_DEPTHWISE
        yield f"{theirs}_bn", f"{ours}.depthwise_norm"
        yield from _gate(theirs, ours, "se_reduce", "se_expand", "_", KERAS_POINTWISE, "/0")
        yield f"{theirs}_project_conv", f"{ours}.project"
        yield f"{theirs}_project_bn", f"{ours}.project_norm"


EFFICIENTNET_TIMM = KeyMap(TORCH, _efficientnet_timm, head=(("classifier.*",), "head"))
EFFICIENTNET_TORCHVISION = KeyMap(
    TORCH, _efficientnet_torchvision, head=(("classifier.*",), "head")
)
EFFICIENTNET_HF = KeyMap(
    TORCH, _efficientnet_hf, head=(("classifier.*",), "head"), prefix="efficientnet."
)
EFFICIENTNET_KERAS = KeyMap(  # its own normalisation of pixels is told by the preprocessing
    KERAS,
    _efficientnet_keras,
    head=(("predictions/*",), "head"),
    ignored=("normalization*/*",),
)
