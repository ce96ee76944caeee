"""Sets by name; the tiles of photographs put together again are the photographs."""

import gzip

import numpy as np
import pytest

from jdl.data.bundled import digits, photographs
from jdl.data.image_sets import IMAGE_SETS, image_set
from jdl.data.mnist import NAMES
from jdl.data.photograph_tiles import photograph_tiles
from tests.data.test_mnist import IMAGES, LABELS, idx


def test_tiles_are_the_photographs_and_the_test_part_is_the_right_part():
    train, test = photograph_tiles(32)
    assert train.images.shape == (390, 32, 32, 3) and test.images.shape == (130, 32, 32, 3)
    whole, names = photographs()
    for part, columns, left in [(train, 15, 0), (test, 5, 480)]:
        assert part.names == names
        assert np.bincount(part.labels).tolist() == [13 * columns] * 2
        for label in range(2):
            tiles = part.images[part.labels == label].reshape(13, columns, 32, 32, 3)
            rows = np.concatenate(list(np.concatenate(list(tiles.swapaxes(0, 1)), 2)), 0)
            expected = whole[label, :416, left : left + 32 * columns]
            np.testing.assert_array_equal(rows, expected)
    with pytest.raises(ValueError, match="in 2 columns; test_fraction=0.1"):
        photograph_tiles(300, test_fraction=0.1)
    with pytest.raises(ValueError, match="leaves a part empty"):
        photograph_tiles(500)


def test_digits_are_parted_the_same_way_each_time():
    train, test = image_set("digits")
    again = image_set("digits").test
    np.testing.assert_array_equal(test.images, again.images)
    assert len(train.images) + len(test.images) == len(digits().images)
    assert np.ptp(np.bincount(test.labels)) <= 2 and test.names == tuple("0123456789")


def test_a_set_of_files_is_in_the_folder_of_its_name(tmp_path):
    (tmp_path / "fashion_mnist").mkdir()
    for name in NAMES:
        array = IMAGES if "images" in name else LABELS
        (tmp_path / "fashion_mnist" / name).write_bytes(gzip.compress(idx(array)))
    assert image_set("fashion_mnist", tmp_path).train.names[0] == "T-shirt/top"
    for name in ("mnist", "cifar10", "cifar100"):
        with pytest.raises(FileNotFoundError, match=f"{name} has no "):
            image_set(name, tmp_path)


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=f"{IMAGE_SETS[0]}, .*{IMAGE_SETS[-1]}; got 'imagenet'"):
        image_set("imagenet")
