"""Binary records, written by the definition of the format, packed and not; damaged ones."""

import io
import tarfile

import numpy as np
import pytest

from jdl.data.cifar import BATCHES, CIFAR10, CIFAR100, load_cifar10, load_cifar100

RNG = np.random.default_rng(0)
TEN = "airplane automobile bird cat deer dog frog horse ship truck".split()


def record(*labels, image):
    """Labels, then the planes of red, green and blue, each row by row."""
    planes = b"".join(image[:, :, c].tobytes() for c in range(3))
    return bytes(labels) + planes


def images(count):
    return RNG.integers(0, 256, [count, 32, 32, 3], np.uint8)


def packed(path, directory, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{directory}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def ten():
    train, test = images(10), images(3)
    files = {
        name: b"".join(record(2 * i + j, image=train[2 * i + j]) for j in range(2))
        for i, name in enumerate(BATCHES)
    }
    files["test_batch.bin"] = b"".join(record(9 - i, image=test[i]) for i in range(3))
    files["batches.meta.txt"] = "\n".join([*TEN, ""]).encode()
    return files, train, test


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_cifar10_is_its_records(tmp_path, ten, form):
    files, images_train, images_test = ten
    if form == "archive":
        packed(tmp_path / CIFAR10.name, "cifar-10-batches-bin", files)
    else:
        (tmp_path / "cifar-10-batches-bin").mkdir()
        for name, content in files.items():
            (tmp_path / "cifar-10-batches-bin" / name).write_bytes(content)
    train, test = load_cifar10(tmp_path)
    assert train.images.dtype == np.float32 and train.labels.dtype == np.int32
    np.testing.assert_array_equal(np.round(train.images * 255), images_train)
    np.testing.assert_array_equal(np.round(test.images * 255), images_test)
    assert train.labels.tolist() == list(range(10)) and test.labels.tolist() == [9, 8, 7]
    assert train.names == test.names == tuple(TEN)
    assert {path.name for path in tmp_path.iterdir()} <= {CIFAR10.name, "cifar-10-batches-bin"}


def test_cifar100_has_fine_and_coarse_labels(tmp_path):
    pixels = images(2)
    content = record(3, 71, image=pixels[0]) + record(19, 0, image=pixels[1])
    files = {
        "train.bin": content,
        "test.bin": content,
        "fine_label_names.txt": "".join(f"fine {i}\n" for i in range(100)).encode(),
        "coarse_label_names.txt": "".join(f"coarse {i}\n" for i in range(20)).encode(),
    }
    packed(tmp_path / CIFAR100.name, "cifar-100-binary", files)
    train, test = load_cifar100(tmp_path)
    np.testing.assert_array_equal(np.round(train.images * 255), pixels)
    assert test.labels.tolist() == [71, 0] and len(test.names) == 100
    coarse = load_cifar100(tmp_path, coarse=True).train
    assert coarse.labels.tolist() == [3, 19] and coarse.names[19] == "coarse 19"


def test_damaged_files_are_refused(tmp_path, ten):
    files, *_ = ten
    path = tmp_path / CIFAR10.name
    with pytest.raises(FileNotFoundError, match=r"cifar-10-binary.tar.gz.*download=True"):
        load_cifar10(tmp_path)
    for damage, said in [
        ({"test_batch.bin": files["test_batch.bin"][:-1]}, "records of 3073 bytes has 9218"),
        ({"test_batch.bin": b""}, "has 0"),
        ({"batches.meta.txt": b"\n".join(map(str.encode, TEN[:9]))}, "a label 9 of 9 classes"),
    ]:
        packed(path, "cifar-10-batches-bin", files | damage)
        with pytest.raises(ValueError, match=said):
            load_cifar10(tmp_path)
    packed(path, "x", {name: files[name] for name in list(files)[1:]})
    with pytest.raises(ValueError, match="has no data_batch_1.bin"):
        load_cifar10(tmp_path)
    packed(path, "x", files)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="is damaged"):
        load_cifar10(tmp_path)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is damaged"):
        load_cifar10(tmp_path)
