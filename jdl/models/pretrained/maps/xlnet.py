"""Key map of XLNet in transformers, whose projections are laid out by heads, as here."""

from jdl.models.pretrained.key_map import TORCH, KeyMap

ATTENTION = {
    "query": "q",
    "key": "k",
    "value": "v",
    "project": "o",
    "distance": "r",
    "content_bias": "r_w_bias",
    "distance_bias": "r_r_bias",
    "segment_bias": "r_s_bias",
    "segments": "seg_embed",
}

XLNET_HF = KeyMap(
    TORCH,
    (
        ("transformer.word_embedding", "tokens"),
        ("transformer.mask_emb", "query"),
        *(
            (f"transformer.layer.{{b}}.rel_attn.{theirs}", f"blocks.{{b}}.{ours}")
            for ours, theirs in ATTENTION.items()
        ),
        ("transformer.layer.{b}.rel_attn.layer_norm", "blocks.{b}.attention_norm"),
        ("transformer.layer.{b}.ff.layer_1", "blocks.{b}.feed_forward.expand"),
        ("transformer.layer.{b}.ff.layer_2", "blocks.{b}.feed_forward.project"),
        ("transformer.layer.{b}.ff.layer_norm", "blocks.{b}.feed_forward_norm"),
        ("lm_loss.bias", "bias"),
    ),
    head=((), "head"),
    ignored=("lm_loss.weight",),
)
