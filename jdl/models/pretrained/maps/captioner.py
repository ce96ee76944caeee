"""Key map of a ViT and GPT-2 in transformers' VisionEncoderDecoderModel.

GPT-2's dense layers are laid out as here; its queries, keys and values lie in one array. The head
is the token embedding, which some files have twice.
"""

from jdl.models.pretrained.key_map import SAME, TORCH, KeyMap, part
from jdl.models.pretrained.maps.vit import hugging_face


def _dense(theirs, ours):
    return (f"{theirs}.weight", f"{ours}.kernel", SAME), (f"{theirs}.bias", f"{ours}.bias")


def _parts(theirs, ours, names):
    """Rows of a dense layer of theirs that holds several of ours."""
    return tuple(
        (f"{theirs}.{key}", f"{ours}.{name}.{leaf}", part(index, len(names), axis=axis))
        for index, name in enumerate(names)
        for key, leaf, axis in (("weight", "kernel", 1), ("bias", "bias", 0))
    )


LAYER, BLOCK = "decoder.transformer.h.{b}", "blocks.{b}"
CAPTIONER_HF = KeyMap(
    TORCH,
    (
        *hugging_face("encoder.", "encoder."),
        ("decoder.transformer.wte", "tokens"),
        ("decoder.transformer.wpe", "positions"),
        (f"{LAYER}.ln_1", f"{BLOCK}.attention_norm"),
        *_parts(f"{LAYER}.attn.c_attn", f"{BLOCK}.attention", ("query", "key", "value")),
        *_dense(f"{LAYER}.attn.c_proj", f"{BLOCK}.attention.project"),
        (f"{LAYER}.ln_cross_attn", f"{BLOCK}.cross_attention_norm"),
        *_dense(f"{LAYER}.crossattention.q_attn", f"{BLOCK}.cross_attention.query"),
        *_parts(f"{LAYER}.crossattention.c_attn", f"{BLOCK}.cross_attention", ("key", "value")),
        *_dense(f"{LAYER}.crossattention.c_proj", f"{BLOCK}.cross_attention.project"),
        (f"{LAYER}.ln_2", f"{BLOCK}.feed_forward_norm"),
        *_dense(f"{LAYER}.mlp.c_fc", f"{BLOCK}.feed_forward.expand"),
        *_dense(f"{LAYER}.mlp.c_proj", f"{BLOCK}.feed_forward.project"),
        ("decoder.transformer.ln_f", "norm"),
    ),
    head=((), "head"),  # it has none that another task would draw anew
    ignored=(
        "encoder.pooler.dense.*",
        "decoder.lm_head.weight",
        "*attn.bias",  # the mask of the future, in older files; so the next
        "*attn.masked_bias",
        "*crossattention.bias",
        "*crossattention.masked_bias",
    ),
)
