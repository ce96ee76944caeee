"""Tiles of the two photographs that scikit-learn carries: colour images to classify, offline."""

import numpy as np

from jdl.data.bundled import LabelledImages, photographs
from jdl.data.splits import Split


def photograph_tiles(size: int = 32, *, test_fraction: float = 0.25) -> Split:
    """Which of two photographs, a temple or a flower, a tile comes from.

    The photographs, 427 x 640, are cut into tiles that do not overlap. Those of the right part of
    either are the test part, so that no tile of it lies between tiles of the training part: with
    size 32, 390 tiles for training and 130 for testing, as many of both classes.

    Args:
        size: rows and columns of a tile.
        test_fraction: of the columns of tiles, rounded.

    Returns:
        A Split of LabelledImages [N, size, size, 3], in rows of tiles.

    Raises:
        ValueError: a part would be empty.
        ImportError: scikit-learn, or Pillow, is missing.
    """
    images, names = photographs()
    rows, columns = (n // size for n in images.shape[1:3])
    tests = round(test_fraction * columns)
    if not 0 < tests < columns or not rows:
        raise ValueError(
            f"tiles of {size} are in {columns} columns; test_fraction={test_fraction} leaves a "
            "part empty: take smaller tiles or another fraction"
        )
    whole = images[:, : rows * size, : columns * size]
    tiles = whole.reshape(len(images), rows, size, columns, size, 3).swapaxes(2, 3)

    def part(tiles):
        each = tiles[0].size // (3 * size * size)
        labels = np.repeat(np.arange(len(names), dtype=np.int32), each)
        return LabelledImages(tiles.reshape(-1, size, size, 3), labels, names)

    return Split(part(tiles[:, :, :-tests]), part(tiles[:, :, -tests:]))
