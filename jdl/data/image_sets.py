"""Sets of images to classify, by name: what a recipe's flag `--data` chooses from."""

import os
import pathlib

import jax

from jdl.data.bundled import LabelledImages, digits
from jdl.data.cifar import load_cifar10, load_cifar100
from jdl.data.mnist import load_fashion_mnist, load_mnist
from jdl.data.photograph_tiles import photograph_tiles
from jdl.data.splits import Split, train_test_split

FILES = {
    "mnist": load_mnist,
    "fashion_mnist": load_fashion_mnist,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
}
IMAGE_SETS = ("digits", "photographs", *FILES)


def image_set(name: str, folder: str | os.PathLike = "data", *, download: bool = False) -> Split:
    """A set of images in its parts for training and testing.

    | name | images | train, test |
    |---|---|---|
    | "digits" | 8 x 8 grey | 1438, 359, the same on every call |
    | "photographs" | 32 x 32 colour, 2 classes | 390, 130 |
    | "mnist", "fashion_mnist" | 28 x 28 grey | 60000, 10000 |
    | "cifar10", "cifar100" | 32 x 32 colour | 50000, 10000 |

    The first two come with scikit-learn; the others are files in `folder`/`name`.

    Args:
        name: one of `IMAGE_SETS`.
        folder: where the files of all sets are, a folder for each.
        download: fetch the files that are missing.

    Returns:
        A Split of LabelledImages.

    Raises:
        ValueError: an unknown name, or a damaged file.
        FileNotFoundError: files are missing, and `download` is False.
        OSError: they cannot be downloaded.
        ImportError: scikit-learn is missing, for the first two.

    Example:
        >>> train, test = image_set("digits")
        >>> train.images.shape, len(test.labels)
        ((1438, 8, 8, 1), 359)
    """
    if name == "digits":
        return _digits()
    if name == "photographs":
        return photograph_tiles()
    if name in FILES:
        return FILES[name](pathlib.Path(folder) / name, download=download)
    raise ValueError(f"image sets are {', '.join(IMAGE_SETS)}; got {name!r}")


def _digits():
    images, labels, names = digits()
    parts = train_test_split((images, labels), jax.random.key(0), stratify_by=labels)
    return Split(*(LabelledImages(*part, names) for part in parts))
