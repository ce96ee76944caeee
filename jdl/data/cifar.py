"""CIFAR-10 and CIFAR-100, from the binary files of their authors.

| function | train | test | classes |
|---|---|---|---|
| `load_cifar10` | 50000 | 10000 | 10 |
| `load_cifar100` | 50000 | 10000 | 100, or 20 coarse ones |

Images are 32 x 32 in colour. A record is the label, one byte (CIFAR-100: the coarse label, then the
fine one), and 3072 bytes: all reds, greens, blues, each row by row. The other form of the files,
pickles of Python, is not read: a pickle runs what it wants. Source: Krizhevsky 2009, "Learning
Multiple Layers of Features from Tiny Images".
"""

import os
import pathlib
import tarfile
import zlib

import numpy as np

from jdl.data.bundled import LabelledImages
from jdl.data.downloads import RemoteFile, located
from jdl.data.splits import Split

SITE = "https://www.cs.toronto.edu/~kriz"
CIFAR10 = RemoteFile(
    "cifar-10-binary.tar.gz",
    (f"{SITE}/cifar-10-binary.tar.gz",),
    "c32a1d4ab5d03f1284b67883e8d87530",
)
CIFAR100 = RemoteFile(
    "cifar-100-binary.tar.gz",
    (f"{SITE}/cifar-100-binary.tar.gz",),
    "03b5dce01913d631647c71ecec9e9cb8",
)
BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
PIXELS = 3 * 32 * 32


def load_cifar10(folder: str | os.PathLike, *, download: bool = False) -> Split:
    """Small pictures of ten kinds of things: train 50000 and test 10000 images [32, 32, 3].

    Args:
        folder: with "cifar-10-binary.tar.gz", or the "cifar-10-batches-bin" that it holds.
        download: fetch the former if both are missing, 170 MB.

    Returns:
        A Split of LabelledImages, 737 MB in memory.

    Raises:
        FileNotFoundError: files are missing, and `download` is False.
        OSError: they cannot be downloaded.
        ValueError: a file is damaged.
    """
    wanted = (*BATCHES, "test_batch.bin", "batches.meta.txt")
    found = _files(folder, CIFAR10, "cifar-10-batches-bin", wanted, download)
    names = _names(found["batches.meta.txt"])
    train = b"".join(found[name] for name in BATCHES)
    return Split(_part(train, names, 1, 0), _part(found["test_batch.bin"], names, 1, 0))


def load_cifar100(
    folder: str | os.PathLike, *, coarse: bool = False, download: bool = False
) -> Split:
    """Small pictures of a hundred kinds: train 50000 and test 10000 images [32, 32, 3].

    Args:
        folder: with "cifar-100-binary.tar.gz", or the "cifar-100-binary" that it holds.
        coarse: the 20 groups of five kinds each as the classes.
        download: fetch the former if both are missing, 169 MB.

    Returns:
        A Split of LabelledImages, 737 MB in memory.

    Raises:
        FileNotFoundError: files are missing, and `download` is False.
        OSError: they cannot be downloaded.
        ValueError: a file is damaged.
    """
    labels = f"{'coarse' if coarse else 'fine'}_label_names.txt"
    wanted = ("train.bin", "test.bin", labels)
    found = _files(folder, CIFAR100, "cifar-100-binary", wanted, download)
    names, at = _names(found[labels]), 0 if coarse else 1
    return Split(*(_part(found[name], names, 2, at) for name in wanted[:2]))


def _files(folder, archive, directory, wanted, download):
    """Contents of the wanted files, from the unpacked directory or the archive."""
    unpacked = pathlib.Path(folder).expanduser() / directory
    if all((unpacked / name).is_file() for name in wanted):
        return {name: (unpacked / name).read_bytes() for name in wanted}
    (path,) = located(folder, [archive], download=download)
    found = {}
    try:
        with tarfile.open(path) as tar:  # read in order; nothing is written to the disk
            for member in tar:
                name = pathlib.PurePosixPath(member.name).name
                if name in wanted and member.isfile():
                    found[name] = tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}; fetch it again") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}; fetch it again")
    return found


def _names(content):
    return tuple(line.strip() for line in content.decode().splitlines() if line.strip())


def _part(content, names, labels, at):
    size = labels + PIXELS
    if not content or len(content) % size:
        raise ValueError(
            f"a file of records of {size} bytes has {len(content)}; it is cut off, or of the other "
            "data set: fetch it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    classes = records[:, at].astype(np.int32)
    if classes.max() >= len(names):
        raise ValueError(f"a label {classes.max()} of {len(names)} classes: fetch the file again")
    planes = records[:, labels:].reshape(-1, 3, 32, 32)
    images = planes.transpose(0, 2, 3, 1) / np.float32(255)
    return LabelledImages(np.ascontiguousarray(images), classes, names)
