"""Downloads, from addresses on the disk: whole and right, or not there."""

import hashlib

import pytest

from jdl.data.downloads import RemoteFile, fetch, located

CONTENT = b"numbers" * 1000


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source" / "set.bin.gz"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def remote(*addresses, content=CONTENT):
    return RemoteFile("set.bin.gz", addresses, hashlib.md5(content).hexdigest())


def test_a_file_comes_from_the_first_address_that_has_it(source, tmp_path):
    file = remote((tmp_path / "nothing").as_uri(), source.as_uri())
    folder = tmp_path / "new" / "folder"
    (path,) = located(folder, [file], download=True)
    assert path.read_bytes() == CONTENT and list(folder.iterdir()) == [path]
    source.unlink()  # what is there is not fetched again
    assert located(folder, [file], download=True) == [path]


def test_a_wrong_sum_or_no_source_leaves_nothing_behind(source, tmp_path):
    folder = tmp_path / "folder"
    nothing = (tmp_path / "nothing").as_uri()
    with pytest.raises(OSError, match="cannot be had; .*nothing.*; .*MD5 sum is"):
        fetch(remote(nothing, source.as_uri(), content=b"other"), folder)
    assert list(folder.iterdir()) == []


def test_without_download_the_message_says_what_is_missing_and_where(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        located(tmp_path, [remote("https://example.org/sets/set.bin.gz")], download=False)
    said = str(error.value)
    assert str(tmp_path) in said and "set.bin.gz" in said and "download=True" in said
    assert "https://example.org/sets" in said
    (tmp_path / "set.bin").write_bytes(b"")  # unpacked counts
    assert located(tmp_path, [remote()], download=False) == [tmp_path / "set.bin"]
