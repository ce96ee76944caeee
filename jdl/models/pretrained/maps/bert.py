"""Key maps of BERT, RoBERTa and DistilBERT in transformers, with all their heads.

The decoder of masked words is the word embedding: no array of its own, whatever a file repeats.
Older files call a norm's arrays gamma and beta, as TensorFlow does.
"""

from jdl.models.pretrained.key_map import TORCH, KeyMap

# Positions 0, 1, 2, ... and the tied decoder, which some files have.
IGNORED = ("*position_ids", "cls.predictions.decoder.*", "lm_head.decoder.*", "vocab_projector.*")
OLDER = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))


def _encoder(prefix):
    block = f"{prefix}.encoder.layer.{{b}}"
    return (
        (f"{prefix}.embeddings.word_embeddings", "tokens"),
        (f"{prefix}.embeddings.position_embeddings", "positions"),
        (f"{prefix}.embeddings.token_type_embeddings", "segments"),
        (f"{prefix}.embeddings.LayerNorm", "norm"),
        (f"{block}.attention.self.query", "blocks.{b}.attention.query"),
        (f"{block}.attention.self.key", "blocks.{b}.attention.key"),
        (f"{block}.attention.self.value", "blocks.{b}.attention.value"),
        (f"{block}.attention.output.dense", "blocks.{b}.attention.project"),
        (f"{block}.attention.output.LayerNorm", "blocks.{b}.attention_norm"),
        (f"{block}.intermediate.dense", "blocks.{b}.feed_forward.expand"),
        (f"{block}.output.dense", "blocks.{b}.feed_forward.project"),
        (f"{block}.output.LayerNorm", "blocks.{b}.feed_forward_norm"),
        (f"{prefix}.pooler.dense", "pooler"),
        ("qa_outputs", "head.span"),
    )


BERT_HF = KeyMap(
    TORCH,
    (
        *_encoder("bert"),
        ("cls.predictions.transform.dense", "head.words.transform"),
        ("cls.predictions.transform.LayerNorm", "head.words.norm"),
        ("cls.predictions.bias", "head.words.bias"),
        ("cls.seq_relationship", "head.is_next"),
        ("classifier", "head.classifier"),
    ),
    head=(("cls.*", "classifier.*", "qa_outputs.*"), "head"),
    ignored=(*IGNORED, "bert.pooler.*", "pooler.*", "cls.seq_relationship.*"),
    prefix="bert.",
    older=OLDER,
)
ROBERTA_HF = KeyMap(
    TORCH,
    (
        *_encoder("roberta"),
        ("lm_head.dense", "head.words.transform"),
        ("lm_head.layer_norm", "head.words.norm"),
        ("lm_head.bias", "head.words.bias"),
        ("classifier.dense", "head.dense"),
        ("classifier.out_proj", "head.classifier"),
    ),
    head=(("lm_head.*", "classifier.*", "qa_outputs.*"), "head"),
    ignored=(*IGNORED, "roberta.pooler.*", "pooler.*"),
    prefix="roberta.",
    older=OLDER,
)
DISTILBERT_HF = KeyMap(
    TORCH,
    (
        ("distilbert.embeddings.word_embeddings", "tokens"),
        ("distilbert.embeddings.position_embeddings", "positions"),
        ("distilbert.embeddings.LayerNorm", "norm"),
        ("distilbert.transformer.layer.{b}.attention.q_lin", "blocks.{b}.attention.query"),
        ("distilbert.transformer.layer.{b}.attention.k_lin", "blocks.{b}.attention.key"),
        ("distilbert.transformer.layer.{b}.attention.v_lin", "blocks.{b}.attention.value"),
        ("distilbert.transformer.layer.{b}.attention.out_lin", "blocks.{b}.attention.project"),
        ("distilbert.transformer.layer.{b}.sa_layer_norm", "blocks.{b}.attention_norm"),
        ("distilbert.transformer.layer.{b}.ffn.lin1", "blocks.{b}.feed_forward.expand"),
        ("distilbert.transformer.layer.{b}.ffn.lin2", "blocks.{b}.feed_forward.project"),
        ("distilbert.transformer.layer.{b}.output_layer_norm", "blocks.{b}.feed_forward_norm"),
        ("vocab_transform", "head.words.transform"),
        ("vocab_layer_norm", "head.words.norm"),
        ("vocab_projector.bias", "head.words.bias"),
        ("pre_classifier", "head.dense"),
        ("classifier", "head.classifier"),
        ("qa_outputs", "head.span"),
    ),
    head=(("vocab_*", "pre_classifier.*", "classifier.*", "qa_outputs.*"), "head"),
    ignored=IGNORED,
    prefix="distilbert.",
    older=OLDER,
)
