"""Folders of the library sentence-transformers, as encoders of sentences.

    modules.json                  the parts in order: a Transformer, a Pooling, perhaps a Normalize
    config.json, *.safetensors    of the Transformer, in the folder or in the part's own
    1_Pooling/config.json         which pooling

    load_sentence_encoder(folder)      of `hf download sentence-transformers/all-MiniLM-L6-v2`

The network is made of what the files say, so that every size is read. BERT, RoBERTa and DistilBERT
are known, with one pooling: the mean, the maxima or the first token.

Source: the files that sentence-transformers 5 writes. Needs the extra `pretrained`.
"""

import functools
import json
import os
from pathlib import Path

import jax

from jdl.models.pretrained.checkpoints import BYTE_PAIRS, WORD_PIECES
from jdl.models.pretrained.load import Pretrained, load_variables
from jdl.models.pretrained.maps.bert import BERT_HF, DISTILBERT_HF, ROBERTA_HF
from jdl.models.transformers.bert import GELU, bert
from jdl.models.transformers.sentence_bert import sentence_encoder

FAMILIES = {
    "bert": (BERT_HF, WORD_PIECES),
    "roberta": (ROBERTA_HF, BYTE_PAIRS),
    "distilbert": (DISTILBERT_HF, WORD_PIECES),
}
ACTIVATIONS = {
    "gelu": GELU,
    "relu": jax.nn.relu,
    "gelu_new": functools.partial(jax.nn.gelu, approximate=True),
}
POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_cls_token": "first",
}


def load_sentence_encoder(path: str | os.PathLike, **options) -> Pretrained:
    """Reads a folder of sentence-transformers.

    Args:
        path: the folder.
        options: of `bert`: `dtype`, `param_dtype`, `dropout_rate`.

    Returns:
        Pretrained, whose model is a `sentence_encoder`: (tokens, segments, mask) -> [B, D].

    Raises:
        FileNotFoundError: a file that is named is not there.
        ValueError: another family, or parts or poolings that are not known.
    """
    folder = Path(path).expanduser()
    names, places = _parts(folder)
    if names[:2] != ["Transformer", "Pooling"] or names[2:] not in ([], ["Normalize"]):
        raise ValueError(
            f"{folder} has the parts {names}; known are a Transformer, a Pooling and a Normalize"
        )
    inner = folder / places[0]
    config = _read(inner / "config.json")
    family = config["model_type"]
    if family not in FAMILIES:
        raise ValueError(f"{inner} is of the family {family!r}; known are {sorted(FAMILIES)}")
    key_map, tokenizer = FAMILIES[family]
    encoder = _encoder(config, **options)
    model = sentence_encoder(
        encoder, _pooling(folder / places[1]), unit_length="Normalize" in names
    )
    variables = load_variables(encoder, inner, key_map)
    files = (folder / name for name in tokenizer)
    found = tuple(file for file in files if file.exists())
    return Pretrained(model, variables, None, None, found)


def _encoder(config, **options):
    """The network without a head that a config.json describes, the options before it."""
    family = config["model_type"]
    if family == "distilbert":
        known = dict(
            hidden_dim=config["dim"],
            num_layers=config["n_layers"],
            num_heads=config["n_heads"],
            feed_forward_dim=config["hidden_dim"],
            activation=ACTIVATIONS[config.get("activation", "gelu")],
            num_segments=0,
        )
    else:
        known = dict(
            hidden_dim=config["hidden_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            feed_forward_dim=config["intermediate_size"],
            activation=ACTIVATIONS[config.get("hidden_act", "gelu")],
            num_segments=config["type_vocab_size"],
            epsilon=config.get("layer_norm_eps", 1e-12),
        )
    context = config["max_position_embeddings"]
    if family == "roberta":  # the positions up to that of padding are never a token's
        known["pad_token"] = config.get("pad_token_id", 1)
        context -= known["pad_token"] + 1
    known = {"vocab_size": config["vocab_size"], "context": context, "pooler": False, **known}
    return bert(**{**known, **options})


def _parts(folder):
    """Names and places of the modules; without their list, a Transformer and its pooling."""
    listed = folder / "modules.json"
    if not listed.exists():
        return ["Transformer", "Pooling"], ["", "1_Pooling"]
    modules = _read(listed)
    return [m["type"].rpartition(".")[2] for m in modules], [m["path"] for m in modules]


def _pooling(folder):
    config = _read(folder / "config.json")
    modes = [name for name, on in config.items() if name.startswith("pooling_mode_") and on]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise ValueError(f"{folder} pools by {modes}; known is one of {sorted(POOLINGS)}")
    return POOLINGS[modes[0]]


def _read(file):
    if not file.exists():
        raise FileNotFoundError(
            f"there is no {file}: give the folder that `hf download sentence-transformers/NAME` "
            "prints, as a whole"
        )
    return json.loads(file.read_text())
