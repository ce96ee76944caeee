"""Files that the tests write are read array by array, whatever the format."""

import json
import re
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.pretrained import readers
from jdl.models.pretrained.readers import tensors

h5py = pytest.importorskip("h5py")
numpy_format = pytest.importorskip("safetensors.numpy")

ARRAYS = {
    "a.weight": np.arange(6.0, dtype=np.float32).reshape(2, 3),
    "b.scale": np.array([1.5, -2.0], jnp.bfloat16),
}


def check(path, expected=ARRAYS):
    with tensors(path) as found:
        assert sorted(found.names) == sorted(expected)
        for name, array in expected.items():
            read = found.read(name)
            assert read.dtype == array.dtype
            np.testing.assert_array_equal(read, array)


def test_safetensors_as_a_file_and_in_a_folder(tmp_path):
    numpy_format.save_file(ARRAYS, tmp_path / "model.safetensors")
    check(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    check(tmp_path)


def test_shards_are_read_through_their_index(tmp_path):
    shards = {"a.weight": "model-1-of-2.safetensors", "b.scale": "model-2-of-2.safetensors"}
    for name, shard in shards.items():
        numpy_format.save_file({name: ARRAYS[name]}, tmp_path / shard)
    (tmp_path / readers.SAFE[0]).write_text(json.dumps({"weight_map": shards}))
    check(tmp_path)
    (tmp_path / shards["a.weight"]).unlink()
    with pytest.raises(FileNotFoundError, match="not beside it: model-1-of-2"):
        check(tmp_path)


def test_npz(tmp_path):
    arrays = {"block/kernel": ARRAYS["a.weight"]}
    np.savez(tmp_path / "weights.npz", **arrays)
    check(tmp_path, arrays)


def keras_weights(file):
    """Two layers as Keras 3 writes them: by number, their names in attributes."""
    for group, name, arrays in [
        ("conv2d", "conv1", [np.ones([3, 3, 1, 2]), np.zeros(2)]),
        ("batch_normalization", "bn", [np.full(2, i) for i in range(4)]),
    ]:
        own = file.create_group(f"layers/{group}/vars")
        own.attrs["name"] = name
        for i, array in enumerate(arrays):
            own[str(i)] = array.astype(np.float32)
    file.create_group("layers/add/vars").attrs["name"] = "add"


KERAS = {
    "conv1/0": np.ones([3, 3, 1, 2], np.float32),
    "conv1/1": np.zeros(2, np.float32),
    **{f"bn/{i}": np.full(2, i, np.float32) for i in range(4)},
}


def test_weights_of_keras_3(tmp_path):
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        keras_weights(file)
    check(tmp_path / "net.weights.h5", KERAS)
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.write(tmp_path / "net.weights.h5", "model.weights.h5")
    check(tmp_path / "net.keras", KERAS)


@pytest.mark.parametrize("root", ["", "model_weights/"])
def test_weights_of_older_keras(tmp_path, root):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        top = file.create_group("model_weights") if root else file
        top.attrs["layer_names"] = [b"conv1", b"bn", b"add"]
        for layer in ("conv1", "bn", "add"):
            keys = [key for key in KERAS if key.startswith(f"{layer}/")]
            group = top.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/w{key[-1]}:0".encode() for key in keys]
            for key in keys:
                group[f"{layer}/w{key[-1]}:0"] = KERAS[key]
    check(tmp_path, KERAS)


def test_layers_that_keras_named_by_itself_count_from_the_first_on(tmp_path):
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        for number in (7, 10, 8):
            own = file.create_group(f"layers/conv2d_{number}/vars")
            own.attrs["name"], own["0"] = f"conv2d_{number}", np.full(1, number)
        own = file.create_group("layers/other/vars")
        own.attrs["name"], own["0"] = "conv2d_x", np.zeros(1, int)
    ordered = {"conv2d/0": 7, "conv2d_1/0": 8, "conv2d_2/0": 10, "conv2d_x/0": 0}
    check(tmp_path, {name: np.full(1, value) for name, value in ordered.items()})


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        check(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError, match="no file like model.safetensors"):
        check(tmp_path)
    (tmp_path / "weights.msgpack").write_bytes(b"")
    with pytest.raises(ValueError, match="ends in one of .*safetensors.*; got weights.msgpack"):
        check(tmp_path / "weights.msgpack")
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(ValueError, match="no layers of Keras"):
        check(tmp_path / "other.h5")
    for name in ("one.npz", "two.npz"):
        np.savez(tmp_path / name, x=np.ones(1))
    with pytest.raises(ValueError, match="several files of weights: one.npz, two.npz; give one"):
        check(tmp_path)


def test_a_package_that_is_not_there_names_the_extra():
    with pytest.raises(ImportError, match=re.escape("pip install 'jdl[pretrained]'")):
        readers.package("a_package_of_no_one")


def test_arrays_in_memory_are_read_like_files():
    found = readers.in_memory(ARRAYS)
    assert found.names == tuple(ARRAYS)
    np.testing.assert_array_equal(found.read("a.weight"), ARRAYS["a.weight"])
