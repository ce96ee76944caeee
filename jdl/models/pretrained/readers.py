"""The arrays of a file of weights, one at a time, by the names that the file gives them.

    .safetensors                    and model.safetensors.index.json, which names several of them
    .npz                            NumPy's
    .pth, .pt, .bin                 PyTorch's, if torch is installed; only weights are unpickled;
                                    and pytorch_model.bin.index.json, which names several of them
    .h5, .weights.h5, .keras        Keras's, old and new: "layer/0", "layer/1" in the layer's order
    a folder                        the one such file in it

A file is opened, an array is read when it is asked for, and it can be freed before the next one is:
a loader holds the model's arrays and one more. Needs the extra `pretrained`; torch never, but for
its own files. bfloat16 is that of ml_dtypes, which JAX knows.
"""

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

AUTOMATIC = ("conv2d", "batch_normalization")  # layers of networks that Keras names by itself
# What the hub has: the form that needs no torch, and that of before.
SAFE = ("model.safetensors.index.json", "*.safetensors")
PICKLED = ("pytorch_model.bin.index.json", "pytorch_model*.bin")
OTHERS = ("*.npz", "*.weights.h5", "*.keras", "*.h5")
WEIGHTS = (*SAFE, *OTHERS, *PICKLED, "*.pth", "*.pt", "*.bin")  # as a folder is searched


class Tensors(NamedTuple):
    """Named arrays that are read one at a time.

    Attributes:
        names: of all, as the file has them.
        read: name -> array.
        source: where they come from, for messages.
    """

    names: tuple[str, ...]
    read: Callable[[str], np.ndarray]
    source: str


def in_memory(arrays: Mapping[str, np.ndarray], source: str = "arrays in memory") -> Tensors:
    """Arrays that are there already, such as `dict(model.state_dict())` with NumPy values."""
    return Tensors(tuple(arrays), lambda name: np.asarray(arrays[name]), source)


def keras_model(model) -> Tensors:
    """The weights of a Keras model in this process, by the names that its file would have."""
    from keras.ops import convert_to_numpy

    names = _numbered([layer.name for layer in model.layers])
    arrays = {
        f"{names[layer.name]}/{i}": weight
        for layer in model.layers
        for i, weight in enumerate(layer.weights)
    }
    return Tensors(tuple(arrays), lambda name: convert_to_numpy(arrays[name]), model.name)


@contextlib.contextmanager
def tensors(path: str | os.PathLike) -> Iterator[Tensors]:
    """Opens a file of weights, or the one in a folder.

    Args:
        path: of the file or folder; the format is told by the ending of its name.

    Yields:
        Tensors, to be read before the file is closed.

    Raises:
        FileNotFoundError: there is nothing there, or no weights in the folder.
        ValueError: the folder has several files of weights, or the ending is not known.
        ImportError: the format needs a package that is not installed; names the extra.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/layer.npz", kernel=np.ones([2, 3]))
        ...     with tensors(folder) as found:
        ...         print(found.names, found.read("kernel").shape)
        ('kernel',) (2, 3)
    """
    path = weights_file(path)
    for endings, opened in READERS:
        if path.name.endswith(endings):
            with opened(path) as found:
                yield found
            return
    known = ", ".join(ending for endings, _ in READERS for ending in endings)
    raise ValueError(f"a file of weights ends in one of {known}; got {path.name}")


def weights_file(path: str | os.PathLike) -> Path:
    """The file itself, or the file of weights, or the index of such files, in a folder."""
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if not path.is_dir():
        return path
    for ending in WEIGHTS:
        found = sorted(path.glob(ending))
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise ValueError(f"{path} has several files of weights: {names}; give one of them")
        if found:
            return found[0]
    raise FileNotFoundError(f"{path} has no file like {', '.join(WEIGHTS)}")


@contextlib.contextmanager
def _safetensors(path):
    with package("safetensors").safe_open(path, framework="numpy") as file:
        yield Tensors(tuple(file.keys()), file.get_tensor, str(path))


@contextlib.contextmanager
def _sharded(path):
    shards = json.loads(path.read_text())["weight_map"]
    lost = sorted({name for name in shards.values() if not (path.parent / name).exists()})
    if lost:
        raise FileNotFoundError(f"{path} names files that are not beside it: {', '.join(lost)}")
    with contextlib.ExitStack() as stack:
        files = {
            shard: stack.enter_context(tensors(path.parent / shard))
            for shard in sorted(set(shards.values()))
        }
        yield Tensors(tuple(shards), lambda name: files[shards[name]].read(name), str(path))


@contextlib.contextmanager
def _npz(path):
    with np.load(path) as file:
        yield Tensors(tuple(file.files), file.__getitem__, str(path))


@contextlib.contextmanager
def _torch(path):
    torch = package("torch", remedy="pip install torch, or convert the file to safetensors")
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise ValueError(f"{path} is no state_dict, a dict of names and tensors")

    def read(name):
        tensor = state[name]
        if tensor.dtype == torch.bfloat16:  # NumPy has none: the same bits, under ml_dtypes' name
            return tensor.contiguous().view(torch.int16).numpy().view(np.dtype(jnp.bfloat16))
        return tensor.numpy()

    yield Tensors(tuple(state), read, str(path))


@contextlib.contextmanager
def _hdf5(path):
    with package("h5py").File(path) as file:
        yield _layers(file, str(path))


@contextlib.contextmanager
def _keras(path):
    with zipfile.ZipFile(path) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with package("h5py").File(weights) as file:
        yield _layers(file, str(path))


def _layers(file, source):
    """The weights of a Keras file: old ones list them by attributes, new ones number them."""
    root = file["model_weights"] if "model_weights" in file else file
    layers = {}
    if "layer_names" in root.attrs:
        for layer in map(_text, root.attrs["layer_names"]):
            group = root[layer]
            layers[layer] = [group[_text(weight)] for weight in group.attrs["weight_names"]]
    else:
        for group in root.get("layers", {}).values():
            if own := group.get("vars", {}):
                layers[_text(own.attrs["name"])] = [own[i] for i in sorted(own, key=int)]
    names = _numbered(layers)
    places = {
        f"{names[layer]}/{i}": weight
        for layer, weights in layers.items()
        for i, weight in enumerate(weights)
    }
    if not places:
        raise ValueError(f"{source} has no layers of Keras")
    return Tensors(tuple(places), lambda name: places[name][()], source)


def _numbered(layers):
    """Names that Keras gave by itself count through the process: here, from the first on."""
    names = {layer: layer for layer in layers}
    for kind in AUTOMATIC:
        numbers = {
            layer: int(layer.removeprefix(kind).removeprefix("_") or 0)
            for layer in layers
            if layer == kind or layer.removeprefix(f"{kind}_").isdecimal()
        }
        for position, layer in enumerate(sorted(numbers, key=numbers.get)):
            names[layer] = f"{kind}_{position}" if position else kind
    return names


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)


def package(name: str, remedy: str = "pip install 'jdl[pretrained]'"):
    """An optional package, imported where it is used.

    Raises:
        ImportError: it is not installed; says how to install it.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise ImportError(f"{name} is not installed: {remedy}") from missing


READERS = (
    ((".index.json",), _sharded),
    ((".safetensors",), _safetensors),
    ((".npz",), _npz),
    ((".keras",), _keras),
    ((".h5",), _hdf5),
    ((".pth", ".pt", ".bin"), _torch),
)
