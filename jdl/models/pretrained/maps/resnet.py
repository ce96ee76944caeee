"""Key maps of ResNets; torchvision and timm have the same names."""

from jdl.models.pretrained.key_map import KERAS, TORCH, KeyMap

RESNET_TORCH = KeyMap(
    TORCH,
    (
        ("conv1", "conv1"),
        ("bn1", "norm1"),
        ("layer{s+1}.{b}.conv{c+1}", "stages.{s}.{b}.convs.{c}"),
        ("layer{s+1}.{b}.bn{c+1}", "stages.{s}.{b}.norms.{c}"),
        ("layer{s+1}.{b}.downsample.{i}", "stages.{s}.{b}.shortcut.layers.{i}"),
        ("fc", "head.linear"),
    ),
    head=(("fc.*",), "head"),
)
RESNET_HF = KeyMap(
    TORCH,
    (
        ("resnet.embedder.embedder.convolution", "conv1"),
        ("resnet.embedder.embedder.normalization", "norm1"),
        (
            "resnet.encoder.stages.{s}.layers.{b}.layer.{c}.convolution",
            "stages.{s}.{b}.convs.{c}",
        ),
        (
            "resnet.encoder.stages.{s}.layers.{b}.layer.{c}.normalization",
            "stages.{s}.{b}.norms.{c}",
        ),
        (
            "resnet.encoder.stages.{s}.layers.{b}.shortcut.convolution",
            "stages.{s}.{b}.shortcut.layers.0",
        ),
        (
            "resnet.encoder.stages.{s}.layers.{b}.shortcut.normalization",
            "stages.{s}.{b}.shortcut.layers.1",
        ),
        ("classifier.1", "head.linear"),
    ),
    head=(("classifier.*",), "head"),
    prefix="resnet.",
)
RESNET_KERAS = KeyMap(
    KERAS,
    (
        ("conv1_conv", "conv1"),
        ("conv1_bn", "norm1"),
        ("conv{s+2}_block{b+1}_{c+1}_conv", "stages.{s}.{b}.convs.{c}"),
        ("conv{s+2}_block{b+1}_{c+1}_bn", "stages.{s}.{b}.norms.{c}"),
        ("conv{s+2}_block{b+1}_0_conv", "stages.{s}.{b}.shortcut.layers.0"),
        ("conv{s+2}_block{b+1}_0_bn", "stages.{s}.{b}.shortcut.layers.1"),
        ("predictions", "head.linear"),
    ),
    head=(("predictions/*",), "head"),
)
