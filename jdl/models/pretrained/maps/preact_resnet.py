"""Key maps of pre-activation ResNets and of BiT, whose convolutions are `WeightStandardized`."""

from jdl.models.pretrained.key_map import KERAS, POINTWISE, TORCH, KeyMap


def _torch(stem, block, last, head, layer=""):
    """Rows of a network whose blocks timm and HF name alike; `layer` ends our names of kernels."""
    return (
        (stem, f"conv1{layer}"),
        (f"{block}.conv{{c+1}}", f"stages.{{s}}.{{b}}.convs.{{c}}{layer}"),
        (f"{block}.norm{{c+1}}", "stages.{s}.{b}.norms.{c}"),
        (f"{block}.downsample.conv", f"stages.{{s}}.{{b}}.shortcut.layers.0{layer}"),
        (last, "norm"),
        *head,
    )


TIMM_NAMES = ("stem.conv", "stages.{s}.blocks.{b}", "norm")
TIMM_HEAD = (("head.fc.weight", "head.linear.kernel", POINTWISE), ("head.fc", "head.linear"))
HF_NAMES = ("bit.embedder.convolution", "bit.encoder.stages.{s}.layers.{b}", "bit.norm")
RESNETV2_TIMM = KeyMap(TORCH, _torch(*TIMM_NAMES, TIMM_HEAD), head=(("head.fc.*",), "head"))
BIT_TIMM = KeyMap(TORCH, _torch(*TIMM_NAMES, TIMM_HEAD, ".layer"), head=(("head.fc.*",), "head"))
BIT_HF = KeyMap(
    TORCH,
    _torch(*HF_NAMES, (("classifier.1", "head.linear"),), ".layer"),
    head=(("classifier.*",), "head"),
    prefix="bit.",
)
RESNETV2_KERAS = KeyMap(
    KERAS,
    (
        ("conv1_conv", "conv1"),
        ("conv{s+2}_block{b+1}_preact_bn", "stages.{s}.{b}.norms.0"),
        ("conv{s+2}_block{b+1}_1_bn", "stages.{s}.{b}.norms.1"),
        ("conv{s+2}_block{b+1}_2_bn", "stages.{s}.{b}.norms.2"),
        ("conv{s+2}_block{b+1}_{c+1}_conv", "stages.{s}.{b}.convs.{c}"),
        ("conv{s+2}_block{b+1}_0_conv", "stages.{s}.{b}.shortcut.layers.0"),
        ("post_bn", "norm"),
        ("predictions", "head.linear"),
    ),
    head=(("predictions/*",), "head"),
)
