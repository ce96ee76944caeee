"""Loading by name and by file, fresh heads, the way back, and what is said where it cannot be."""

import fnmatch
import json
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models import pretrained
from jdl.models.convnets.resnet import resnet
from jdl.models.pretrained import PRETRAINED, Checkpoint, Preprocessing, load, load_variables
from jdl.models.pretrained.key_map import exported
from jdl.models.pretrained.maps.resnet import RESNET_HF, RESNET_KERAS, RESNET_TORCH
from jdl.models.transformers.bert import bert

pytest.importorskip("safetensors")


def tiny(num_classes=4, **options):
    return resnet((1, 1), widths=(2, 3), num_classes=num_classes, **options)


@pytest.fixture(scope="module")
def variables():
    rng = np.random.default_rng(0)
    like = jax.eval_shape(tiny().init, jax.random.key(0))
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), like)


@pytest.fixture
def known(monkeypatch):
    """A small network among the published names."""
    for name, key_map in (("timm/tiny", RESNET_TORCH), ("microsoft/tiny", RESNET_HF)):
        monkeypatch.setitem(PRETRAINED, name, Checkpoint(tiny, key_map, Preprocessing(size=32)))


def same(one, other):
    return jax.tree.all(jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), one, other))


@pytest.mark.parametrize("name", ["timm/tiny", "microsoft/tiny"])
def test_a_file_is_loaded_by_its_name(known, variables, tmp_path, name):
    pretrained.export(variables, PRETRAINED[name].key_map, tmp_path / "model.safetensors")
    labels = {str(i): f"class {i}" for i in range(4)}
    (tmp_path / "config.json").write_text(json.dumps({"id2label": labels}))
    for path in (tmp_path, tmp_path / "model.safetensors", str(tmp_path)):
        found = load(name, path)
        assert same(found.variables, variables)
        assert found.preprocessing.size == 32 and found.labels[3] == "class 3"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_another_number_of_classes_wants_the_key_of_a_fresh_head(known, variables, tmp_path):
    pretrained.export(variables, RESNET_TORCH, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="head.linear.kernel .*head_key"):
        load("timm/tiny", tmp_path, num_classes=9)
    key = jax.random.key(1)
    found = load("timm/tiny", tmp_path, num_classes=9, head_key=key)
    fresh = found.model.init(key)
    assert same(found.variables.params["head"], fresh.params["head"]) and found.labels is None
    body = {k: v for k, v in variables.params.items() if k != "head"}
    assert same({k: found.variables.params[k] for k in body}, body)
    assert same(found.variables.buffers, variables.buffers)


def test_text_models_have_the_files_of_their_tokenizer_and_no_images(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    name = "google-bert/bert-base-uncased"
    make = partial(bert, 5, 4, 6, 1, 2)
    monkeypatch.setitem(PRETRAINED, name, PRETRAINED[name]._replace(make=make))
    arrays = jax.tree.map(
        lambda x: np.ones(x.shape, np.float32), jax.eval_shape(make().init, jax.random.key(0))
    )
    pretrained.export(arrays, PRETRAINED[name].key_map, tmp_path / "model.safetensors")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    wanted = []

    def downloaded(name, allow_patterns):
        wanted.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", downloaded)
    found = load(name)
    assert "vocab.txt" in wanted and found.tokenizer == (tmp_path / "vocab.txt",)
    assert found.preprocessing is None and same(found.variables, arrays)


def test_a_network_without_a_head_leaves_the_files_head_unread(known, variables, tmp_path):
    pretrained.export(variables, RESNET_TORCH, tmp_path / "model.safetensors")
    found = load("timm/tiny", tmp_path, num_classes=None)
    assert same(found.variables.params["conv1"], variables.params["conv1"])
    images = jax.ShapeDtypeStruct([2, 32, 32, 3], jnp.float32)
    assert jax.eval_shape(found.model.apply, found.variables, images)[0].shape == (2, 12)


def test_dtypes_are_asked_of_the_factory(known, variables, tmp_path):
    pretrained.export(variables, RESNET_TORCH, tmp_path / "model.safetensors")
    found = load("timm/tiny", tmp_path, param_dtype=jnp.bfloat16)
    assert {x.dtype for x in jax.tree.leaves(found.variables.params)} == {jnp.dtype(jnp.bfloat16)}
    # And what half precision saved is read again.
    pretrained.export(found.variables, RESNET_TORCH, tmp_path / "half.safetensors")
    again = load("timm/tiny", tmp_path / "half.safetensors", param_dtype=jnp.bfloat16)
    assert same(again.variables, found.variables)


def test_arrays_of_keras_are_written_and_read_by_number(variables, tmp_path):
    pretrained.export(variables, RESNET_KERAS, tmp_path / "model.safetensors")
    assert same(load_variables(tiny(), tmp_path, RESNET_KERAS), variables)


def test_a_name_that_is_not_known_has_neighbours():
    with pytest.raises(ValueError, match="near it: .*timm/resnet50.a1_in1k"):
        load("timm/resnet50.a1_in1")


def test_weights_that_are_not_on_the_hub_want_a_path():
    with pytest.raises(FileNotFoundError, match="not on the Hugging Face hub.*path=..."):
        load("torchvision/resnet50")


def test_without_a_network_it_is_said_what_to_do(known, monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub")

    def offline(name, **options):
        raise hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(FileNotFoundError, match="hf download timm/tiny.*path=folder"):
        load("timm/tiny")


def test_what_the_hub_has_is_loaded_from_its_cache(known, variables, monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    pretrained.export(variables, RESNET_TORCH, tmp_path / "model.safetensors")
    monkeypatch.setattr(hub, "snapshot_download", lambda name, **options: str(tmp_path))
    assert same(load("timm/tiny").variables, variables)


@pytest.mark.parity
@pytest.mark.parametrize("shards", [1, 2])
def test_what_the_hub_has_as_pytorchs_files_alone_is_fetched_and_read(
    known, variables, monkeypatch, tmp_path, shards
):
    hub, torch = pytest.importorskip("huggingface_hub"), pytest.importorskip("torch")
    state = {k: torch.tensor(v) for k, v in exported(variables, RESNET_TORCH).items()}
    names = [f"pytorch_model-{i}.bin" if shards > 1 else "pytorch_model.bin" for i in range(shards)]
    where = {key: names[i % shards] for i, key in enumerate(state)}
    cache, repository = tmp_path / "cache", tmp_path / "repository"
    cache.mkdir()
    repository.mkdir()
    for name in names:
        torch.save({k: v for k, v in state.items() if where[k] == name}, repository / name)
    if shards > 1:
        index = json.dumps({"weight_map": where})
        (repository / "pytorch_model.bin.index.json").write_text(index)
    (repository / "training_args.bin").write_bytes(b"other")

    def downloaded(name, allow_patterns):
        for file in repository.iterdir():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, cache)
        return str(cache)

    monkeypatch.setattr(hub, "snapshot_download", downloaded)
    assert same(load("timm/tiny").variables, variables)
    assert not (cache / "training_args.bin").exists()


def test_export_writes_safetensors_alone_and_leaves_no_half_file(variables, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="safetensors file; got weights.npz"):
        pretrained.export(variables, RESNET_TORCH, tmp_path / "weights.npz")
    import safetensors.numpy

    def broken(arrays, path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.numpy, "save_file", broken)
    with pytest.raises(OSError, match="disk full"):
        pretrained.export(variables, RESNET_TORCH, tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []
