"""Published weights by name, as a model, its variables and what its images must look like.

    load("timm/resnet50.a1_in1k")                             from the Hugging Face hub or its cache
    load("timm/resnet50.a1_in1k", path="folder or file")      from the disk
    load("torchvision/resnet50", path="resnet50-0676ba61.pth")
    load("microsoft/resnet-50", num_classes=10, head_key=jax.random.key(0))

`PRETRAINED` lists the names. Weights of one's own, of other depths or widths, are read by
`load_variables` with the key map of the architecture, and written for the other library by
`export`. Needs the extra `pretrained`.
"""

import difflib
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax

from jdl.core import Key, Model, Variables
from jdl.models.pretrained.checkpoints import PRETRAINED, Checkpoint
from jdl.models.pretrained.key_map import KeyMap, convert, exported
from jdl.models.pretrained.preprocessing import Preprocessing
from jdl.models.pretrained.readers import PICKLED, SAFE, package, tensors


class Pretrained(NamedTuple):
    """A network with published weights.

    Attributes:
        model: a Model.
        variables: of it.
        preprocessing: of its images, for `preprocess`; None where there are none.
        labels: names of the classes, if the folder of the weights has them.
        tokenizer: those files of its tokenizer that are in the folder; `read_tokenizer` of
            `jdl.text` reads the first, or the folder.
    """

    model: Model
    variables: Variables
    preprocessing: Preprocessing | None
    labels: tuple[str, ...] | None
    tokenizer: tuple[Path, ...] = ()


def load(
    name: str, path: str | os.PathLike | None = None, *, head_key: Key | None = None, **options
) -> Pretrained:
    """Makes a published network with its weights.

    Args:
        name: one of `PRETRAINED`.
        path: a file, or a folder with one file of weights; None takes the hub's, downloaded once.
        head_key: draws a fresh classifier with this key, in place of the published one: to
            fine-tune with another `num_classes`. Without it another number is an error.
        options: of the factory: `num_classes`, None for pooled features; BERT's `head`; `dtype`,
            `param_dtype`, `dropout_rate`.

    Returns:
        Pretrained.

    Raises:
        ValueError: the name is not known, or the file does not fit; says which keys.
        FileNotFoundError: there is no such file, or no network; says what to do.
        ImportError: a package of the extra `pretrained` is not installed.
    """
    checkpoint = _known(name)
    path = _downloaded(name, checkpoint) if path is None else path
    model = checkpoint.make(**options)
    variables = load_variables(model, path, checkpoint.key_map, head_key=head_key)
    path = Path(path).expanduser()
    folder = path if path.is_dir() else path.parent
    labels = None if head_key is not None else _labels(folder)
    tokenizer = tuple(folder / name for name in checkpoint.tokenizer if (folder / name).exists())
    return Pretrained(model, variables, checkpoint.preprocessing, labels, tokenizer)


def load_variables(
    model: Model, path: str | os.PathLike, key_map: KeyMap, *, head_key: Key | None = None
) -> Variables:
    """Reads weights into a model of any configuration.

    Args:
        model: the architecture of the map.
        path: a file, or a folder with one file of weights.
        key_map: of the architecture and the library that wrote the file.
        head_key: draws a fresh head with this key; the file's is not read.

    Returns:
        The variables, in the dtypes of the model's.

    Raises:
        ValueError: keys are missing, left over or of another shape; all of them are listed.
        FileNotFoundError: there is no such file.
    """
    like = (
        jax.eval_shape(model.init, jax.random.key(0)) if head_key is None else model.init(head_key)
    )
    with tensors(path) as found:
        return convert(found, key_map, like, without_head=head_key is not None)


def export(variables: Variables, key_map: KeyMap, path: str | os.PathLike) -> None:
    """Writes the arrays as safetensors, by the names and in the layouts of the other library.

    The file is written beside and renamed, so that it is whole or not there.

    Args:
        variables: of a model.
        key_map: of its architecture and the library that shall read it.
        path: of the file, which is replaced if there is one.

    Raises:
        ValueError: the ending is not `.safetensors`; or the map has no way back.
    """
    path = Path(path).expanduser()
    if path.suffix != ".safetensors":
        raise ValueError(f"export writes a .safetensors file; got {path.name}")
    arrays = exported(variables, key_map)
    whole = {name: array.copy(order="C") for name, array in arrays.items()}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as beside:
        written = Path(beside) / path.name
        # The format tells transformers whose layouts these are.
        package("safetensors.numpy").save_file(whole, written, metadata={"format": "pt"})
        os.replace(written, path)


def _known(name: str) -> Checkpoint:
    if name in PRETRAINED:
        return PRETRAINED[name]
    near = difflib.get_close_matches(name, PRETRAINED, 3, 0.5)
    said = f"; near it: {', '.join(near)}" if near else ""
    raise ValueError(
        f"{name!r} is none of the {len(PRETRAINED)} names of jdl.models.pretrained.PRETRAINED{said}"
    )


def _downloaded(name, checkpoint):
    if not checkpoint.on_hub:
        raise FileNotFoundError(
            f"{name} is not on the Hugging Face hub: download its weights from its library and "
            f"give load({name!r}, path=...)"
        )
    hub = package("huggingface_hub")
    try:
        wanted = ["config.json", *checkpoint.tokenizer]
        folder = hub.snapshot_download(name, allow_patterns=[*SAFE, *wanted])
        if not any(any(Path(folder).glob(pattern)) for pattern in SAFE):
            folder = hub.snapshot_download(name, allow_patterns=[*PICKLED, *wanted])
        return folder
    except OSError as error:  # what the hub raises for no network, no such repository, no right
        raise FileNotFoundError(
            f"the weights of {name} are neither in the cache nor to be had ({error}). Where there "
            f"is a network, run `hf download {name}`, copy the folder that it prints, and give "
            f"load({name!r}, path=folder)"
        ) from error


def _labels(folder):
    config = folder / "config.json"
    if not config.exists():
        return None
    labels = json.loads(config.read_text()).get("id2label") or {}
    return tuple(labels[i] for i in sorted(labels, key=int)) or None
