"""Key maps of vision Transformers.

timm and torchvision keep queries, keys and values of a block in one array, Hugging Face in three.
Its files have the names of its fourth version, though its fifth renames the modules in memory.
"""

from jdl.models.pretrained.key_map import LINEAR, TORCH, KeyMap, Layout, part

# Batches of one.
POSITIONS = Layout(lambda x: x[0], lambda x: x[None])
CLASS_TOKEN = Layout(lambda x: x[0, 0], lambda x: x[None, None])


def fused(weight: str, bias: str, ours: str) -> tuple:
    """Rows of an attention whose queries, keys and values are one array of a weight and of a bias.

    Args:
        weight: their key of it, [3 D, D].
        bias: their key, [3 D].
        ours: path of the attention.
    """
    return tuple(
        (key, f"{ours}.{name}.{leaf}", part(index, 3, *layout))
        for index, name in enumerate(("query", "key", "value"))
        for key, leaf, layout in ((weight, "kernel", (LINEAR,)), (bias, "bias", ()))
    )


def _timm(patches):
    block = "blocks.{b}"
    return (
        *patches,
        ("cls_token", "class_token", CLASS_TOKEN),
        ("pos_embed", "positions", POSITIONS),
        (f"{block}.norm1", "blocks.{b}.attention_norm"),
        *fused(f"{block}.attn.qkv.weight", f"{block}.attn.qkv.bias", "blocks.{b}.attention"),
        (f"{block}.attn.proj", "blocks.{b}.attention.project"),
        (f"{block}.norm2", "blocks.{b}.feed_forward_norm"),
        (f"{block}.mlp.fc1", "blocks.{b}.feed_forward.expand"),
        (f"{block}.mlp.fc2", "blocks.{b}.feed_forward.project"),
        ("norm", "norm"),
        ("head", "head"),
    )


STEM = "patch_embed.backbone"
STAGE = f"{STEM}.stages.{{s}}.blocks.{{b}}"
RESNET_STEM = (
    ("patch_embed.proj", "patches"),
    (f"{STEM}.stem.conv", "stem.conv1.layer"),
    (f"{STEM}.stem.norm", "stem.norm1"),
    (f"{STAGE}.conv{{c+1}}", "stem.stages.{s}.{b}.convs.{c}.layer"),
    (f"{STAGE}.norm{{c+1}}", "stem.stages.{s}.{b}.norms.{c}"),
    (f"{STAGE}.downsample.conv", "stem.stages.{s}.{b}.shortcut.layers.0.layer"),
    (f"{STAGE}.downsample.norm", "stem.stages.{s}.{b}.shortcut.layers.1"),
)
VIT_TIMM = KeyMap(TORCH, _timm((("patch_embed.proj", "patches"),)), head=(("head.*",), "head"))
HYBRID_VIT_TIMM = KeyMap(TORCH, _timm(RESNET_STEM), head=(("head.*",), "head"))

LAYER = "encoder.layers.encoder_layer_{b}"
ATTENTION = f"{LAYER}.self_attention"
VIT_TORCHVISION = KeyMap(
    TORCH,
    (
        ("conv_proj", "patches"),
        ("class_token", "class_token", CLASS_TOKEN),
        ("encoder.pos_embedding", "positions", POSITIONS),
        (f"{LAYER}.ln_1", "blocks.{b}.attention_norm"),
        *fused(f"{ATTENTION}.in_proj_weight", f"{ATTENTION}.in_proj_bias", "blocks.{b}.attention"),
        (f"{ATTENTION}.out_proj", "blocks.{b}.attention.project"),
        (f"{LAYER}.ln_2", "blocks.{b}.feed_forward_norm"),
        (f"{LAYER}.mlp.0", "blocks.{b}.feed_forward.expand"),
        (f"{LAYER}.mlp.3", "blocks.{b}.feed_forward.project"),
        ("encoder.ln", "norm"),
        ("heads.head", "head"),
    ),
    head=(("heads.head.*",), "head"),
)


def hugging_face(theirs: str = "vit.", ours: str = "") -> tuple:
    """Rows of Hugging Face's body of a ViT.

    Args:
        theirs: before their names.
        ours: before our paths.
    """
    layer, block = f"{theirs}encoder.layer.{{b}}", f"{ours}blocks.{{b}}"
    embeddings = f"{theirs}embeddings"
    return (
        (f"{embeddings}.patch_embeddings.projection", f"{ours}patches"),
        (f"{embeddings}.cls_token", f"{ours}class_token", CLASS_TOKEN),
        (f"{embeddings}.position_embeddings", f"{ours}positions", POSITIONS),
        (f"{layer}.layernorm_before", f"{block}.attention_norm"),
        (f"{layer}.attention.attention.query", f"{block}.attention.query"),
        (f"{layer}.attention.attention.key", f"{block}.attention.key"),
        (f"{layer}.attention.attention.value", f"{block}.attention.value"),
        (f"{layer}.attention.output.dense", f"{block}.attention.project"),
        (f"{layer}.layernorm_after", f"{block}.feed_forward_norm"),
        (f"{layer}.intermediate.dense", f"{block}.feed_forward.expand"),
        (f"{layer}.output.dense", f"{block}.feed_forward.project"),
        (f"{theirs}layernorm", f"{ours}norm"),
        (f"{theirs}pooler.dense", f"{ours}pooler"),
    )


VIT_HF = KeyMap(
    TORCH,
    (*hugging_face(), ("classifier", "head")),
    head=(("classifier.*",), "head"),
    ignored=("*pooler.dense.*",),  # of the body, which networks that are fine-tuned do without
    prefix="vit.",
)
