"""Folders as sentence-transformers writes them, read here: transformers' network and the mean."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.pretrained.sentences import load_sentence_encoder
from tests.parity.test_pretrained_transformers import MASK, THEIRS, TOKENS, saved

pytestmark = pytest.mark.parity
MODULES = ("Transformer", "Pooling", "Normalize")


def written(folder, mode, *, normalize):
    pooling = {"word_embedding_dimension": 12, mode: True}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    names = MODULES if normalize else MODULES[:2]
    parts = [
        {"idx": i, "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(zip(names, ("", "1_Pooling", "2_Normalize"), strict=False))
    ]
    (folder / "modules.json").write_text(json.dumps(parts))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("Bert", "pooling_mode_mean_tokens"),
        ("Roberta", "pooling_mode_max_tokens"),
        ("DistilBert", "pooling_mode_cls_token"),
    ],
)
def test_a_folder_is_read_whole(oracle, tmp_path, kind, mode):
    torch = oracle("torch")
    config = {**THEIRS, "layer_norm_eps": 1e-5}
    if kind == "DistilBert":
        config = {"vocab_size": 17, "max_position_embeddings": 10, "dim": 12, "hidden_dim": 20}
        config |= {"n_layers": 2, "n_heads": 3}
    if kind == "Roberta":
        config |= {"max_position_embeddings": 12, "type_vocab_size": 1, "pad_token_id": 1}
    network = saved(oracle, tmp_path, kind, f"{kind}Model", **config)
    written(tmp_path, mode, normalize=kind == "Bert")
    with torch.no_grad():
        given = torch.tensor(TOKENS), torch.tensor(MASK.astype(int))
        features = network(*given).last_hidden_state.numpy()
    if kind == "Bert":
        mean = (features * MASK[..., None]).sum(1) / MASK.sum(1, keepdims=True)
        expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    else:
        hidden = np.where(MASK[..., None], features, -np.inf)
        expected = hidden.max(1) if kind == "Roberta" else features[:, 0]
    with jax.enable_x64(True):
        found = load_sentence_encoder(tmp_path, param_dtype=jnp.float64)
        embeddings, _ = found.model.apply(found.variables, TOKENS, None, MASK)
    np.testing.assert_allclose(embeddings, expected, rtol=1e-6, atol=1e-7)


def test_what_is_not_known_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="as a whole"):
        load_sentence_encoder(tmp_path)
    written(tmp_path, "pooling_mode_weightedmean_tokens", normalize=False)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mpnet"}))
    with pytest.raises(ValueError, match="family 'mpnet'"):
        load_sentence_encoder(tmp_path)
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "a.Dense", "path": ""}]))
    with pytest.raises(ValueError, match=r"parts \['Dense'\]"):
        load_sentence_encoder(tmp_path)
