"""Comparisons with other libraries, of the extra `parity`."""

import importlib
import os

import pytest


@pytest.fixture(scope="session")
def oracle():
    """A function that imports another library: a test without it is skipped, but fails under CI."""

    def load(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as missing:
            stop = pytest.fail if "CI" in os.environ else pytest.skip
            stop(f"{missing}; install the extra: pip install -e '.[parity]'")

    return load
