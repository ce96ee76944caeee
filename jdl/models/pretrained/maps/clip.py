"""Key map of CLIP in transformers."""

from jdl.models.pretrained.key_map import SAME, TORCH, KeyMap


def _blocks(theirs, ours):
    layer, block = f"{theirs}.encoder.layers.{{b}}", f"{ours}.blocks.{{b}}"
    return (
        (f"{layer}.layer_norm1", f"{block}.attention_norm"),
        (f"{layer}.self_attn.q_proj", f"{block}.attention.query"),
        (f"{layer}.self_attn.k_proj", f"{block}.attention.key"),
        (f"{layer}.self_attn.v_proj", f"{block}.attention.value"),
        (f"{layer}.self_attn.out_proj", f"{block}.attention.project"),
        (f"{layer}.layer_norm2", f"{block}.feed_forward_norm"),
        (f"{layer}.mlp.fc1", f"{block}.feed_forward.expand"),
        (f"{layer}.mlp.fc2", f"{block}.feed_forward.project"),
    )


VISION, TEXT = "vision_model.embeddings", "text_model.embeddings"
CLIP_HF = KeyMap(
    TORCH,
    (
        (f"{VISION}.class_embedding", "image.class_token", SAME),
        (f"{VISION}.patch_embedding", "image.patches"),
        (f"{VISION}.position_embedding.weight", "image.positions", SAME),
        ("vision_model.pre_layrnorm", "image.first_norm"),
        *_blocks("vision_model", "image"),
        ("vision_model.post_layernorm", "image.norm"),
        ("visual_projection", "image.head"),
        (f"{TEXT}.token_embedding", "text.tokens"),
        (f"{TEXT}.position_embedding.weight", "text.positions", SAME),
        *_blocks("text_model", "text"),
        ("text_model.final_layer_norm", "text.norm"),
        ("text_projection", "text.head"),
        ("logit_scale", "log_scale", SAME),
    ),
    head=((), "head"),  # it has none that another task would draw anew
    ignored=("*.position_ids",),
)
