"""Files in the format IDX, written by the definition of the format; damaged ones are refused."""

import gzip
import struct

import numpy as np
import pytest

from jdl.data.mnist import CLOTHES, NAMES, load_fashion_mnist, load_mnist, read_idx

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, [7, 28, 28], np.uint8)
LABELS = RNG.integers(0, 10, 7).astype(np.uint8)


def idx(array, code=0x08):
    header = struct.pack(">HBB", 0, code, array.ndim)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def written(folder, packed=True):
    arrays = (IMAGES, LABELS, IMAGES[:3], LABELS[:3])
    for name, array in zip(NAMES, arrays, strict=True):
        content = idx(array)
        path = folder / (name if packed else name.removesuffix(".gz"))
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_the_four_files_become_images_and_labels(tmp_path, packed):
    written(tmp_path, packed)
    train, test = load_mnist(tmp_path)
    assert train.images.shape == (7, 28, 28, 1) and train.images.dtype == np.float32
    np.testing.assert_array_equal(np.round(train.images[..., 0] * 255), IMAGES)
    np.testing.assert_array_equal(train.labels, LABELS)
    assert train.labels.dtype == np.int32 and train.names == tuple("0123456789")
    np.testing.assert_array_equal(test.images, train.images[:3])
    assert load_fashion_mnist(tmp_path).test.names == CLOTHES


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, ">u1"), (0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0E, ">f8")]
)
def test_every_type_of_number_is_read(tmp_path, code, dtype):
    array = np.array([[1, 2, 100], [5, 0, 7]], dtype)
    (tmp_path / "x").write_bytes(idx(array, code))
    found = read_idx(tmp_path / "x")
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda c: c[:-1], "should hold 5504 bytes by its header, axes .7, 28, 28.; it has 5503"),
        (lambda c: c + b"\0", "it has 5505"),
        (lambda c: c[:9], "it has 9"),
        (lambda c: b"\1" + c[1:], "not of the format IDX: it begins with 01 00 08 03"),
        (lambda c: c[:2] + b"\7" + c[3:], "not of the format IDX"),
        (lambda c: b"", "not of the format IDX"),
        (lambda c: gzip.compress(c)[:-9], "is damaged"),
        (lambda c: gzip.compress(c)[:60] + b"?" + gzip.compress(c)[61:], "is damaged"),
        (lambda c: idx(IMAGES[:6]), "as many labels"),
        (lambda c: idx(LABELS), "should have bytes .N, H, W."),
    ],
)
def test_damaged_files_are_refused(tmp_path, damage, said):
    written(tmp_path)
    (tmp_path / NAMES[0]).write_bytes(damage(idx(IMAGES)))
    with pytest.raises(ValueError, match=said):
        load_mnist(tmp_path)


def test_a_label_beyond_the_classes_is_refused_and_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images.*t10k-labels.*download=True"):
        load_mnist(tmp_path)
    written(tmp_path)
    (tmp_path / NAMES[1]).write_bytes(gzip.compress(idx(LABELS + 10)))
    with pytest.raises(ValueError, match="a label 1. of 10 classes"):
        load_mnist(tmp_path)
