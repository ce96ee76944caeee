"""Key maps of GPT and GPT-2 in transformers, whose dense layers are laid out as here.

The buffers `attn.bias` and `attn.masked_bias` of older files are the mask of the future. The head
is the token embedding, unless the model was made with `tied=False`.
"""

from jdl.models.pretrained.key_map import LINEAR, TORCH, KeyMap

CONV1D = TORCH._replace(kernels={})
HEAD = (("lm_head.*",), "head")
MASKS = ("*.attn.bias", "*.attn.masked_bias")


BLOCKS = (
    ("transformer.h.{b}.ln_1", "blocks.{b}.attention_norm"),
    ("transformer.h.{b}.ln_2", "blocks.{b}.mlp_norm"),
    ("transformer.h.{b}.attn.c_attn", "blocks.{b}.attention.query_key_value"),
    ("transformer.h.{b}.attn.c_proj", "blocks.{b}.attention.project"),
    ("transformer.h.{b}.mlp.c_fc", "blocks.{b}.expand"),
    ("transformer.h.{b}.mlp.c_proj", "blocks.{b}.project"),
    ("lm_head.weight", "head.kernel", LINEAR),
)
GPT2_HF = KeyMap(
    CONV1D,
    (
        ("transformer.wte", "tokens"),
        ("transformer.wpe", "positions"),
        ("transformer.ln_f", "norm"),
        *BLOCKS,
    ),
    head=HEAD,
    ignored=MASKS,
    prefix="transformer.",
)
GPT_HF = KeyMap(
    CONV1D,
    (
        ("transformer.tokens_embed", "tokens"),
        ("transformer.positions_embed", "positions"),
        *BLOCKS,
    ),
    head=HEAD,
    ignored=(*MASKS, "*position_ids"),
    prefix="transformer.",
)
