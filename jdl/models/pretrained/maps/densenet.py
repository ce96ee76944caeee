"""Key maps of DenseNets; torchvision and timm have the same names."""

from jdl.models.pretrained.key_map import KERAS, TORCH, KeyMap

DENSENET_TORCH = KeyMap(
    TORCH,
    (
        ("features.conv0", "stem"),
        ("features.norm0", "stem_norm"),
        (
            "features.denseblock{b+1}.denselayer{l+1}.norm{n+1}",
            "blocks.{b}.layers.{l}.layers.{n}.norm",
        ),
        (
            "features.denseblock{b+1}.denselayer{l+1}.conv{n+1}",
            "blocks.{b}.layers.{l}.layers.{n}.conv",
        ),
        ("features.transition{t+1}.norm", "transitions.{t}.layer.norm"),
        ("features.transition{t+1}.conv", "transitions.{t}.layer.conv"),
        ("features.norm5", "norm"),
        ("classifier", "head.linear"),
    ),
    head=(("classifier.*",), "head"),
)
DENSENET_KERAS = KeyMap(  # its blocks are conv2 to conv5, and a transition has the block's before
    KERAS,
    (
        ("conv1_conv", "stem"),
        ("conv1_bn", "stem_norm"),
        ("conv{b+2}_block{l+1}_{n}_bn", "blocks.{b}.layers.{l}.layers.{n}.norm"),
        ("conv{b+2}_block{l+1}_{n+1}_conv", "blocks.{b}.layers.{l}.layers.{n}.conv"),
        ("pool{t+2}_bn", "transitions.{t}.layer.norm"),
        ("pool{t+2}_conv", "transitions.{t}.layer.conv"),
        ("bn", "norm"),
        ("predictions", "head.linear"),
    ),
    head=(("predictions/*",), "head"),
)
