"""Key map of T5 in transformers.

The head and both stacks repeat the one embedding; the first T5s carry a table of biases for
attention to the memory, which nothing reads.
"""

from jdl.models.pretrained.key_map import TORCH, KeyMap


def _stack(name, crosses):
    block = f"{name}.block.{{b}}.layer"
    parts = [("attention", "0.SelfAttention", "0"), ("cross_attention", "1.EncDecAttention", "1")]
    for ours, theirs, number in parts[: 1 + crosses]:
        yield f"{block}.{number}.layer_norm", f"{name}.blocks.{{b}}.{ours}_norm"
        for one, other in (("query", "q"), ("key", "k"), ("value", "v"), ("project", "o")):
            yield f"{block}.{theirs}.{other}", f"{name}.blocks.{{b}}.{ours}.{one}"
    last = f"{block}.{1 + crosses}"
    yield f"{last}.layer_norm", f"{name}.blocks.{{b}}.feed_forward_norm"
    yield f"{last}.DenseReluDense.wi", f"{name}.blocks.{{b}}.feed_forward.expand"
    yield f"{last}.DenseReluDense.wo", f"{name}.blocks.{{b}}.feed_forward.project"
    yield f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias", f"{name}.biases"
    yield f"{name}.final_layer_norm", f"{name}.norm"


T5_HF = KeyMap(
    TORCH,
    (("shared", "tokens"), *_stack("encoder", False), *_stack("decoder", True)),
    head=((), "head"),
    ignored=("*embed_tokens.weight", "lm_head.weight", "*EncDecAttention.relative_attention_bias*"),
)
