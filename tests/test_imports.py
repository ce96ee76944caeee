"""What `import jdl` brings along, in a fresh process."""

import subprocess
import sys

import pytest

HEAVY = "numpyro matplotlib sklearn scipy.stats tyro orbax pandas torch equinox".split()


def _loaded(statement):
    code = f"import sys\n{statement}\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def beside_the_dependencies():
    """Heavy modules that flax and optax import by themselves: not ours to avoid."""
    return set(_loaded("import jax, optax, chex\nfrom flax import nnx"))


@pytest.mark.parametrize("room", ["jdl", "jdl.train, jdl.data, jdl.models, jdl.metrics, jdl.plot"])
def test_import_brings_nothing_heavy(room, beside_the_dependencies):
    assert set(_loaded(f"import {room}")) <= beside_the_dependencies


def test_what_the_dependencies_bring_is_not_what_only_we_could(beside_the_dependencies):
    assert not beside_the_dependencies & {"numpyro", "matplotlib", "sklearn", "tyro"}
