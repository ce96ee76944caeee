"""MNIST and its like, from the files of their authors.

| function | train | test | classes |
|---|---|---|---|
| `load_mnist` | 60000 | 10000 | handwritten digits |
| `load_fashion_mnist` | 60000 | 10000 | kinds of clothing |

Images are grey, 28 x 28. A file in the format IDX begins with two bytes of 0, the code of the
type, the number of axes, and the length of each axis in four bytes; numbers are big-endian.
Source: LeCun, Cortes and Burges, "The MNIST database"; Xiao, Rasul and Vollgraf 2017.
"""

import gzip
import math
import os
import pathlib
import zlib

import numpy as np

from jdl.data.bundled import LabelledImages
from jdl.data.downloads import RemoteFile, located
from jdl.data.splits import Split

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _remote(sites, sums):
    return tuple(
        RemoteFile(name, tuple(f"{site}/{name}" for site in sites), md5)
        for name, md5 in zip(NAMES, sums, strict=True)
    )


# The authors' page sends its visitors away; these two have its files.
MNIST = _remote(
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)
FASHION_MNIST = _remote(
    (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def load_mnist(folder: str | os.PathLike, *, download: bool = False) -> Split:
    """Handwritten digits: train 60000 and test 10000 images [28, 28, 1].

    Args:
        folder: with the four files, packed or not.
        download: fetch what is missing, 11 MB.

    Returns:
        A Split of LabelledImages.

    Raises:
        FileNotFoundError: files are missing, and `download` is False.
        OSError: they cannot be downloaded.
        ValueError: a file is damaged, or not what its name says.
    """
    return _load(located(folder, MNIST, download=download), tuple("0123456789"))


def load_fashion_mnist(folder: str | os.PathLike, *, download: bool = False) -> Split:
    """Pictures of clothing of ten kinds: train 60000 and test 10000 images [28, 28, 1].

    The files have the names of MNIST's: give it a folder of its own.

    Args:
        folder: with the four files, packed or not.
        download: fetch what is missing, 31 MB.

    Returns:
        A Split of LabelledImages.

    Raises:
        FileNotFoundError: files are missing, and `download` is False.
        OSError: they cannot be downloaded.
        ValueError: a file is damaged, or not what its name says.
    """
    return _load(located(folder, FASHION_MNIST, download=download), CLOTHES)


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The array in a file of the format IDX, packed by gzip or not.

    Args:
        path: of the file.

    Returns:
        An array in the byte order of the machine.

    Raises:
        ValueError: the file is damaged, cut off, too long, or of another format.
    """
    path = pathlib.Path(path)
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path} is damaged: {error}; fetch it again") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise ValueError(
            f"{path} is not of the format IDX: it begins with {content[:4].hex(' ')}, not with "
            "00 00 and the code of a type"
        )
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start], ">u4", count=min(content[3], len(content) // 4 - 1))
    dtype = np.dtype(TYPES[content[2]])
    expected = start + dtype.itemsize * math.prod(map(int, shape))
    if len(content) != expected:
        raise ValueError(
            f"{path} should hold {expected} bytes by its header, axes {shape.tolist()}; it has "
            f"{len(content)}; fetch it again"
        )
    found = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return found.astype(dtype.newbyteorder("="))


def _load(paths, names):
    return Split(_part(*paths[:2], names), _part(*paths[2:], names))


def _part(images_path, labels_path, names):
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{images_path} should have bytes [N, H, W] and {labels_path} as many labels [N]; "
            f"got {images.dtype} {list(images.shape)} and {list(labels.shape)}"
        )
    if labels.size and labels.max() >= len(names):
        raise ValueError(f"{labels_path} has a label {labels.max()} of {len(names)} classes")
    images = (images / np.float32(255))[..., None]
    return LabelledImages(images, labels.astype(np.int32), names)
