"""Files of public data sets: in a folder already, or fetched from where their authors keep them."""

import hashlib
import os
import pathlib
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import NamedTuple

BLOCK = 1 << 20  # bytes


class RemoteFile(NamedTuple):
    """A file of a data set.

    Attributes:
        name: in the folder.
        addresses: to try in turn.
        md5: of its content, in hexadecimal.
    """

    name: str
    addresses: tuple[str, ...]
    md5: str


def located(
    folder: str | os.PathLike, files: Sequence[RemoteFile], *, download: bool
) -> list[pathlib.Path]:
    """Paths of files in a folder, with or without a last suffix of ".gz".

    Args:
        folder: where they are, and where downloads go; "~" is the home.
        files: of the data set.
        download: fetch what is missing.

    Returns:
        A path for each file.

    Raises:
        FileNotFoundError: files are missing, and `download` is False.
        OSError: no address gave the file.
    """
    folder = pathlib.Path(folder).expanduser()
    for file in files:
        if download and _in(folder, file) is None:
            fetch(file, folder)
    missing = [file.name for file in files if _in(folder, file) is None]
    if missing:
        sources = sorted({file.addresses[0].rsplit("/", 1)[0] for file in files})
        raise FileNotFoundError(
            f"{folder.resolve()} has no {', '.join(missing)}; put the files of "
            f"{', '.join(sources)} there, or pass download=True where there is a network"
        )
    return [_in(folder, file) for file in files]


def fetch(file: RemoteFile, folder: str | os.PathLike) -> pathlib.Path:
    """Downloads a file. It appears under its name only when whole and right.

    Args:
        file: with the addresses to try.
        folder: made if it is not there.

    Raises:
        OSError: no address gave a file of that sum; what each gave instead is said.
    """
    folder = pathlib.Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    said = []
    for address in file.addresses:
        handle, part = tempfile.mkstemp(prefix=f".{file.name}.", dir=folder)
        try:
            with os.fdopen(handle, "wb") as target:
                found = _copied(address, target)
            if found == file.md5:
                os.chmod(part, 0o644)  # a temporary file is for its owner alone
                os.replace(part, folder / file.name)
                return folder / file.name
            said.append(f"{address}: the MD5 sum is {found}, not {file.md5}")
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            said.append(f"{address}: {error}")
        finally:
            pathlib.Path(part).unlink(missing_ok=True)
    raise OSError(f"{file.name} cannot be had; " + "; ".join(said))


def _copied(address, target):
    """Writes what is at an address, and returns its MD5 sum."""
    total = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(address, timeout=60) as source:
        while block := source.read(BLOCK):
            total.update(block)
            target.write(block)
    return total.hexdigest()


def _in(folder, file):
    names = [file.name, file.name.removesuffix(".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)
