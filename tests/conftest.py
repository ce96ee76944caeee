"""Settings of every test: four virtual devices, strict ranks, a persistent compilation cache."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
# jax 0.10.2 deadlocks when virtual devices outnumber its pool of threads, which NPROC sets.
os.environ.setdefault("NPROC", "8")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("MPLBACKEND", "agg")

import jax  # noqa: E402  (the environment above must come first)
import pytest  # noqa: E402

# A module collected for its doctests before its package is imported would hide the function of
# the same name: `jdl.train.fit`.
import jdl.bayes  # noqa: E402, F401
import jdl.data  # noqa: E402, F401
import jdl.decoding  # noqa: E402, F401
import jdl.explain  # noqa: E402, F401
import jdl.metrics  # noqa: E402, F401
import jdl.models.convnets  # noqa: E402, F401
import jdl.models.recurrent  # noqa: E402, F401
import jdl.models.transformers  # noqa: E402, F401
import jdl.nn  # noqa: E402, F401
import jdl.rl  # noqa: E402, F401
import jdl.text  # noqa: E402, F401
import jdl.train  # noqa: E402, F401

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key():
    return jax.random.key(0)
